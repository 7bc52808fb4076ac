//! A redriver carries out what is written down, through pauses, crashes and competition.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]
#![expect(clippy::disallowed_methods, reason = "a test reads the paused clock itself")]
#![expect(clippy::disallowed_types, reason = "the crate's own lock is not public")]

mod world;

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use recoup::{
    Attempt, ByHand, CircuitBreaker, DeadLetter, DeadLetterQueue, Deed, HalfOpen, LetterFilter, LetterId,
    LetterState, MemoryQueue, Reason, Recovery, RecoveryBuilder, RedriveError, RedriveOrder, RedriveRun,
    Redriver, RetryBudget, RetryPolicy, RunBook, RunId, RunOwner, RunState, Shutdown, Stopped, redrive,
};
use tokio::time::{Instant, advance, sleep};

use self::world::{Sink, Stepping, step};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn builder(queue: impl DeadLetterQueue + 'static) -> RecoveryBuilder<io::Error> {
    Recovery::builder("bank").retry(RetryPolicy::never()).dead_letters(queue)
}

fn recovery_of(queue: &MemoryQueue) -> Recovery<io::Error> {
    builder(queue.clone()).build().unwrap()
}

async fn fill(queue: &MemoryQueue, letters: u64) {
    for number in 1..=letters {
        let letter = DeadLetter::new("charge").destination("bank").idempotency_key(format!("order-{number}"));
        queue.push(letter).await.unwrap();
    }
}

async fn queue_of(letters: u64) -> MemoryQueue {
    let queue = MemoryQueue::builder().capacity(100_000).build().unwrap();
    fill(&queue, letters).await;
    queue
}

fn order() -> RedriveOrder {
    RedriveOrder::builder(LetterFilter::new()).build().unwrap()
}

async fn up(_: Arc<DeadLetter>, _: Attempt) -> io::Result<()> {
    Ok(())
}

fn down() -> io::Error {
    io::Error::other("still down")
}

async fn run_of(queue: &MemoryQueue, id: RunId) -> RedriveRun {
    queue.run(id).await.unwrap().unwrap()
}

/// Waits until the run is over.
async fn end_of(queue: &MemoryQueue, id: RunId) -> RedriveRun {
    loop {
        let run = run_of(queue, id).await;
        if run.state.is_over() {
            return run;
        }
        sleep(100 * MS).await;
    }
}

fn adds_up(run: &RedriveRun) {
    let progress = &run.progress;
    assert_eq!(progress.meant, progress.done() + progress.untouched, "{run:?}");
}

#[tokio::test(start_paused = true)]
async fn d3_40_000_letters_at_500_a_second_pause_with_the_circuit_and_all_arrive_once() {
    let queue = queue_of(40_000).await;
    let breaker = CircuitBreaker::builder("bank")
        .consecutive_failures(5)
        .open_for(10 * SECOND)
        .half_open(HalfOpen::probes(1));
    let budget = RetryBudget::builder().reserve(100).no_trickle().build().unwrap();
    let recovery = builder(queue.clone())
        .retry(RetryPolicy::fixed(MS).max_attempts(2).budget(budget))
        .circuit_breaker(breaker)
        .build()
        .unwrap();
    let (start, sink, failed) = (Instant::now(), Arc::new(Sink::default()), Arc::new(AtomicU32::new(0)));
    let (served, refused) = (Arc::clone(&sink), Arc::clone(&failed));
    let bank = move |letter: Arc<DeadLetter>, _| {
        // Down from the 20th to the 50th second.
        let is_down = (20..50).contains(&start.elapsed().as_secs());
        if is_down {
            refused.fetch_add(1, Ordering::Relaxed);
        } else {
            served.take(&letter);
        }
        async move { if is_down { Err(down()) } else { Ok(()) } }
    };
    let redriver = tokio::spawn(Redriver::new(&recovery, bank).run());
    let by = ByHand::of("ana").because("bank is back");
    let order = RedriveOrder::builder(LetterFilter::new().destination("bank"))
        .rate(500.0)
        .concurrency(8)
        .by(by.clone())
        .build()
        .unwrap();
    let id = queue.begin(order.clone(), None).await.unwrap().id;

    sleep(30 * SECOND).await;
    let paused = run_of(&queue, id).await;
    assert_eq!(paused.state, RunState::Paused { why: "circuit breaker `bank` is open".to_owned() });
    assert!(paused.progress.delivered > 7_000 && paused.progress.untouched > 30_000, "{paused:?}");

    let run = end_of(&queue, id).await;
    let took = start.elapsed();
    adds_up(&run);
    assert_eq!(run.state, RunState::Finished);
    let (delivered, burnt) = (run.progress.delivered, run.progress.failed);
    assert_eq!(delivered + burnt, 40_000, "{run:?}");
    assert!(burnt <= 10, "only letters whose call was made are counted: {run:?}");
    assert_eq!(sink.calls(), u32::try_from(delivered).unwrap());
    let held = queue.peek(&LetterFilter::new(), 99).await.unwrap();
    let counted: u32 = held.iter().map(|letter| letter.redrives).sum();
    assert_eq!((u64::try_from(held.len()).unwrap(), u64::from(counted)), (burnt, burnt));
    assert!(failed.load(Ordering::Relaxed) < 30, "the circuit kept the others away");
    // 80 s at the full rate, 2.5 s more for each of two ramps, and a pause of 30 to 40 s.
    assert!((114 * SECOND..130 * SECOND).contains(&took), "{took:?}");

    let again = queue.begin(order, None).await.unwrap().id;
    end_of(&queue, again).await;
    assert_eq!((sink.effects(), sink.calls()), (40_000, 40_000));
    let act = queue.acts(9).await.unwrap().pop().unwrap();
    assert_eq!((act.deed, act.by, act.letters), (Deed::Redriven, by, 40_000));
    assert_eq!((act.filter, act.at), (LetterFilter::new().destination("bank"), run.created_at));
    redriver.abort();
}

#[tokio::test(start_paused = true)]
async fn d4_letter_that_fails_three_runs_is_left_alone_by_the_fourth() {
    let queue = queue_of(1).await;
    let redriver =
        tokio::spawn(Redriver::new(&recovery_of(&queue), |_, _| async { Err::<(), _>(down()) }).run());
    for nth in 1..=3 {
        let id = queue.begin(order(), None).await.unwrap().id;
        let progress = end_of(&queue, id).await.progress;
        assert_eq!((progress.failed, progress.quarantined), if nth < 3 { (1, 0) } else { (0, 1) });
    }
    let run = queue.begin(order(), None).await.unwrap();
    assert_eq!(run.progress.meant, 0);
    assert_eq!(end_of(&queue, run.id).await.state, RunState::Finished);
    let letters = queue.peek(&LetterFilter::new().any_state(), 9).await.unwrap();
    let letter = &letters[0];
    assert_eq!((letters.len(), letter.redrives, letter.deliveries), (1, 3, 3));
    assert_eq!((letter.attempts_total(), letter.state), (3, LetterState::Quarantined));
    redriver.abort();
}

#[tokio::test(start_paused = true)]
async fn d4_pause_gives_letters_back_untouched() {
    let queue = queue_of(20).await;
    let breaker = CircuitBreaker::builder("bank").build().unwrap();
    let recovery = builder(queue.clone()).circuit_breaker(breaker.clone()).build().unwrap();
    breaker.force_open();
    let redriver = tokio::spawn(Redriver::new(&recovery, up).run());
    let wide = RedriveOrder::builder(LetterFilter::new()).concurrency(4).build().unwrap();
    let id = queue.begin(wide, None).await.unwrap().id;
    sleep(600 * SECOND).await;
    let run = run_of(&queue, id).await;
    assert_eq!((run.state.name(), run.progress.untouched), ("paused", 20));
    for letter in queue.peek(&LetterFilter::new(), 99).await.unwrap() {
        let counts = (letter.state, letter.redrives, letter.unsettled, letter.attempts_total());
        assert_eq!(counts, (LetterState::Ready, 0, 0, 0));
    }
    breaker.force_closed();
    let run = end_of(&queue, id).await;
    assert_eq!((run.state, run.progress.delivered, run.progress.meant), (RunState::Finished, 20, 20));
    redriver.abort();
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_one_letter_asks_first() {
    let queue = queue_of(20).await;
    let breaker = CircuitBreaker::builder("bank").build().unwrap();
    let recovery = builder(queue.clone()).circuit_breaker(breaker.clone()).build().unwrap();
    breaker.force_open();
    let redriver = tokio::spawn(Redriver::new(&recovery, up).poll_every(SECOND).run());
    let wide = RedriveOrder::builder(LetterFilter::new()).concurrency(8).build().unwrap();
    queue.begin(wide, None).await.unwrap();
    sleep(100 * SECOND).await;
    let letters = queue.peek(&LetterFilter::new(), 99).await.unwrap();
    let leases: u32 = letters.iter().map(|letter| letter.deliveries).sum();
    assert!((90..=110).contains(&leases), "{leases} leases in a hundred seconds");
    assert!(letters[1..].iter().all(|letter| letter.deliveries <= 1), "the first asks for all");
    redriver.abort();
}

/// The redriver is dropped after every number of polls there is, as by a crash, and another goes on.
#[tokio::test(start_paused = true)]
async fn d9_redriver_dropped_at_any_await_loses_nothing_and_repeats_under_the_same_key() {
    for (width, letters) in [(1, 3), (3, 6)] {
        let (mut polls, mut repeated, mut finished_itself) = (0, 0, false);
        while !finished_itself {
            let queue = queue_of(letters).await;
            let recovery = builder(Stepping::over(&queue)).build().unwrap();
            let sink = Arc::new(Sink::default());
            let op = |sink: &Arc<Sink>| {
                let sink = Arc::clone(sink);
                move |letter: Arc<DeadLetter>, _| {
                    let sink = Arc::clone(&sink);
                    async move {
                        step().await;
                        sink.take(&letter);
                        step().await;
                        Ok(())
                    }
                }
            };
            let order = RedriveOrder::builder(LetterFilter::new()).concurrency(width).build().unwrap();
            let id = queue.begin(order, None).await.unwrap().id;
            let mut first = Box::pin(Redriver::new(&recovery, op(&sink)).run());
            for _ in 0..polls {
                assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            drop(first);
            finished_itself = run_of(&queue, id).await.state == RunState::Finished;
            let calls = sink.calls();

            let second = tokio::spawn(Redriver::new(&recovery, op(&sink)).run());
            let run = end_of(&queue, id).await;
            second.abort();
            adds_up(&run);
            assert_eq!(run.state, RunState::Finished, "after {polls} polls");
            assert_eq!(
                (run.progress.untouched, run.progress.meant),
                (0, letters),
                "after {polls} polls: {run:?}"
            );
            assert_eq!(sink.effects(), usize::try_from(letters).unwrap(), "after {polls} polls");
            let stats = queue.stats().await.unwrap();
            assert_eq!((stats.held(), stats.delivered), (0, letters), "after {polls} polls");
            assert!(calls <= sink.calls());
            repeated += sink.calls() - u32::try_from(letters).unwrap();
            polls += 1;
        }
        assert!(repeated > 0, "some were dropped between the effect and its being settled");
        assert!(polls > 30, "{polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn d19_run_that_fails_makes_no_second_letter_even_when_it_is_carried_on_by_another() {
    let queue = queue_of(10).await;
    let recovery = recovery_of(&queue);
    let calls = Arc::new(AtomicU32::new(0));
    let op = |calls: &Arc<AtomicU32>| {
        let calls = Arc::clone(calls);
        move |_: Arc<DeadLetter>, _: Attempt| {
            calls.fetch_add(1, Ordering::Relaxed);
            async {
                sleep(SECOND).await;
                Err::<(), _>(down())
            }
        }
    };
    let id = queue.begin(order(), None).await.unwrap().id;
    let first = tokio::spawn(Redriver::new(&recovery, op(&calls)).run());
    sleep(5_500 * MS).await;
    first.abort();
    let second = tokio::spawn(Redriver::new(&recovery, op(&calls)).run());
    let run = end_of(&queue, id).await;
    second.abort();
    adds_up(&run);
    assert_eq!((run.progress.failed, run.progress.skipped), (10, 0), "{run:?}");
    let letters = queue.peek(&LetterFilter::new().any_state(), 99).await.unwrap();
    assert_eq!((letters.len(), queue.stats().await.unwrap().pushed), (10, 10));
    let redrives: u32 = letters.iter().map(|letter| letter.redrives).sum();
    assert!(redrives <= 11 && calls.load(Ordering::Relaxed) <= 12, "no letter is chased: {redrives}");
}

/// Whoever goes on after a crash at any await gives each letter one fair turn, and tells of each what is known.
#[tokio::test(start_paused = true)]
async fn d19_failing_run_dropped_at_any_await_makes_no_second_letter_and_its_numbers_add_up() {
    let (mut polls, mut finished_itself) = (0, false);
    while !finished_itself {
        let queue = queue_of(5).await;
        let recovery = builder(Stepping::over(&queue)).build().unwrap();
        let odd_ones = |letter: Arc<DeadLetter>, _| async move {
            step().await;
            if letter.id.get() % 2 == 1 { Ok(()) } else { Err(down()) }
        };
        let wide = RedriveOrder::builder(LetterFilter::new()).concurrency(2).build().unwrap();
        let id = queue.begin(wide, None).await.unwrap().id;
        let mut first = Box::pin(Redriver::new(&recovery, odd_ones).run());
        for _ in 0..polls {
            assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            advance(200 * MS).await; // so that it is saved now and then
        }
        drop(first);
        finished_itself = run_of(&queue, id).await.state == RunState::Finished;

        let second = tokio::spawn(Redriver::new(&recovery, odd_ones).run());
        let run = end_of(&queue, id).await;
        second.abort();
        adds_up(&run);
        assert_eq!((run.progress.failed, run.progress.meant), (2, 5), "after {polls} polls: {run:?}");
        assert_eq!((run.progress.untouched, run.progress.open.len()), (0, 0), "after {polls} polls: {run:?}");
        let stats = queue.stats().await.unwrap();
        assert_eq!((stats.ready, stats.delivered, stats.pushed), (2, 3, 5), "after {polls} polls");
        for letter in queue.peek(&LetterFilter::new(), 9).await.unwrap() {
            // Twice, if the first had told the letter and had no time to save that it had its turn.
            assert!((1..=2).contains(&letter.redrives), "after {polls} polls: {letter:?}");
        }
        polls += 1;
    }
    assert!(polls > 30, "{polls} polls");
}

#[tokio::test(start_paused = true)]
async fn two_redrivers_share_the_work_without_doubling_any() {
    let queue = queue_of(200).await;
    let sink = Arc::new(Sink::default());
    let mut redrivers = Vec::new();
    let busy: [Arc<AtomicU32>; 2] = Default::default();
    for mine in &busy {
        let (sink, mine) = (Arc::clone(&sink), Arc::clone(mine));
        let op = move |letter: Arc<DeadLetter>, _| {
            let (sink, mine) = (Arc::clone(&sink), Arc::clone(&mine));
            async move {
                sleep(10 * MS).await;
                sink.take(&letter);
                mine.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        };
        redrivers.push(tokio::spawn(Redriver::new(&recovery_of(&queue), op).run()));
    }
    let half = |filter: LetterFilter| {
        queue.begin(RedriveOrder::builder(filter).concurrency(2).build().unwrap(), None)
    };
    let one = half(LetterFilter::new().up_to(LetterId::new(100))).await.unwrap().id;
    let two = half(LetterFilter::new().after(LetterId::new(100))).await.unwrap().id;
    let both = half(LetterFilter::new()).await.unwrap().id;
    let mut delivered = 0;
    for id in [one, two, both] {
        let run = end_of(&queue, id).await;
        adds_up(&run);
        delivered += run.progress.delivered;
    }
    assert_eq!((delivered, sink.effects(), sink.calls()), (200, 200, 200));
    assert!(busy.iter().all(|mine| mine.load(Ordering::Relaxed) >= 50), "{busy:?}");
    for redriver in redrivers {
        redriver.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn owner_whose_call_takes_long_is_not_taken_for_gone() {
    let queue = queue_of(2).await;
    let calls = Arc::new(AtomicU32::new(0));
    let mut redrivers = Vec::new();
    for _ in 0..2 {
        let calls = Arc::clone(&calls);
        let slow = move |_: Arc<DeadLetter>, _: Attempt| {
            calls.fetch_add(1, Ordering::Relaxed);
            async {
                sleep(200 * SECOND).await;
                Ok(())
            }
        };
        redrivers.push(tokio::spawn(Redriver::new(&recovery_of(&queue), slow).run()));
    }
    let id = queue.begin(order(), None).await.unwrap().id;
    let run = end_of(&queue, id).await;
    assert_eq!((run.progress.delivered, calls.load(Ordering::Relaxed)), (2, 2));
    for redriver in redrivers {
        redriver.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn owner_who_comes_back_too_late_begins_nothing_and_writes_nothing() {
    let queue = queue_of(4).await;
    let recovery = recovery_of(&queue);
    let mut late = Box::pin(
        redrive(&recovery, &LetterFilter::new(), |_, _| async {
            sleep(SECOND).await;
            Ok(())
        })
        .into_future(),
    );
    assert!(late.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let id = queue.latest(1).await.unwrap()[0].id;
    // Nobody polls it: as when its thread stands still.
    let redriver = tokio::spawn(Redriver::new(&recovery, up).lease(10 * SECOND).run());
    sleep(40 * SECOND).await;
    let run = end_of(&queue, id).await;
    let report = late.await.unwrap();
    assert_eq!(report.stopped, Some(Stopped::TakenOver));
    assert_eq!((report.delivered, report.untouched), (1, 3));
    assert_eq!(run_of(&queue, id).await, run);
    adds_up(&run);
    assert_eq!((run.progress.delivered, run.progress.skipped), (3, 1), "{run:?}");
    redriver.abort();
}

#[tokio::test(start_paused = true)]
async fn letters_that_were_under_way_at_a_crash_have_their_turn_when_they_come_back() {
    let queue = queue_of(6).await;
    let recovery = recovery_of(&queue);
    let id = queue.begin(RedriveOrder::builder(LetterFilter::new()).concurrency(3).build().unwrap(), None);
    let id = id.await.unwrap().id;
    // Letters 2 and 4 hang, the others pass them by.
    let hangs = |letter: Arc<DeadLetter>, _| async move {
        if [2, 4].contains(&letter.id.get()) {
            std::future::pending::<()>().await;
        }
        Ok(())
    };
    let crashes = tokio::spawn(Redriver::new(&recovery, hangs).lease(60 * SECOND).run());
    sleep(3 * SECOND).await;
    crashes.abort();
    let saved = run_of(&queue, id).await.progress;
    assert_eq!(
        (saved.delivered, saved.reached.get(), saved.open),
        (4, 6, vec![LetterId::new(2), LetterId::new(4)])
    );
    let redriver = tokio::spawn(Redriver::new(&recovery, up).lease(60 * SECOND).run());
    let run = end_of(&queue, id).await;
    assert_eq!((run.progress.delivered, run.progress.skipped, run.progress.meant), (6, 0, 6));
    assert_eq!(queue.stats().await.unwrap().held(), 0);
    redriver.abort();
}

#[tokio::test(start_paused = true)]
async fn run_that_a_shutdown_paused_is_carried_on_at_once() {
    let queue = queue_of(10).await;
    let shutdown = Shutdown::new();
    let stopping = builder(queue.clone()).shutdown(&shutdown).build().unwrap();
    let id = queue.begin(order(), None).await.unwrap().id;
    let slow = |_, _| async {
        sleep(SECOND).await;
        Ok(())
    };
    let first = tokio::spawn(Redriver::new(&stopping, slow).run());
    sleep(2_500 * MS).await;
    shutdown.trigger();
    assert_eq!(first.await.unwrap(), Ok(()), "it stops with the program");
    let run = run_of(&queue, id).await;
    assert_eq!((run.owner, run.state.name()), (None, "paused"));
    assert_eq!(run.progress.delivered, 3, "the call under way was left to end");
    let start = Instant::now();
    let second = tokio::spawn(Redriver::new(&recovery_of(&queue), up).run());
    let run = end_of(&queue, id).await;
    assert!(start.elapsed() <= SECOND);
    assert_eq!((run.progress.delivered, run.progress.meant), (10, 10));
    second.abort();
}

#[tokio::test(start_paused = true)]
async fn cancelled_while_paused_it_never_goes_on() {
    let queue = queue_of(5).await;
    let breaker = CircuitBreaker::builder("bank").build().unwrap();
    let recovery = builder(queue.clone()).circuit_breaker(breaker.clone()).build().unwrap();
    breaker.force_open();
    let redriver = tokio::spawn(Redriver::new(&recovery, up).run());
    let id = queue.begin(order(), None).await.unwrap().id;
    sleep(5 * SECOND).await;
    let by = ByHand::of("ana");
    queue.cancel(id, &by).await.unwrap();
    breaker.force_closed();
    sleep(60 * SECOND).await;
    let run = run_of(&queue, id).await;
    assert_eq!((run.state, run.owner), (RunState::Cancelled { by }, None));
    assert_eq!((run.progress.untouched, queue.stats().await.unwrap().ready), (5, 5));
    let next = queue.begin(order(), None).await.unwrap().id;
    assert_eq!(end_of(&queue, next).await.progress.delivered, 5, "it goes on with the next run");
    redriver.abort();
}

#[tokio::test(start_paused = true)]
async fn runs_go_one_after_the_other_and_only_those_that_it_takes() {
    let queue = queue_of(2).await;
    let order_of = |who| RedriveOrder::builder(LetterFilter::new()).by(ByHand::of(who)).build().unwrap();
    let not_mine = queue.begin(order_of("ana"), None).await.unwrap().id;
    let dry = RedriveOrder::builder(LetterFilter::new()).dry_run(true).build().unwrap();
    let dry = queue.begin(dry, None).await.unwrap().id;
    let mine = queue.begin(order_of("bob"), None).await.unwrap().id;
    let redriver = Redriver::new(&recovery_of(&queue), up)
        .takes(move |run| run.order.by().who.as_deref() != Some("ana"));
    let redriver = tokio::spawn(redriver.into_future());
    assert_eq!(end_of(&queue, mine).await.progress.delivered, 2);
    assert_eq!(run_of(&queue, not_mine).await.state, RunState::Waiting);
    let dry = run_of(&queue, dry).await;
    assert_eq!(
        (dry.state, dry.progress.untouched),
        (RunState::Finished, 2),
        "it came first, and sent nothing"
    );
    assert_eq!(dry.groups.into_values().collect::<Vec<_>>(), [2]);
    redriver.abort();
}

#[tokio::test(start_paused = true)]
async fn redriver_that_cannot_work_says_why() {
    let bare = Recovery::<io::Error>::builder("bank").build().unwrap();
    assert_eq!(Redriver::new(&bare, up).run().await, Err(RedriveError::NoQueue));
    let forgets = builder(Stepping::that_forgets(&queue_of(3).await)).build().unwrap();
    assert_eq!(Redriver::new(&forgets, up).run().await, Err(RedriveError::NoRuns));
    let report = redrive(&forgets, &LetterFilter::new(), up).rate(50.0).concurrency(2).await.unwrap();
    assert_eq!((report.delivered, report.run), (3, None), "a redrive needs nothing written down");
    let recovery = recovery_of(&queue_of(0).await);
    let redriver = || Redriver::new(&recovery, up);
    for (redriver, setting) in [
        (redriver().lease(Duration::ZERO), "lease"),
        (redriver().poll_every(Duration::ZERO), "poll_every"),
        (redriver().takeover_after(Duration::ZERO), "takeover_after"),
    ] {
        let Err(RedriveError::Setting(error)) = redriver.run().await else { panic!("{setting}") };
        assert_eq!((error.policy, error.setting), ("redriver", setting));
    }
}

#[tokio::test(start_paused = true)]
async fn longest_settings_are_as_good_as_any() {
    let queue = queue_of(3).await;
    let redriver = Redriver::new(&recovery_of(&queue), up)
        .lease(Duration::MAX)
        .takeover_after(Duration::MAX)
        .poll_every(Duration::MAX);
    let id = queue.begin(order(), None).await.unwrap().id;
    let redriver = tokio::spawn(redriver.run());
    assert_eq!(end_of(&queue, id).await.progress.delivered, 3);
    redriver.abort();
}

#[tokio::test(start_paused = true)]
async fn run_of_an_owner_who_never_says_a_word_is_taken_over_after_the_lease() {
    let queue = queue_of(1).await;
    let owner = RunOwner::new("gone", 30 * SECOND);
    let id = queue.begin(order(), Some(owner)).await.unwrap().id;
    let (start, begun) = (Instant::now(), Arc::new(Mutex::new(None)));
    let seen = Arc::clone(&begun);
    let op = move |_: Arc<DeadLetter>, _: Attempt| {
        *seen.lock().unwrap() = Some(start.elapsed());
        async { Ok(()) }
    };
    let redriver = tokio::spawn(Redriver::new(&recovery_of(&queue), op).run());
    end_of(&queue, id).await;
    let begun = begun.lock().unwrap().unwrap();
    assert!((30 * SECOND..=31 * SECOND).contains(&begun), "{begun:?}");
    redriver.abort();
}

#[tokio::test(start_paused = true)]
async fn redrive_without_patience_ends_where_a_redriver_waits() {
    let queue = queue_of(3).await;
    let breaker = CircuitBreaker::builder("bank").build().unwrap();
    let recovery = builder(queue.clone()).circuit_breaker(breaker.clone()).build().unwrap();
    breaker.force_open();
    let report = redrive(&recovery, &LetterFilter::new(), up).await.unwrap();
    assert!(matches!(report.stopped, Some(Stopped::Call(Reason::CircuitOpen(_)))));
    let run = run_of(&queue, report.run.unwrap()).await;
    assert_eq!((run.state.name(), run.progress.untouched), ("stopped", 3));
}
