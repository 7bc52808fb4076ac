//! Redrives with a rate, a width and an end, and what is written down of them.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]
#![expect(clippy::disallowed_methods, reason = "a test reads the paused clock itself")]
#![expect(clippy::disallowed_types, reason = "the crate's own lock is not public")]

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use recoup::{
    Attempt, ByHand, CircuitBreaker, DeadLetter, DeadLetterQueue, Deed, ErrorChain, LetterFilter, LetterId,
    LetterState, MemoryQueue, Recovery, RecoveryBuilder, RedriveError, RedriveOrder, RetryPolicy, RunBook,
    RunId, RunState, Settled, Shutdown, Stopped, redrive,
};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn builder(queue: &MemoryQueue) -> RecoveryBuilder<io::Error> {
    Recovery::builder("bank").retry(RetryPolicy::never()).dead_letters(queue.clone())
}

fn recovery_of(queue: &MemoryQueue) -> Recovery<io::Error> {
    builder(queue).build().unwrap()
}

async fn queue_of(letters: u64) -> MemoryQueue {
    let queue = MemoryQueue::default();
    for number in 1..=letters {
        let letter = DeadLetter::new("charge").destination("bank").idempotency_key(format!("order-{number}"));
        queue.push(letter).await.unwrap();
    }
    queue
}

fn every() -> LetterFilter {
    LetterFilter::new()
}

async fn up(_: Arc<DeadLetter>, _: Attempt) -> io::Result<()> {
    Ok(())
}

async fn down(_: Arc<DeadLetter>, _: Attempt) -> io::Result<()> {
    Err(io::Error::other("still down"))
}

/// The run of the latest redrive.
async fn latest(queue: &MemoryQueue) -> recoup::RedriveRun {
    queue.latest(1).await.unwrap().remove(0)
}

#[tokio::test(start_paused = true)]
async fn d3_dry_run_counts_each_group_and_changes_nothing() {
    let queue = MemoryQueue::default();
    for number in 0..100_u32 {
        let error = if number % 4 == 0 { "card declined" } else { "no answer" };
        let letter = DeadLetter::new("charge").error(ErrorChain::from_display(&error));
        queue.push(letter).await.unwrap();
    }
    queue.lease(&every().id(LetterId::new(2)), 1, SECOND).await.unwrap();
    let before = (queue.peek(&every().any_state(), 200).await, queue.stats().await, queue.acts(9).await);
    let calls = AtomicU32::new(0);
    let recovery = recovery_of(&queue);
    let report = redrive(&recovery, &every(), |_, _| {
        calls.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }
    });
    let report = report.dry_run().rate(5.0).await.unwrap();
    let groups: Vec<_> =
        report.groups.iter().map(|group| (group.sample.error.to_string(), group.letters)).collect();
    assert_eq!(groups, [("no answer".to_owned(), 74), ("card declined".to_owned(), 25)]);
    assert_eq!((report.untouched, report.skipped, report.meant(), report.run), (99, 1, 100, None));
    assert_eq!(calls.into_inner(), 0);
    assert_eq!(
        before,
        (queue.peek(&every().any_state(), 200).await, queue.stats().await, queue.acts(9).await)
    );
    assert!(queue.latest(9).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn d3_audit_log_says_who_when_and_which_letters() {
    let queue = queue_of(3).await;
    let (by, filter) = (ByHand::of("ana").because("fixed in 1.4"), every().destination("bank"));
    let report = redrive(&recovery_of(&queue), &filter, up).by(by.clone()).await.unwrap();
    let act = queue.acts(1).await.unwrap().remove(0);
    assert_eq!((act.deed, act.by, act.filter, act.letters), (Deed::Redriven, by.clone(), filter, 3));
    let run = latest(&queue).await;
    assert_eq!((Some(run.id), run.created_at), (report.run, act.at));
    assert_eq!((run.state, run.order.by()), (RunState::Finished, &by));
    assert_eq!((run.progress.delivered, run.progress.untouched, run.progress.meant), (3, 0, 3));
    assert_eq!((run.owner, run.progress.reached, run.progress.open.len()), (None, run.up_to, 0));
}

#[tokio::test(start_paused = true)]
async fn d4_letter_that_fails_three_runs_is_one_entry_and_then_left_alone() {
    let queue = queue_of(1).await;
    let recovery = recovery_of(&queue);
    for nth in 1..=3 {
        let report = redrive(&recovery, &every(), down).concurrency(4).await.unwrap();
        assert_eq!((report.failed, report.quarantined), if nth < 3 { (1, 0) } else { (0, 1) });
    }
    let letters = queue.peek(&every().any_state(), 9).await.unwrap();
    let letter = &letters[0];
    assert_eq!((letters.len(), letter.redrives, letter.attempts_total()), (1, 3, 3));
    assert_eq!((letter.state, queue.stats().await.unwrap().pushed), (LetterState::Quarantined, 1));
    let report = redrive(&recovery, &every(), up).await.unwrap();
    assert_eq!((report.meant(), latest(&queue).await.progress.meant), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn ramp_begins_at_a_tenth_of_the_rate_and_doubles_every_second() {
    let queue = queue_of(1_750).await;
    let (start, begun) = (Instant::now(), Mutex::new([0_u32; 8]));
    let recovery = recovery_of(&queue);
    let report = redrive(&recovery, &every(), |_, _| {
        begun.lock().unwrap()[usize::try_from(start.elapsed().as_secs()).unwrap()] += 1;
        async { Ok(()) }
    });
    assert_eq!(report.rate(500.0).await.unwrap().delivered, 1_750);
    // The timer rounds up to a millisecond, so a letter may fall into the second after its own.
    let begun = begun.into_inner().unwrap();
    for (second, formula) in [50, 100, 200, 400, 500, 500, 0, 0].into_iter().enumerate() {
        assert!(begun[second].abs_diff(formula) <= 1, "second {second}: {begun:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_take_long_are_not_made_up_for_in_a_burst() {
    let queue = queue_of(100).await;
    let begun = Mutex::new(Vec::new());
    let recovery = recovery_of(&queue);
    let report = redrive(&recovery, &every(), |letter, _| {
        begun.lock().unwrap().push(Instant::now());
        async move {
            if letter.id.get() == 50 {
                sleep(10 * SECOND).await;
            }
            Ok(())
        }
    });
    report.rate(10.0).await.unwrap();
    let begun = begun.into_inner().unwrap();
    for pair in begun[50..].windows(2) {
        assert!(pair[1] - pair[0] >= 80 * MS, "{:?}", pair[1] - pair[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_calls_are_under_way_as_was_asked_and_never_more() {
    let queue = queue_of(40).await;
    for width in [1, 3, 8, u32::MAX] {
        let (now, most, order) = (AtomicU32::new(0), AtomicU32::new(0), Mutex::new(Vec::new()));
        let recovery = recovery_of(&queue);
        let report = redrive(&recovery, &every(), |letter, _| {
            order.lock().unwrap().push(letter.id);
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            let now = &now;
            async move {
                sleep(MS * u32::try_from(letter.id.get() * 7 % 11 + 1).unwrap()).await;
                now.fetch_sub(1, Ordering::Relaxed);
                Err::<(), _>(io::Error::other("no"))
            }
        });
        let report = report.concurrency(width).await.unwrap();
        assert_eq!((report.meant(), most.into_inner()), (40, width.min(40)));
        assert!(order.into_inner().unwrap().is_sorted(), "they begin in the order of their numbers");
        queue.reinstate(&every(), &ByHand::default()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn run_stops_after_so_many_failures_in_a_row_and_another_goes_on() {
    let queue = queue_of(20).await;
    let recovery = recovery_of(&queue);
    let all_but_the_third = |letter: Arc<DeadLetter>, _| async move {
        if letter.id.get() == 3 { Ok(()) } else { Err(io::Error::other("no")) }
    };
    let report = redrive(&recovery, &every(), all_but_the_third).stop_after(5).await.unwrap();
    assert_eq!(report.stopped, Some(Stopped::Failures(5)));
    assert_eq!((report.failed, report.delivered, report.untouched), (7, 1, 12), "a success begins anew");
    let run = latest(&queue).await;
    assert_eq!(run.state, RunState::Stopped { why: "5 letters in a row failed".to_owned() });
    let report = redrive(&recovery, &every(), up).stop_after(5).await.unwrap();
    assert_eq!((report.delivered, report.meant()), (19, 19));
}

#[tokio::test(start_paused = true)]
async fn other_destination_is_lent_and_the_letter_keeps_its_own() {
    let queue = queue_of(2).await;
    let breaker = CircuitBreaker::builder("bank").build().unwrap();
    let recovery = builder(&queue).circuit_breaker(breaker).build().unwrap();
    let report = redrive(&recovery, &every(), |letter, _| async move {
        assert_eq!(letter.destination.as_deref(), Some("other-bank"));
        if letter.id.get() == 1 { Ok(()) } else { Err(io::Error::other("no")) }
    });
    let report = report.to("other-bank").await.unwrap();
    assert_eq!((report.delivered, report.failed), (1, 1));
    let letter = queue.peek(&every(), 1).await.unwrap().remove(0);
    assert_eq!((letter.destination.as_deref(), letter.redrives), (Some("bank"), 1));
}

#[tokio::test(start_paused = true)]
async fn cancel_takes_effect_before_the_next_letter() {
    let queue = queue_of(10).await;
    let by = ByHand::of("ana").because("wrong filter");
    let recovery = recovery_of(&queue);
    let report = redrive(&recovery, &every(), |letter, _| {
        let (queue, by) = (&queue, &by);
        async move {
            if letter.id.get() == 4 {
                let cancelled = queue.cancel(RunId::new(1), by).await.unwrap();
                assert_eq!(cancelled.state, RunState::Cancelled { by: by.clone() });
            }
            Ok(())
        }
    });
    let report = report.await.unwrap();
    assert_eq!((report.delivered, report.untouched, report.meant()), (4, 6, 10));
    assert_eq!(report.stopped, Some(Stopped::Cancelled(by.clone())));
    let run = latest(&queue).await;
    assert_eq!(run.state, RunState::Cancelled { by });
    let progress = run.progress;
    assert_eq!((progress.delivered, progress.untouched, progress.meant), (4, 6, 10), "written down after");
    assert_eq!(run.owner, None);
}

#[tokio::test(start_paused = true)]
async fn cancelled_run_lets_the_calls_under_way_end() {
    let queue = queue_of(10).await;
    let recovery = recovery_of(&queue);
    let report = redrive(&recovery, &every(), |_, _| async {
        sleep(SECOND).await;
        Ok(())
    });
    let cancel = async {
        sleep(MS).await;
        queue.cancel(RunId::new(1), &ByHand::default()).await.unwrap();
    };
    let (report, ()) = tokio::join!(report.concurrency(3).into_future(), cancel);
    let report = report.unwrap();
    assert_eq!((report.delivered, report.untouched), (3, 7));
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.leased, stats.delivered), (7, 0, 3));
}

#[tokio::test(start_paused = true)]
async fn progress_is_saved_every_64_letters_and_every_second() {
    let queue = queue_of(1_000).await;
    let (begun, seen) = (AtomicU32::new(0), AtomicU32::new(0));
    let recovery = recovery_of(&queue);
    let report = redrive(&recovery, &every(), |_, _| {
        let nth = u64::from(begun.fetch_add(1, Ordering::Relaxed));
        let (queue, seen) = (&queue, &seen);
        async move {
            let saved = latest(queue).await.progress;
            assert_eq!(saved.meant, saved.done() + saved.untouched);
            assert!(saved.done() + 64 >= nth, "{nth} begun, but {saved:?}");
            seen.fetch_max(u32::try_from(saved.done()).unwrap(), Ordering::Relaxed);
            Ok(())
        }
    });
    report.await.unwrap();
    assert!(seen.into_inner() >= 900, "it is seen while it goes on");

    let queue = queue_of(10).await;
    let recovery = recovery_of(&queue);
    let report = redrive(&recovery, &every(), |letter, _| {
        let queue = &queue;
        async move {
            sleep(SECOND).await;
            let saved = latest(queue).await.progress;
            assert!(saved.done() + 2 >= letter.id.get(), "letter {}: {saved:?}", letter.id);
            Ok(())
        }
    });
    assert_eq!(report.await.unwrap().delivered, 10);
}

#[tokio::test(start_paused = true)]
async fn letters_that_come_in_or_come_back_during_a_run_have_no_turn_in_it() {
    let queue = queue_of(5).await;
    queue.quarantine(&every().id(LetterId::new(5)), &ByHand::default()).await.unwrap();
    let calls = AtomicU32::new(0);
    let recovery = recovery_of(&queue);
    let report = redrive(&recovery, &every(), |letter, _| {
        calls.fetch_add(1, Ordering::Relaxed);
        let queue = &queue;
        async move {
            if letter.id.get() == 1 {
                queue.push(DeadLetter::new("charge")).await.unwrap();
                queue.reinstate(&every(), &ByHand::default()).await.unwrap();
            }
            Err::<(), _>(io::Error::other("no"))
        }
    });
    assert_eq!(report.await.unwrap().failed, 4);
    assert_eq!((calls.into_inner(), latest(&queue).await.up_to), (4, LetterId::new(5)));
}

#[tokio::test(start_paused = true)]
async fn shutdown_leaves_a_run_that_can_be_carried_on() {
    let queue = queue_of(5).await;
    let shutdown = Shutdown::new();
    let recovery = builder(&queue).shutdown(&shutdown).build().unwrap();
    let report = redrive(&recovery, &every(), |letter, _| {
        if letter.id.get() == 2 {
            shutdown.trigger();
        }
        async { Ok(()) }
    });
    assert_eq!(report.await.unwrap().untouched, 3);
    let run = latest(&queue).await;
    assert_eq!((run.state, run.owner), (RunState::Paused { why: "it was shut down".to_owned() }, None));
    assert_eq!((run.progress.delivered, run.progress.reached), (2, LetterId::new(2)));
}

#[tokio::test(start_paused = true)]
async fn settings_that_cannot_work_are_refused_before_anything_is_done() {
    let queue = queue_of(1).await;
    let recovery = recovery_of(&queue);
    let redrive = || redrive(&recovery, &every(), up);
    for (redrive, setting) in [
        (redrive().rate(f64::NAN), "rate"),
        (redrive().rate(0.0), "rate"),
        (redrive().rate(f64::INFINITY), "rate"),
        (redrive().concurrency(0), "concurrency"),
        (redrive().stop_after(0), "stop_after"),
    ] {
        let RedriveError::Setting(error) = redrive.await.unwrap_err() else { panic!("{setting}") };
        assert_eq!(error.setting, setting);
    }
    assert!(queue.latest(9).await.unwrap().is_empty() && queue.acts(9).await.unwrap().is_empty());
    let slowest = redrive().rate(f64::MIN_POSITIVE).concurrency(u32::MAX).stop_after(u32::MAX).await;
    assert_eq!(slowest.unwrap().delivered, 1, "the first letter does not wait");
}

#[tokio::test(start_paused = true)]
async fn run_and_its_letters_go_their_own_ways_once_it_is_over() {
    let queue = queue_of(2).await;
    let order = RedriveOrder::builder(every()).build().unwrap();
    let run = queue.begin(order, None).await.unwrap();
    let redriven = recoup::redrive_one(&recovery_of(&queue), LetterId::new(1), up).await.unwrap();
    assert_eq!(redriven.settled, Ok(Settled::Removed), "a run that waits holds no letter");
    assert_eq!(queue.run(run.id).await.unwrap().unwrap().progress.untouched, 2);
}
