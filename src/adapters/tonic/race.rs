//! A hedged call: attempts that race each other, by the rules of gRPC.

mod course;

use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use self::course::Course;
use super::call::Outbound;
use super::lost::Lost;
use super::policy::Hedging;
use super::pushback::pushback;
use super::send::{one_of, pause, send};
use crate::adapters::traced;
use crate::attempt::Attempt;
use crate::classification::Category;
use crate::hedge::Spare;
use crate::time::{Instant, Now, now};
use crate::timer::Timer;

/// Makes the whole race, which is one attempt to the recovery.
pub(super) async fn race<S, B>(
    call: &Outbound,
    mut inner: S,
    attempt: Attempt,
    hedging: &Hedging,
) -> Result<Response<B>, Status>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut launch = traced(move |attempt| {
        let (lost, inner, previous) = (Lost::default(), one_of(&mut inner), call.begin());
        async move {
            let sent = send(call, inner, attempt, previous, Some(&lost)).await;
            sent.map_err(|status| (status, lost.is_set()))
        }
    });
    let mut racing = FuturesUnordered::new();
    racing.push(launch(attempt));
    let mut course = Course::new(call.at_most(hedging), hedging.delay(), now());
    let mut timer = pin!(Timer::idle());
    let mut last = None;
    loop {
        let ended = poll_fn(|cx| {
            if let Poll::Ready(Some(ended)) = racing.poll_next_unpin(cx) {
                return Poll::Ready(Some(ended));
            }
            match course.due() {
                Some(due) => timer.as_mut().poll_until(due, cx).map(|()| None),
                None => Poll::Pending,
            }
        })
        .await;
        match ended {
            Some(Ok(response)) => {
                if let Some(tokens) = call.tokens() {
                    tokens.earn(&Now::unread());
                }
                return Ok(response);
            }
            // The call is committed to the one that took its messages. If that failed, it has failed.
            Some(Err((status, true))) => {
                if racing.is_empty() {
                    return Err(last.unwrap_or(status));
                }
            }
            Some(Err((status, false))) => {
                let answer = call.classify(&status);
                call.mind_refusal(&status);
                if let Some(tokens) = call.tokens() {
                    tokens.failed(&answer);
                }
                if hedging.is_fatal(status.code()) && !answer.is_unprocessed() {
                    return Err(status);
                }
                course.failed(pushback(status.metadata().as_ref()), now());
                if !racing.is_empty() {
                    last = Some(status);
                    continue;
                }
                // Nothing is under way, and what comes next may be refused: then this is how it ends.
                let Some(due) = course.due().filter(|due| call.until.is_none_or(|until| *due < until)) else {
                    return Err(status);
                };
                let shutdown = call.settings.recovery.shutdown();
                if !pause(due, shutdown).await || !may_launch(call, now()) {
                    return Err(status);
                }
                racing.push(launch(attempt.hedged(course.launched(now()))));
            }
            None if may_launch(call, now()) => racing.push(launch(attempt.hedged(course.launched(now())))),
            None => course.stop(),
        }
    }
}

/// Whether one more attempt may be made: its messages are there, and its load may be added.
fn may_launch(call: &Outbound, now: Instant) -> bool {
    if !call.could_repeat() {
        return false;
    }
    let recovery = &call.settings.recovery;
    if let Some(tokens) = &call.settings.throttling {
        return tokens.reserve(Category::Timeout, now).is_some();
    }
    let token = match recovery.retry_budget() {
        Some(budget) => match budget.reserve(Category::Timeout, now) {
            Some(token) => Some(token),
            None => return false,
        },
        None => None,
    };
    // Where the throttle says no, the token goes back.
    let may = recovery.throttle().is_none_or(|throttle| throttle.take(now));
    if may && let Some(token) = token {
        token.spend();
    }
    may
}
