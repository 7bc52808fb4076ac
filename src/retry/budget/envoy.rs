//! The retry budget of Envoy: a share of what is under way, and not of what was.

use std::fmt;
use std::sync::Arc;

use super::{Kind, RetryBudget};
use crate::sync::atomic::{AtomicU64, Ordering};

/// A retry for each five requests.
const REQUESTS_FOR_A_RETRY: u64 = 5;

/// So many in any case.
const LEAST_RETRIES: u64 = 3;

// Every order is relaxed: the two numbers guard no other memory. That they are not read in one moment lets a
// retry pass, or not, by what was so the moment before.
#[derive(Default)]
pub(super) struct Envoy {
    requests: AtomicU64,
    retries: AtomicU64,
}

impl RetryBudget {
    /// The retry budget of Envoy: at any time retries may be a fifth of the requests that are under way, and
    /// three in any case. There are no tokens: a retry counts from when it is decided until it has ended or is
    /// dropped, its wait included.
    ///
    /// A request is a call here, from its first attempt to its end. In the proxy a request that has failed and
    /// waits is under way no more, so where all fail at once there is nothing left to take a fifth of
    /// (envoy-mobile PR 811); here it still counts.
    ///
    /// It bounds how many retries there are at once, and not how many there are in all: an outage that answers
    /// fast is met with far more than a fifth, for each ends at once and makes room. Nothing comes by time, so a
    /// caller never [waits](crate::OnEmptyBudget::Wait) for it.
    ///
    /// Source: `circuit_breaker.proto` of Envoy, `RetryBudget`: `budget_percent` 20 %,
    /// `min_retry_concurrency` 3.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use recoup::{RetryBudget, RetryPolicy, retry};
    ///
    /// let budget = RetryBudget::envoy();
    /// let policy = RetryPolicy::fixed(Duration::from_secs(1)).budget(budget.clone()).build().unwrap();
    /// let down = || retry(async || Err::<(), _>("reset")).policy(&policy).into_future();
    /// let waiting = tokio::time::timeout(Duration::ZERO, futures::future::join_all([down(), down()]));
    /// assert_eq!(budget.tokens(), 3);
    /// waiting.await.unwrap_err();
    /// assert_eq!(budget.tokens(), 3, "dropped while they waited to retry");
    /// # }
    /// ```
    #[must_use]
    pub fn envoy() -> Self {
        Self(Kind::Envoy(Arc::default()))
    }
}

impl Envoy {
    pub(super) fn begin(this: &Arc<Self>) -> Request {
        this.requests.fetch_add(1, Ordering::Relaxed);
        Request(Arc::clone(this))
    }

    fn most(&self) -> u64 {
        (self.requests.load(Ordering::Relaxed) / REQUESTS_FOR_A_RETRY).max(LEAST_RETRIES)
    }

    pub(super) fn retries_left(&self) -> u32 {
        let left = self.most().saturating_sub(self.retries.load(Ordering::Relaxed));
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    pub(super) fn take(&self) -> bool {
        let most = self.most();
        let mut retries = self.retries.load(Ordering::Relaxed);
        while retries < most {
            let one_more = retries + 1;
            match self.retries.compare_exchange_weak(retries, one_more, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(actual) => retries = actual,
            }
        }
        false
    }

    /// A retry ended.
    pub(super) fn ended(&self) {
        self.retries.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call under way. Dropped, it is not.
pub(super) struct Request(Arc<Envoy>);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

impl fmt::Debug for Envoy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, retries) =
            (self.requests.load(Ordering::Relaxed), self.retries.load(Ordering::Relaxed));
        write!(f, "RetryBudget(envoy, {requests} requests, {retries} retries)")
    }
}

#[cfg(test)]
mod tests {
    use std::iter;
    use std::thread;

    use super::super::Token;
    use super::*;
    use crate::classification::Category;
    use crate::time::{self, Now};

    fn take(budget: &RetryBudget) -> Option<Token> {
        budget.reserve(Category::Network, time::now())
    }

    #[test]
    fn retries_are_a_fifth_of_the_requests_under_way_and_three_at_least() {
        for (requests, retries) in [(0, 3), (1, 3), (15, 3), (19, 3), (20, 4), (24, 4), (25, 5), (1_000, 200)]
        {
            let budget = RetryBudget::envoy();
            let mut active: Vec<_> = (0..requests).map(|_| budget.began(&Now::unread())).collect();
            let mut held: Vec<_> = iter::from_fn(|| take(&budget)).collect();
            assert_eq!((held.len(), budget.tokens()), (retries, 0), "{requests}");
            // Failed, or dropped: it has ended.
            held.pop().unwrap().spend();
            drop(held.pop());
            assert_eq!(budget.tokens(), 2);
            active.clear();
            drop(held);
            assert_eq!(format!("{budget:?}"), "RetryBudget(envoy, 0 requests, 0 retries)");
        }
    }

    #[test]
    fn retries_that_outlive_their_requests_leave_no_room_and_do_no_harm() {
        let budget = RetryBudget::envoy();
        let active: Vec<_> = (0..100).map(|_| budget.began(&Now::unread())).collect();
        let held: Vec<_> = iter::from_fn(|| take(&budget)).collect();
        assert_eq!(held.len(), 20);
        drop(active);
        assert_eq!((budget.tokens(), take(&budget).is_some()), (0, false));
        drop(held);
        assert_eq!(budget.tokens(), 3);
    }

    #[test]
    fn threads_never_have_more_retries_than_allowed_and_leave_none_behind() {
        let budget = RetryBudget::envoy();
        let Kind::Envoy(envoy) = &budget.0 else { panic!("envoy's") };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let _active = budget.began(&Now::unread());
                        let _retry = take(&budget);
                        assert!(envoy.retries.load(Ordering::Relaxed) <= 3);
                    }
                });
            }
        });
        assert_eq!(format!("{budget:?}"), "RetryBudget(envoy, 0 requests, 0 retries)");
    }
}
