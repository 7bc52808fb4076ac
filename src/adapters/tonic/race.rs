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
use super::policy::Hedging;
use super::pushback::pushback;
use super::send::{one_of, send};
use crate::adapters::traced;
use crate::attempt::Attempt;
use crate::classification::{Category, Classification};
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
    let mut launch = traced(move |attempt| send(call, one_of(&mut inner), attempt, call.begin()));
    let mut racing = FuturesUnordered::new();
    racing.push(launch(attempt));
    let mut course = Course::new(call.at_most(hedging), hedging.delay(), now());
    let mut timer = pin!(Timer::idle());
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
                earn(call);
                return Ok(response);
            }
            Some(Err(status)) => {
                let answer = call.classify(&status);
                pay(call, &answer);
                if hedging.is_fatal(status.code()) && !answer.is_unprocessed() {
                    return Err(status);
                }
                course.failed(pushback(status.metadata().as_ref()), now());
                if racing.is_empty() && course.due().is_none() {
                    return Err(status);
                }
                // Nothing is under way, and what comes next may be refused: then this is how it ends.
                if racing.is_empty() {
                    wait(timer.as_mut(), course.due()).await;
                    if !may_launch(call, now()) {
                        return Err(status);
                    }
                    racing.push(launch(attempt.hedged(course.launched(now()))));
                }
            }
            None if may_launch(call, now()) => racing.push(launch(attempt.hedged(course.launched(now())))),
            None => course.stop(),
        }
    }
}

async fn wait(mut timer: std::pin::Pin<&mut Timer>, due: Option<Instant>) {
    if let Some(due) = due {
        poll_fn(|cx| timer.as_mut().poll_until(due, cx)).await;
    }
}

/// Whether one more attempt may be made: its messages are there, and its load may be added.
fn may_launch(call: &Outbound, now: Instant) -> bool {
    if !call.could_repeat() {
        return false;
    }
    let recovery = &call.settings.recovery;
    match (&call.settings.throttling, recovery.retry_budget(), recovery.throttle()) {
        (Some(tokens), _, _) => tokens.reserve(Category::Timeout, now).is_some(),
        (None, Some(budget), throttle) => {
            budget.take(now) && throttle.is_none_or(|throttle| throttle.take(now))
        }
        (None, None, Some(throttle)) => throttle.take(now),
        (None, None, None) => true,
    }
}

/// The call has succeeded.
fn earn(call: &Outbound) {
    if let Some(tokens) = &call.settings.throttling {
        tokens.earn(&Now::unread());
    }
}

/// One of its attempts has failed.
fn pay(call: &Outbound, answer: &Classification) {
    if let Some(tokens) = &call.settings.throttling {
        tokens.failed(answer);
    }
}
