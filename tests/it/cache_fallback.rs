//! Values that were good before.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]
#![expect(clippy::disallowed_methods, reason = "a test reads the paused clock itself")]

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use recoup::{CacheEntry, CacheFallback, CacheStore, Coalesce, Instant, MemoryCache, RetryPolicy, retry};
use tokio::time::{advance, sleep};
use tokio_test::{assert_pending, task};

const SECOND: Duration = Duration::from_secs(1);

fn cache() -> CacheFallback<&'static str, u32> {
    CacheFallback::builder().fresh_for(10 * SECOND).stale_for(60 * SECOND).build().unwrap()
}

fn gives(value: u32) -> Ready<Result<u32, &'static str>> {
    ready(Ok(value))
}

fn down() -> Ready<Result<u32, &'static str>> {
    ready(Err("down"))
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let builder = CacheFallback::builder;
    assert_eq!(builder().stale_for(Duration::ZERO).build::<u8, u8>().unwrap_err().setting, "stale_for");
    let shorter = builder().fresh_for(2 * SECOND).stale_for(SECOND);
    assert_eq!(shorter.build::<u8, u8>().unwrap_err().setting, "stale_for");
    assert_eq!(builder().capacity(0).build::<u8, u8>().unwrap_err().setting, "capacity");
    let huge = builder().fresh_for(Duration::MAX).stale_for(Duration::MAX).capacity(usize::MAX);
    let huge = huge.build::<u8, u8>().unwrap();
    huge.put(1, 2);
    assert_eq!(huge.get(&1).map(|cached| (cached.value, cached.stale)), Some((2, false)));
}

#[tokio::test(start_paused = true)]
async fn fresh_value_is_given_without_a_call_until_its_time_is_over() {
    let (cache, calls) = (cache(), AtomicU32::new(0));
    let call = || {
        cache.call("rate", || {
            let number = calls.fetch_add(1, Ordering::Relaxed) + 1;
            gives(number)
        })
    };
    assert_eq!(call().await.unwrap().value, 1);
    advance(Duration::new(9, 999_999_999)).await;
    let cached = call().await.unwrap();
    assert_eq!((cached.value, cached.age.as_secs(), cached.stale), (1, 9, false));
    advance(Duration::from_nanos(1)).await;
    let cached = call().await.unwrap();
    assert_eq!((cached.value, cached.age, cached.stale), (2, Duration::ZERO, false));
    assert_eq!(cache.call("other", || gives(9)).await.unwrap().value, 9, "of another key");
    assert_eq!(calls.into_inner(), 2);
}

#[tokio::test(start_paused = true)]
async fn stale_value_is_given_when_the_call_fails_and_never_beyond_its_age() {
    let cache = cache();
    assert_eq!(cache.call("rate", down).await, Err("down"), "nothing is known");
    cache.call("rate", || gives(7)).await.unwrap();
    advance(60 * SECOND).await;
    let cached = cache.call("rate", down).await.unwrap();
    assert_eq!((cached.value, cached.age, cached.stale), (7, 60 * SECOND, true), "to the last moment");
    assert_eq!(cache.call("other", down).await, Err("down"), "of that key only");
    advance(Duration::from_nanos(1)).await;
    assert_eq!(cache.call("rate", down).await, Err("down"));
    assert_eq!(cache.get(&"rate"), None);
    assert_eq!(cache.store().len(), 1, "kept, for nothing, until its room is needed");
    cache.call("rate", || gives(8)).await.unwrap();
    assert_eq!(cache.call("rate", down).await.unwrap().value, 8);
}

#[tokio::test(start_paused = true)]
async fn without_a_time_to_be_fresh_every_call_is_made_and_the_last_good_value_helps_out() {
    let cache: CacheFallback<&str, u32> = CacheFallback::builder().build().unwrap();
    for value in 1..=3 {
        assert_eq!(cache.call("rate", || gives(value)).await.unwrap().value, value);
    }
    let cached = cache.call("rate", down).await.unwrap();
    assert_eq!((cached.value, cached.age, cached.stale), (3, Duration::ZERO, true));
}

#[tokio::test(start_paused = true)]
async fn age_counts_from_the_end_of_the_call_and_a_failure_does_not_renew_it() {
    let cache = cache();
    let slow = || async {
        sleep(5 * SECOND).await;
        gives(7).await
    };
    cache.call("rate", slow).await.unwrap();
    assert_eq!(cache.get(&"rate").unwrap().age, Duration::ZERO);
    for passed in 1..=5 {
        advance(12 * SECOND).await;
        assert_eq!(cache.call("rate", down).await.unwrap().age, passed * 12 * SECOND);
    }
    advance(12 * SECOND).await;
    assert!(cache.call("rate", down).await.is_err());
}

/// The value is looked for when the call has failed, and not when it began.
#[tokio::test(start_paused = true)]
async fn value_that_another_found_meanwhile_helps_out_and_one_that_grew_too_old_does_not() {
    let cache = cache();
    let fails_late = || async {
        sleep(5 * SECOND).await;
        down().await
    };
    let (late, ()) = tokio::join!(cache.call("rate", fails_late), async {
        sleep(SECOND).await;
        cache.put("rate", 7);
    });
    let cached = late.unwrap();
    assert_eq!((cached.value, cached.age, cached.stale), (7, 4 * SECOND, false));
    advance(55 * SECOND).await;
    assert_eq!(cache.call("rate", fails_late).await, Err("down"));
}

#[tokio::test(start_paused = true)]
async fn dropped_call_is_not_remembered_and_clones_share_what_is() {
    let cache = cache();
    let mut call = task::spawn(cache.call("rate", || async {
        sleep(SECOND).await;
        gives(7).await
    }));
    assert_pending!(call.poll());
    drop(call);
    assert_eq!(cache.get(&"rate"), None);
    cache.clone().put("rate", 7);
    assert_eq!(cache.get(&"rate").unwrap().value, 7);
    cache.clone().forget(&"rate");
    assert_eq!(cache.get(&"rate"), None);
}

#[tokio::test(start_paused = true)]
async fn no_more_values_are_kept_than_there_is_room_for() {
    let cache: CacheFallback<u32, u32> = CacheFallback::builder().capacity(10).build().unwrap();
    for key in 0..1000 {
        cache.call(key, || gives(key)).await.unwrap();
        cache.get(&0).unwrap();
    }
    assert_eq!(cache.store().len(), 10);
    assert_eq!((991..1000).filter(|key| cache.get(key).is_some()).count(), 9, "and the one in use");
}

/// Behind one call for all, and a retry that gives up: neither the outer retry nor the callers see a failure.
#[tokio::test(start_paused = true)]
async fn failure_made_good_is_no_failure_for_those_around_it() {
    let (cache, users, attempts) = (cache(), Coalesce::new(), AtomicU32::new(0));
    let policy = RetryPolicy::builder().max_attempts(3).no_budget().build().unwrap();
    cache.put("ada", 7);
    advance(20 * SECOND).await;
    let call = || {
        cache.call("ada", || {
            users.call("ada", || {
                let attempt = || {
                    attempts.fetch_add(1, Ordering::Relaxed);
                    down()
                };
                retry(attempt).policy(&policy).into_future()
            })
        })
    };
    let ends = join_all((0..5).map(|_| retry(call).policy(&policy).into_future())).await;
    assert!(ends.iter().all(|end| end.is_ok_and(|cached| cached.value == 7 && cached.stale)));
    assert_eq!(attempts.into_inner(), 3);
}

/// Two caches over one store may differ in how old a value they give.
#[tokio::test(start_paused = true)]
async fn store_may_be_shared_and_be_of_any_kind() {
    let store = Arc::new(MemoryCache::new(10).unwrap());
    let patient = CacheFallback::builder().build_on(Arc::clone(&store)).unwrap();
    let strict = CacheFallback::builder().stale_for(SECOND).build_on(Arc::clone(&store)).unwrap();
    patient.put("rate", 7);
    assert_eq!(strict.get(&"rate").unwrap().value, 7);
    advance(2 * SECOND).await;
    assert_eq!((patient.get(&"rate").map(|cached| cached.value), strict.get(&"rate")), (Some(7), None));
    store.remove(&"rate");
    assert_eq!(patient.get(&"rate"), None);

    let any: Arc<dyn CacheStore<&str, u32> + Send + Sync> = store;
    any.put("rate", CacheEntry { value: 8, since: Instant::now() });
    let cache = CacheFallback::builder().build_on(any).unwrap();
    assert_eq!(cache.call("rate", down).await.unwrap().value, 8);
}
