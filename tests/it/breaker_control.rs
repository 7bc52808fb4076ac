//! Control by hand, mixed with what the circuit does by itself: what is told, who votes, who is counted.

use std::time::Duration;

use recoup::{
    BreakerGroup, CircuitBreaker, CircuitBreakerBuilder, CircuitBreakers, CircuitState, HalfOpen, Outcome,
    Ramp, Trip, Window,
};

use crate::breaker_watch::{Seen, kinds, lets_in, report, watch};

const SECOND: Duration = Duration::from_secs(1);

/// Opens at the first failure, for ten seconds; one probe closes it.
fn touchy() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("touchy")
        .consecutive_failures(1)
        .open_for(10 * SECOND)
        .half_open(HalfOpen::probes(1))
        .no_ramp()
}

/// A gauge that follows the events would show a circuit open for ever, if taking back a circuit that was
/// opened by hand were told to nobody.
#[tokio::test(start_paused = true)]
async fn every_opening_by_hand_is_followed_by_its_end() {
    let (observer, seen) = watch();
    let breaker = touchy().observer(observer).build().unwrap();
    for take_back in [CircuitBreaker::reset, CircuitBreaker::automatic, CircuitBreaker::force_closed] {
        breaker.force_open();
        breaker.force_open();
        take_back(&breaker);
        assert_eq!(kinds(&seen), ["opened", "closed"]);
    }
    breaker.reset();
    for let_all_in in [CircuitBreaker::disable, CircuitBreaker::observe_only] {
        breaker.force_open();
        let_all_in(&breaker);
        breaker.automatic();
        assert_eq!(kinds(&seen), ["opened", "closed"]);
    }
}

/// What is open already does not open once more, whoever opens it.
#[tokio::test(start_paused = true)]
async fn open_circuit_that_is_forced_open_is_not_told_twice() {
    let (observer, seen) = watch();
    let breaker = touchy().observer(observer).build().unwrap();
    report(&breaker, Outcome::Failure);
    breaker.force_open();
    assert_eq!(kinds(&seen), ["opened"]);
    // Back to the machine, whose open time is over by now: the next caller probes.
    tokio::time::advance(20 * SECOND).await;
    breaker.automatic();
    assert_eq!(kinds(&seen), Vec::<&str>::new());
    report(&breaker, Outcome::Success);
    assert_eq!(kinds(&seen), ["half-opened", "closed"]);
}

/// A circuit that only observed and would be open starts to reject when it is followed again; that is an
/// opening, with what tripped it and the time that is left.
#[tokio::test(start_paused = true)]
async fn following_a_circuit_that_would_be_open_is_an_opening() {
    let (observer, seen) = watch();
    let breaker = touchy().observer(observer).build().unwrap();
    breaker.observe_only();
    report(&breaker, Outcome::Failure);
    assert_eq!(kinds(&seen), ["would open"]);
    tokio::time::advance(4 * SECOND).await;
    assert!(lets_in(&breaker));
    breaker.automatic();
    let opened: Vec<Seen> = seen.try_iter().collect();
    let generation = breaker.snapshot().generation;
    let trip = Trip::ConsecutiveFailures { failures: 1 };
    assert_eq!(opened, [Seen::Opened { trip, open_for: 6 * SECOND, generation }]);
    assert!(!lets_in(&breaker));
}

/// Whatever the machine below has tripped on meanwhile: who opens it by hand is what opened it, and has named no
/// end.
#[tokio::test(start_paused = true)]
async fn opening_by_hand_is_told_as_that_and_without_an_end() {
    let (observer, seen) = watch();
    let breaker = touchy().observer(observer).build().unwrap();
    for by_isolation in [false, true] {
        breaker.observe_only();
        report(&breaker, Outcome::Failure);
        assert_eq!(kinds(&seen), ["would open"]);
        let isolation = by_isolation.then(|| breaker.isolate());
        if isolation.is_none() {
            breaker.force_open();
        }
        let opened: Vec<Seen> = seen.try_iter().collect();
        let generation = breaker.snapshot().generation;
        assert_eq!(opened, [Seen::Opened { trip: Trip::Manual, open_for: Duration::MAX, generation }]);
        drop(isolation);
        breaker.reset();
        assert_eq!(kinds(&seen), ["closed"]);
    }
}

/// An open circuit knows when it would let a probe in; who isolates it has not said when that ends.
#[tokio::test(start_paused = true)]
async fn isolated_circuit_names_no_moment_to_come_back() {
    let breaker = touchy().build().unwrap();
    report(&breaker, Outcome::Failure);
    let isolation = breaker.isolate();
    assert_eq!(breaker.admit().unwrap_err().until, None);
    drop(isolation);
    assert_eq!(breaker.admit().unwrap_err().retry_in(), Some(10 * SECOND));
}

/// A circuit that only observes turns nobody away, so nobody is told that it let probes through or closed.
#[tokio::test(start_paused = true)]
async fn observing_circuit_tells_only_what_it_would_do() {
    let (observer, seen) = watch();
    let breaker = touchy().observer(observer).build().unwrap();
    breaker.observe_only();
    for _ in 0..3 {
        report(&breaker, Outcome::Failure);
        tokio::time::advance(10 * SECOND).await;
        report(&breaker, Outcome::Success);
        assert_eq!(breaker.snapshot().state, CircuitState::Closed, "the probe closed it");
    }
    assert_eq!(kinds(&seen), ["would open", "would open", "would open"]);
}

/// Isolation rejects every call, so it is told as an opening, and its end as a closing.
#[tokio::test(start_paused = true)]
async fn isolation_is_told_once_for_all_handles() {
    let (observer, seen) = watch();
    let breaker = touchy().observer(observer).build().unwrap();
    let first = breaker.isolate();
    let second = breaker.isolate();
    drop(first);
    breaker.reset();
    breaker.force_closed();
    assert!(!lets_in(&breaker), "isolation is stronger than any control");
    drop(second);
    assert_eq!(kinds(&seen), ["opened", "closed"]);
    assert!(lets_in(&breaker));
}

/// Calls that were under way when somebody isolated the circuit do not vote afterwards.
#[tokio::test(start_paused = true)]
async fn calls_from_before_an_isolation_do_not_vote() {
    let breaker = touchy().build().unwrap();
    let before = breaker.admit().unwrap();
    let isolation = breaker.isolate();
    before.settle(Outcome::Failure);
    drop(isolation);
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert_eq!(breaker.snapshot().consecutive_failures, 0);
}

/// A probe under way when the circuit is isolated must not keep its place from those who come after.
#[tokio::test(start_paused = true)]
async fn isolation_frees_the_places_of_probes() {
    let breaker = touchy().build().unwrap();
    report(&breaker, Outcome::Failure);
    tokio::time::advance(10 * SECOND).await;
    let probe = breaker.admit().unwrap();
    drop(breaker.isolate());
    let fresh = breaker.admit().expect("the place is free");
    probe.settle(Outcome::Failure);
    assert_eq!(breaker.state(), CircuitState::HalfOpen, "the old probe does not vote");
    fresh.settle(Outcome::Success);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// A restored circuit is open, so its group must count it, or too many of the group are open.
#[tokio::test(start_paused = true)]
async fn restored_open_member_counts_in_its_group() {
    let group = BreakerGroup::new(0.5).unwrap();
    let open = touchy().build().unwrap();
    report(&open, Outcome::Failure);
    let restored = touchy().restore(&open.snapshot()).group(&group).build().unwrap();
    let other = touchy().group(&group).build().unwrap();
    assert_eq!((group.members(), group.open()), (2, 1));
    report(&other, Outcome::Failure);
    assert_eq!(other.state(), CircuitState::Closed, "one of two is half of them");
    tokio::time::advance(10 * SECOND).await;
    report(&restored, Outcome::Success);
    assert_eq!(group.open(), 0);
}

/// When the group did not let a half-open circuit open again, its probes stayed used up and it rejected
/// every call for ever.
#[tokio::test(start_paused = true)]
async fn half_open_member_that_may_not_open_is_not_wedged() {
    let group = BreakerGroup::new(0.5).unwrap();
    let open = touchy().build().unwrap();
    report(&open, Outcome::Failure);
    let alone = touchy().restore(&open.snapshot()).group(&group).build().unwrap();
    for _ in 0..5 {
        tokio::time::advance(3600 * SECOND).await;
        assert!(lets_in(&alone));
        report(&alone, Outcome::Failure);
    }
}

/// A member that only observes lets every call in; it must not use up the group's openings.
#[tokio::test(start_paused = true)]
async fn observing_member_takes_nobodys_place_in_the_group() {
    let group = BreakerGroup::new(0.5).unwrap();
    let (observing, real) =
        (touchy().group(&group).build().unwrap(), touchy().group(&group).build().unwrap());
    observing.observe_only();
    report(&observing, Outcome::Failure);
    assert_eq!(group.open(), 0);
    report(&real, Outcome::Failure);
    assert_eq!((real.state(), group.open()), (CircuitState::Open, 1));
    // Followed again, it would be one too many: it is closed instead.
    observing.automatic();
    assert_eq!((observing.state(), group.open()), (CircuitState::Closed, 1));
}

/// A member that is followed again takes its place in the group again, if there is room.
#[tokio::test(start_paused = true)]
async fn open_member_that_is_followed_again_stays_open_if_the_group_has_room() {
    let group = BreakerGroup::new(0.5).unwrap();
    let (member, _other) = (touchy().group(&group).build().unwrap(), touchy().group(&group).build().unwrap());
    report(&member, Outcome::Failure);
    member.disable();
    assert_eq!(group.open(), 0);
    member.automatic();
    assert_eq!((member.state(), group.open()), (CircuitState::Open, 1));
}

/// Places in the group come back however a circuit stops being open.
#[tokio::test(start_paused = true)]
async fn group_loses_no_place() {
    let group = BreakerGroup::new(1.0).unwrap();
    let open_member = || {
        let breaker = touchy().group(&group).build().unwrap();
        report(&breaker, Outcome::Failure);
        assert_eq!((group.members(), group.open()), (1, 1));
        breaker
    };
    let ends: [fn(&CircuitBreaker); 5] = [
        CircuitBreaker::reset,
        CircuitBreaker::force_closed,
        CircuitBreaker::disable,
        CircuitBreaker::observe_only,
        |breaker| {
            breaker.force_open();
            breaker.reset();
        },
    ];
    for end in ends {
        let breaker = open_member();
        end(&breaker);
        assert_eq!((group.members(), group.open()), (1, 0));
        drop(breaker);
        assert_eq!((group.members(), group.open()), (0, 0));
    }
    let held_open = open_member();
    held_open.force_open();
    assert_eq!(group.open(), 1, "it still rejects");
    drop(held_open);
    drop(open_member());
    assert_eq!((group.members(), group.open()), (0, 0));
}

/// A circuit that was open for ever came back closed from its snapshot, and one forced open came back
/// following its rules.
#[tokio::test(start_paused = true)]
async fn restored_circuit_is_as_its_snapshot_says() {
    let for_ever = touchy().open_for(Duration::MAX).build().unwrap();
    report(&for_ever, Outcome::Failure);
    let restored = touchy().restore(&for_ever.snapshot()).build().unwrap();
    assert!(!lets_in(&restored));
    assert_eq!(restored.snapshot().last_trip, for_ever.snapshot().last_trip);

    for set in [
        CircuitBreaker::force_open,
        CircuitBreaker::force_closed,
        CircuitBreaker::disable,
        CircuitBreaker::observe_only,
    ] {
        let breaker = touchy().build().unwrap();
        set(&breaker);
        let restored = touchy().restore(&breaker.snapshot()).build().unwrap();
        assert_eq!(restored.snapshot().control, breaker.snapshot().control);
        assert_eq!(lets_in(&restored), lets_in(&breaker));
        restored.reset();
        assert!(lets_in(&restored), "the machine below was closed");
    }
}

/// A rejection by a circuit that is open for ever does not name a day.
#[tokio::test(start_paused = true)]
async fn open_for_ever_has_no_end() {
    let breaker = touchy().open_for(Duration::MAX).build().unwrap();
    report(&breaker, Outcome::Failure);
    assert_eq!(breaker.admit().unwrap_err().until, None);
}

/// While traffic comes back, those turned away were told to come at once, and a caller that waits as told
/// would spin.
#[tokio::test(start_paused = true)]
async fn caller_turned_away_by_the_ramp_is_told_to_wait() {
    let breaker = touchy().ramp(Ramp::new(0.1, 10 * SECOND)).build().unwrap();
    report(&breaker, Outcome::Failure);
    tokio::time::advance(10 * SECOND).await;
    report(&breaker, Outcome::Success);
    for gone in 0..10 {
        let left = (10 - gone) * SECOND;
        let turned = (0..20).filter_map(|_| match breaker.admit() {
            Ok(permit) => {
                permit.settle(Outcome::Ignored);
                None
            }
            Err(open) => open.retry_in(),
        });
        let told: Vec<Duration> = turned.collect();
        assert!(gone > 8 || !told.is_empty());
        assert!(told.iter().all(|told| *told >= left / 2 && *told <= left), "{told:?} of {left:?}");
        tokio::time::advance(SECOND).await;
    }
    assert!((0..20).all(|_| lets_in(&breaker)));
}

/// A key whose circuit had opened, closed again and was then left alone kept its place for ever, because
/// nobody came to see that its ramp was over.
#[tokio::test(start_paused = true)]
async fn recovered_key_that_nobody_asks_for_can_be_forgotten() {
    let hosts =
        CircuitBreakers::new(1, |_: &u32| touchy().ramp(Ramp::new(0.1, SECOND)).reset_after(60 * SECOND))
            .unwrap();
    report(&hosts.get(&1), Outcome::Failure);
    tokio::time::advance(10 * SECOND).await;
    report(&hosts.get(&1), Outcome::Success);
    tokio::time::advance(2 * SECOND).await;
    // Its next break would be longer than a first one: that is worth remembering.
    hosts.get(&2);
    assert_eq!(hosts.get(&1).snapshot().openings, 1);
    tokio::time::advance(60 * SECOND).await;
    hosts.get(&3);
    assert_eq!((hosts.len(), hosts.overflowed()), (1, 1));
    assert_eq!(hosts.get(&1).snapshot().openings, 0, "made anew");
}

/// A window of calls that can never hold the minimum was accepted beside a window of time, and never judged.
#[test]
fn window_that_can_never_be_judged_is_refused() {
    for window in [Window::last_calls(10), Window::last_calls(10).and_last(SECOND)] {
        let error = CircuitBreaker::builder("db").window(window).minimum_calls(11).build().unwrap_err();
        assert_eq!(error.setting, "minimum_calls");
    }
}
