//! One attempt: a request is sent, and sent again while it surely came to nobody.

use std::error::Error;
use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use super::answer::receive;
use super::call::Outbound;
use super::lost::Lost;
use super::unsent::{Unsent, broken, is_late, not_ready};
use crate::attempt::Attempt;
use crate::backoff::{Backoff, Jitter};
use crate::random::Dice;
use crate::shutdown::Shutdown;
use crate::time::{Instant, later_or_far, now};
use crate::timer::Timer;

/// How long a channel is left alone that could not connect: gRPC, "Connection Backoff Protocol", whose jitter of
/// plus and minus a fifth is here what is taken off the longest.
const RECONNECT: Backoff = Backoff::exponential(Duration::from_millis(1_200))
    .factor(1.6)
    .max_delay(Duration::from_secs(144))
    .jitter(Jitter::Proportional(1.0 / 3.0));

/// Makes one attempt, before which there were `previous` others. `lost` is set if one that it races with takes the
/// messages from it.
pub(super) async fn send<S, B>(
    call: &Outbound,
    mut inner: S,
    mut attempt: Attempt,
    previous: u32,
    lost: Option<&Lost>,
) -> Result<Response<B>, Status>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let waits = call.policy.waits_for_ready() == Some(true);
    let alone = call.policy.hedges().is_none();
    let mut unconnected = 0_u32;
    loop {
        let status = match once(one_of(&mut inner), || call.request(attempt, previous, lost)).await {
            Ok(response) => return Ok(response),
            Err(status) => status,
        };
        let Some(source) = status.source() else { return Err(status) };
        if is_late(source) && call.is_all_but_over() {
            // The channel has a timer of its own for the limit that it is told of. The recovery knows better what
            // the end of the call's own time means, and is about to say it.
            return std::future::pending().await;
        }
        match Unsent::find(source) {
            Some(Unsent::NoConnection) if waits => {
                unconnected = unconnected.saturating_add(1);
                let wait = RECONNECT.delay(unconnected, None, Dice::Fresh.draw());
                let until = later_or_far(now(), wait);
                if !pause(until, call.settings.recovery.shutdown()).await {
                    return Err(status);
                }
            }
            Some(unsent) if call.sends_again(unsent, alone) => {}
            _ => return Err(status),
        }
        if !alone {
            // Those that it races with go on reading the messages.
            attempt = attempt.hedged(attempt.hedge().max(1));
        }
    }
}

/// The instance itself, which may have been made ready, and leaves a clone, which is ready for nothing.
pub(super) fn one_of<S: Clone>(inner: &mut S) -> S {
    let fresh = inner.clone();
    mem::replace(inner, fresh)
}

/// Asks one instance whether it is ready, and hands the request to that very one.
async fn once<S, B>(mut ready: S, request: impl FnOnce() -> Request<Body>) -> Result<Response<B>, Status>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    poll_fn(|cx| ready.poll_ready(cx)).await.map_err(|error| not_ready(error.into()))?;
    let response = ready.call(request());
    // It has nothing more to do, and may be what keeps others waiting.
    drop(ready);
    receive(response.await.map_err(|error| broken(error.into()))?)
}

/// Waits, and says whether to go on: not if the program ends.
pub(super) async fn pause(until: Instant, shutdown: Option<&Shutdown>) -> bool {
    let mut timer = pin!(Timer::idle());
    let mut ending = shutdown.map(Shutdown::triggered);
    poll_fn(|cx| {
        if let Some(ending) = &mut ending
            && ending.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(false);
        }
        timer.as_mut().poll_until(until, cx).map(|()| true)
    })
    .await
}
