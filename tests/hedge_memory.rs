//! What a hedged call allocates, counted. A binary of its own, because the counting allocator is the whole
//! program's; it counts by thread, so the tests do not see each other.

use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use allocation_counter::measure;
use recoup::{Hedge, Idempotent};

fn polled_once<T>(call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    let std::task::Poll::Ready(end) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it is there at once")
    };
    end
}

#[test]
fn call_that_is_not_hedged_allocates_nothing() {
    for hedge in [Hedge::after(Duration::from_secs(3600)), Hedge::at_quantile(0.95)] {
        let hedge = hedge.max_attempts(1).build().unwrap();
        let calls = measure(|| {
            for _ in 0..1_000 {
                assert_eq!(polled_once(hedge.call(Idempotent(|_| ready(Ok::<_, ()>(7))))), Ok(7));
                assert_eq!(polled_once(hedge.call(Idempotent(|_| ready(Err::<(), _>(7))))), Err(7));
            }
        });
        assert_eq!(calls.count_total, 0, "{calls:?}");
    }
}

#[test]
fn learning_allocates_nothing_however_long_it_lasts() {
    let hedge = Hedge::at_quantile(0.95).memory(Duration::from_nanos(1)).build().unwrap();
    let calls = measure(|| {
        for _ in 0..10_000 {
            assert_eq!(polled_once(hedge.call(Idempotent(|_| ready(Ok::<_, ()>(7))))), Ok(7));
        }
    });
    assert_eq!(calls.count_total, 0, "{calls:?}");
    assert!(hedge.snapshot().delay.is_some());
}
