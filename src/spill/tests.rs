//! What is promised while the remote queue comes and goes.

use std::pin::pin;
use std::time::{Duration, SystemTime};

use futures::FutureExt as _;

use super::remote::{Mood, Remote};
use super::*;
use crate::circuit_breaker::CircuitState;
use crate::dead_letter::{
    ByHand, LetterFilter, LetterId, LetterState, MAX_UNSETTLED, MemoryQueue, Origin, Payload, Survives,
};

const SECOND: Duration = Duration::from_secs(1);

fn nth(number: u32) -> DeadLetter {
    DeadLetter::new("charge").idempotency_key(format!("order-{number}")).died_at(SystemTime::UNIX_EPOCH)
}

fn spill(remote: &Remote, local: &MemoryQueue) -> SpillQueue {
    SpillQueue::builder(remote.clone(), local.clone())
        .circuit_breaker(
            CircuitBreaker::builder("spill")
                .no_failure_rate()
                .consecutive_failures(3)
                .half_open(HalfOpen::probes(1))
                .open_for(30 * SECOND)
                .no_ramp(),
        )
        .backoff(10 * SECOND)
        .build()
        .unwrap()
}

async fn held(queue: &dyn DeadLetterQueue) -> u64 {
    queue.stats().await.unwrap().held()
}

#[tokio::test(start_paused = true)]
async fn letter_goes_to_the_remote_queue_when_it_answers() {
    let (remote, local) = (Remote::new(Mood::Up), MemoryQueue::default());
    let queue = spill(&remote, &local);
    let receipt = queue.push(nth(1)).await.unwrap();
    assert!(!receipt.spilled);
    assert_eq!(queue.peek(&LetterFilter::new(), 9).await.unwrap()[0].id, receipt.id);
    assert_eq!((held(&queue).await, held(&local).await), (1, 0));
    assert_eq!(queue.peek(&LetterFilter::new(), 9).await.unwrap()[0].origin, None, "nothing is added to it");
}

#[tokio::test(start_paused = true)]
async fn d1_remote_down_for_an_hour_loses_nothing_and_each_arrives_once() {
    let (remote, local) = (Remote::new(Mood::Down), MemoryQueue::default());
    let queue = spill(&remote, &local);
    let mut forwarding = pin!(queue.forwarding());
    let outage = async {
        for number in 0..360 {
            let receipt = queue.push(nth(number)).await.unwrap();
            assert!(receipt.spilled);
            tokio::time::sleep(10 * SECOND).await;
        }
    };
    tokio::select! {
        () = outage => {}
        never = forwarding.as_mut() => match never {},
    }
    let asked = remote.asked();
    assert!((100..200).contains(&asked), "asked {asked} times: about once every half minute");
    assert_eq!(held(&local).await, 360);

    remote.is(Mood::Up);
    tokio::select! {
        () = tokio::time::sleep(60 * SECOND) => {}
        never = forwarding.as_mut() => match never {},
    }
    let expected: Vec<_> = (0..360).map(|number| format!("order-{number}")).collect();
    assert_eq!(remote.keys().await, expected, "each once, in order");
    assert_eq!((held(&local).await, local.stats().await.unwrap().delivered), (0, 360));
    assert!(!queue.push(nth(999)).await.unwrap().spilled);
}

#[tokio::test(start_paused = true)]
async fn remote_that_hangs_costs_its_time_limit_and_after_three_nothing() {
    let (remote, local) = (Remote::new(Mood::Hangs), MemoryQueue::default());
    let queue = spill(&remote, &local);
    let begun = time::now();
    for number in 0..10 {
        assert!(queue.push(nth(number)).await.unwrap().spilled);
    }
    assert_eq!((time::now() - begun, remote.asked()), (3 * SECOND, 3));
    assert_eq!(queue.circuit_breaker().state(), CircuitState::Open);
    let refused = queue.forward(9).await;
    assert!(matches!(refused.refused, Some(PushErrorKind::Storage(said)) if said.contains("open")));
    assert_eq!(remote.asked(), 3, "a forwarder does not ask either");

    remote.is(Mood::Up);
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(queue.forward(4).await, Forwarded { delivered: 4, ..Forwarded::default() });
    assert_eq!(queue.forward(99).await.delivered, 6);
    assert_eq!(queue.forward(99).await, Forwarded::default());
}

#[tokio::test(start_paused = true)]
async fn letter_that_was_stored_late_is_known_by_its_key() {
    let (remote, local) = (Remote::new(Mood::Late), MemoryQueue::default());
    let queue = spill(&remote, &local);
    assert!(queue.push(nth(1)).await.unwrap().spilled);
    remote.is(Mood::Up);
    assert_eq!(queue.forward(9).await.delivered, 1);
    assert_eq!(remote.keys().await, ["order-1"]);
}

#[tokio::test(start_paused = true)]
async fn d1_both_fail_and_the_letter_comes_back_with_both_reasons() {
    let full = MemoryQueue::builder().capacity(1).build().unwrap();
    full.push(nth(0)).await.unwrap();
    for (mood, said) in [
        (Mood::Down, "dead letter could not be stored: connection refused"),
        (Mood::Hangs, "dead letter queue did not answer in time"),
    ] {
        let queue = spill(&Remote::new(mood), &full);
        let error = queue.push(nth(1)).await.unwrap_err();
        assert_eq!(*error.letter, nth(1));
        assert_eq!(error.to_string(), format!("neither queue took it: {said}; dead letter queue is full"));
    }
}

#[tokio::test(start_paused = true)]
async fn letter_too_large_for_the_remote_queue_is_not_spilled() {
    let (remote, local) = (Remote::new(Mood::TooLarge), MemoryQueue::default());
    let queue = spill(&remote, &local);
    for _ in 0..5 {
        let error = queue.push(nth(1)).await.unwrap_err();
        assert_eq!((*error.letter, error.kind), (nth(1), PushErrorKind::TooLarge));
    }
    assert_eq!((held(&local).await, remote.asked()), (0, 5), "a queue that says so is there");
    // Spilled while it was down, and found too large later: put aside, and others go on.
    remote.is(Mood::Full);
    queue.push(nth(1)).await.unwrap();
    remote.is(Mood::TooLarge);
    assert_eq!(queue.forward(9).await, Forwarded { quarantined: 1, ..Forwarded::default() });
    remote.is(Mood::Full);
    queue.push(nth(2)).await.unwrap();
    remote.is(Mood::Up);
    assert_eq!(queue.forward(9).await.delivered, 1);
    assert_eq!((local.stats().await.unwrap().quarantined, remote.keys().await.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn full_remote_queue_spills_and_keeps_the_circuit_closed() {
    let (remote, local) = (Remote::new(Mood::Full), MemoryQueue::default());
    let queue = spill(&remote, &local);
    for number in 0..10 {
        assert!(queue.push(nth(number)).await.unwrap().spilled);
    }
    assert_eq!((queue.circuit_breaker().state(), held(&local).await), (CircuitState::Closed, 10));
}

#[tokio::test(start_paused = true)]
async fn forwarding_stops_at_the_first_refusal_and_leaves_that_letter_ready() {
    let (remote, local) = (Remote::new(Mood::Down), MemoryQueue::default());
    let queue = spill(&remote, &local);
    for number in 0..3 {
        local.push(nth(number)).await.unwrap();
    }
    let done = queue.forward(9).await;
    assert!(matches!(done, Forwarded { delivered: 0, refused: Some(PushErrorKind::Storage(_)), .. }));
    assert_eq!((remote.asked(), local.stats().await.unwrap().ready), (1, 3));
    let letters = local.peek(&LetterFilter::new(), 9).await.unwrap();
    assert!(letters.iter().all(|letter| (letter.redrives, letter.unsettled) == (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn forwarded_letter_carries_where_it_comes_from_and_a_key() {
    let (remote, local) = (Remote::new(Mood::Up), MemoryQueue::default());
    let queue = SpillQueue::builder(remote.clone(), local.clone()).local_number(7).build().unwrap();
    let letter = DeadLetter::new("charge").payload(Payload::text("3 EUR"));
    let id = local.push(letter.clone()).await.unwrap().id;
    let mut imported = nth(2);
    imported.origin = Some(Origin::new(1, LetterId::new(99)));
    local.push(imported.clone()).await.unwrap();
    assert_eq!(queue.forward(9).await.delivered, 2);
    let arrived = remote.stored.peek(&LetterFilter::new(), 9).await.unwrap();
    assert_eq!(arrived[0].origin, Some(Origin::new(7, id)));
    assert!(arrived[0].idempotency_key.is_some(), "or a copy of it could not be known");
    assert_eq!((&arrived[0].payload, arrived[0].died_at), (&letter.payload, letter.died_at));
    assert_eq!(arrived[1].origin, imported.origin, "where it was first stored");
}

#[tokio::test(start_paused = true)]
async fn d18_push_dropped_at_any_await_stores_the_whole_letter_or_nothing() {
    for mood in [Mood::Up, Mood::Down, Mood::Hangs, Mood::Late] {
        for polls in 0..6 {
            let (remote, local) = (Remote::new(mood), MemoryQueue::default());
            let queue = spill(&remote, &local);
            let mut push = tokio_test::task::spawn(queue.push(nth(1)));
            let ended = (0..polls).any(|_| push.poll().is_ready());
            drop(push);
            let stored = held(&remote).await + held(&local).await;
            assert!(stored <= 1 && (stored == 1 || !ended), "{mood:?} after {polls} polls");
            assert!(queue.circuit_breaker().admit().is_ok(), "its place in the circuit is free");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn d18_forwarder_dropped_at_every_await_loses_nothing_and_doubles_nothing() {
    let (remote, local) = (Remote::new(Mood::Up), MemoryQueue::default());
    let queue = spill(&remote, &local);
    for number in 0..5 {
        local.push(nth(number)).await.unwrap();
    }
    for polls in (0..8).cycle().take(64) {
        let mut forward = tokio_test::task::spawn(queue.forward(1));
        let _ended = (0..polls).any(|_| forward.poll().is_ready());
        drop(forward);
        tokio::time::advance(32 * SECOND).await;
    }
    assert_eq!(queue.forward(99).await.failed, None);
    assert_eq!(remote.keys().await, (0..5).map(|number| format!("order-{number}")).collect::<Vec<_>>());
    assert_eq!(held(&local).await, 0, "not even in quarantine");
}

#[tokio::test(start_paused = true)]
async fn letters_whose_forwarders_died_too_often_are_forwarded_all_the_same() {
    let (remote, local) = (Remote::new(Mood::Hangs), MemoryQueue::default());
    let queue = spill(&remote, &local);
    local.push(nth(1)).await.unwrap();
    local.push(nth(2)).await.unwrap();
    local.quarantine(&LetterFilter::new().idempotency_key("order-2"), &ByHand::of("ana")).await.unwrap();
    for _ in 0..MAX_UNSETTLED {
        assert!(queue.forward(1).now_or_never().is_none());
        tokio::time::advance(32 * SECOND).await;
    }
    let aside = LetterFilter::new().state(LetterState::Quarantined);
    assert_eq!(local.peek(&aside, 9).await.unwrap().len(), 2);
    remote.is(Mood::Up);
    assert_eq!(queue.forward(9).await.delivered, 1);
    let left = local.peek(&aside, 9).await.unwrap();
    assert_eq!(left[0].idempotency_key.as_deref(), Some("order-2"), "put aside by hand, it stays there");
}

#[tokio::test(start_paused = true)]
async fn forwarders_side_by_side_deliver_each_letter_once() {
    let (remote, local) = (Remote::new(Mood::Up), MemoryQueue::default());
    let queue = spill(&remote, &local);
    for number in 0..100 {
        local.push(nth(number)).await.unwrap();
    }
    let forwarders = (0..4).map(|_| queue.forward(1000));
    let delivered: u64 = futures::future::join_all(forwarders).await.iter().map(|done| done.delivered).sum();
    assert_eq!((delivered, held(&remote).await, remote.asked()), (100, 100, 100));
}

#[tokio::test(start_paused = true)]
async fn it_survives_what_both_survive() {
    let local = MemoryQueue::default();
    assert_eq!(spill(&Remote::new(Mood::Up), &local).survives(), Survives::Nothing);
    let (weak, strong) =
        (Remote { survives: Survives::Crash, ..Remote::new(Mood::Up) }, Remote::new(Mood::Up));
    for (remote, local) in [(&weak, &strong), (&strong, &weak)] {
        let queue = SpillQueue::builder(remote.clone(), local.clone()).build().unwrap();
        assert_eq!(queue.survives(), Survives::Crash);
    }
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let builder = || SpillQueue::builder(MemoryQueue::default(), MemoryQueue::default());
    for (builder, setting) in [
        (builder().time_limit(Duration::ZERO), "time_limit"),
        (builder().look_every(Duration::ZERO), "look_every"),
        (builder().backoff(Backoff::exponential(SECOND).factor(f64::NAN)), "factor"),
        (builder().circuit_breaker(CircuitBreaker::builder("b").minimum_calls(0)), "minimum_calls"),
    ] {
        assert_eq!(builder.build().unwrap_err().setting, setting);
    }
    assert!(builder().time_limit(Duration::MAX).look_every(Duration::MAX).build().is_ok());
}

#[tokio::test(start_paused = true)]
async fn futures_go_between_threads() {
    fn sent<T: Send>(_: T) {}
    let queue = SpillQueue::builder(MemoryQueue::default(), MemoryQueue::default()).build().unwrap();
    sent(queue.forward(1));
    sent(queue.forwarding());
    sent(queue.push(nth(1)));
    assert_eq!(queue.close().await, Ok(()));
}
