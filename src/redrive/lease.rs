//! One letter: leased, called for, settled.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::one::Redriven;
use crate::attempt::Attempt;
use crate::call::CallContext;
use crate::dead_letter::{
    DeadLetter, DeadLetterQueue, LeaseToken, Leased, LetterFilter, QueueError, Settlement,
};
use crate::error::{Reason, RecoveryError};
use crate::recovery::{Recovery, execute_with_recovery};
use crate::time::{self, Instant};

/// How long a letter is leased, unless said otherwise.
pub(super) const LEASE: Duration = Duration::from_secs(300);

/// A letter that is ours for a while.
#[derive(Debug)]
pub(super) struct Hold {
    letter: DeadLetter,
    token: LeaseToken,
    /// When its call must have ended, so that there is time left to say how.
    until: Option<Instant>,
}

impl Hold {
    /// Leases the first letter that the filter means, if there is one to be had.
    pub(super) async fn take(
        queue: &dyn DeadLetterQueue,
        filter: &LetterFilter,
        lease: Duration,
    ) -> Result<Option<Self>, QueueError> {
        // Read before the lease begins, so that the lease ends later than we think.
        let asked = time::now();
        let Some(Leased { letter, token }) = queue.lease(filter, 1, lease).await?.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some(Self { letter, token, until: time::later(asked, lease.saturating_sub(lease / 10)) }))
    }

    /// Makes the letter's call, to another destination if there is one, and tells the queue how it went.
    pub(super) async fn call<E, F, Fut, T>(
        self,
        recovery: &Recovery<E>,
        queue: &dyn DeadLetterQueue,
        to: Option<&str>,
        mut op: F,
    ) -> Redriven<T, E>
    where
        F: FnMut(Arc<DeadLetter>, Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let Self { mut letter, token, until } = self;
        // Of the copy that is lent: the queue's own keeps what it has.
        if let Some(to) = to {
            letter.destination = Some(to.to_owned());
        }
        let mut context = CallContext::redrive(&letter);
        if let Some(until) = until {
            context = context.deadline(until);
        }
        letter.idempotency_key = Some(context.idempotency_key().to_owned());
        let letter = Arc::new(letter);
        let call = execute_with_recovery(recovery.with_context(&context), |attempt| {
            op(Arc::clone(&letter), attempt)
        });
        let mut result = call.await;
        let settlement = match &mut result {
            Ok(_) => Settlement::Delivered,
            Err(error) => settlement(error),
        };
        let settled = queue.settle(token, settlement).await;
        Redriven { letter: token.letter(), result, settled }
    }
}

/// What the letter of a call that failed is told.
fn settlement<E>(error: &mut RecoveryError<E>) -> Settlement {
    let failed = error.take_redriven().filter(|_| error.attempts() > 0);
    match failed {
        // The program ends: what was tried is written down, but it was no fair trial.
        Some(failed) if *error.reason() == Reason::ShutDown => {
            Settlement::Release { failed: Some(Box::new(failed)), redriven: false }
        }
        Some(failed) => Settlement::redrive_failed(failed),
        None => Settlement::untouched(),
    }
}
