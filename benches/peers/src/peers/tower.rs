//! tower: retries with a budget, a timeout and a concurrency limit; no breaker.

use std::future::{Ready as Now, ready};
use std::sync::Arc;
use std::task::{Context, Waker};

use tower::retry::Policy;
use tower::retry::budget::{Budget, TpsBudget};
use tower::{Service, ServiceBuilder};

use crate::case::{Op, What};
use crate::door::{Door, leak};
use crate::operation::{FINE, Hangs, Operation, Ready, Yields};
use crate::peers::{ATTEMPT_TIMEOUT, SLOTS};

pub(super) fn door(what: What) -> Option<Door> {
    match what {
        What::Retry => {
            let service = ServiceBuilder::new().retry(Thrice::new()).service_fn(Ready::new);
            Some(of(leak(service)))
        }
        What::Pipeline(Op::Ready) => Some(pipeline::<Ready>()),
        What::Pipeline(Op::Yields) => Some(pipeline::<Yields>()),
        What::Pipeline(Op::Hangs) => Some(pipeline::<Hangs>()),
        What::Breaker(_) | What::Rejection => None,
    }
}

fn pipeline<O: Operation>() -> Door {
    let service = ServiceBuilder::new()
        .retry(Thrice::new())
        .concurrency_limit(SLOTS)
        .timeout(ATTEMPT_TIMEOUT)
        .service_fn(O::new);
    of(leak(service)).note("no breaker")
}

/// Each thread has a clone of the service, asks it whether it is ready, and calls it: nothing is cloned for a call.
pub(super) fn of<S>(service: &'static S) -> Door
where
    S: Service<u64> + Clone + Send + Sync,
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Send,
{
    Door::each(move || {
        let mut service = service.clone();
        move || {
            let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
            assert!(ready.is_ready(), "there is room for every call");
            service.call(FINE)
        }
    })
}

/// At most three attempts, within a budget.
#[derive(Clone)]
struct Thrice {
    left: u32,
    budget: Arc<TpsBudget>,
}

impl Thrice {
    fn new() -> Self {
        Self { left: 2, budget: Arc::default() }
    }
}

impl<T, E> Policy<u64, T, E> for Thrice {
    type Future = Now<()>;

    fn retry(&mut self, _: &mut u64, result: &mut Result<T, E>) -> Option<Now<()>> {
        if result.is_ok() {
            self.budget.deposit();
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        self.budget.withdraw().then(|| ready(()))
    }

    fn clone_request(&mut self, number: &u64) -> Option<u64> {
        Some(*number)
    }
}
