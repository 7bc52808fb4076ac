//! The conformance kit: queues that keep their promises pass, and each broken one fails by the name of what it
//! broke.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod broken;
#[cfg(feature = "redb")]
mod redb;

use std::collections::BTreeSet;

use recoup::testing::conformance::{self, Place, Report, Verdict};
use recoup::{MemoryQueue, MemoryQueueBuilder};

use broken::{Fault, Shelf};

/// A queue with the settings that the kit asks for.
fn builder(place: &Place) -> MemoryQueueBuilder {
    let is = place.settings;
    let queue = MemoryQueue::builder()
        .capacity(is.capacity)
        .max_bytes(is.max_bytes)
        .max_payload(is.max_payload)
        .quarantine_after(is.quarantine_after)
        .when_full(is.when_full);
    is.time_to_live.into_iter().fold(queue, MemoryQueueBuilder::time_to_live)
}

async fn memory(place: Place) -> MemoryQueue {
    builder(&place).build().unwrap()
}

recoup::testing::queue_suite!(memory_queue, memory);

recoup::testing::queue_suite!(queue_that_outlives_its_process, Shelf::new(Fault::None));

#[tokio::test(start_paused = true)]
async fn x4_memory_queue_passes_and_what_does_not_apply_is_not_called_passed() {
    let report = conformance::run(&memory).await;
    println!("{report}");
    assert!(report.is_proof(), "{report}");
    let not_applying: Vec<_> = report.not_applying().collect();
    assert_eq!(
        not_applying,
        [
            "d1_stored_letters_survive_restart_and_crash",
            "d3_restart_after_each_step_changes_nothing",
            "d3_crash_after_each_step_changes_nothing",
            "d4_ids_are_not_used_again_after_a_restart",
            "d6_leases_of_before_hold_after_a_restart_or_are_fenced",
            "d7_delivery_count_survives_a_crash",
            "d8_delivered_letter_stays_gone_after_restart_and_crash",
            "d10_quarantine_survives_restart_and_crash",
            "d11_time_goes_on_over_a_restart",
            "d13_failed_push_is_not_reported_as_stored",
            "d13_failed_settlement_is_not_reported_as_done",
            "d13_failed_lease_gives_nothing_out",
            "d14_damaged_letter_hides_no_other_and_is_not_given_out",
            "deeds_survive_restart_and_crash",
        ]
    );
    assert_eq!((report.cases().len(), report.passed().count()), (74, 60));
}

#[tokio::test(start_paused = true)]
async fn x4_queue_that_outlives_its_process_passes_every_case() {
    let report = conformance::run(&Shelf::new(Fault::None)).await;
    assert_eq!(report.passed().count(), 74, "{report}");
}

async fn broken_by(fault: Fault) -> Report {
    conformance::run(&Shelf::new(fault)).await
}

/// Which cases each fault was to break, and did; and those that it did not.
async fn breaks() -> (Vec<(&'static str, Fault)>, Vec<(&'static str, Fault, Verdict)>) {
    let (mut seen, mut missed) = (Vec::new(), Vec::new());
    for &(fault, cases) in Fault::ALL {
        for &case in cases {
            match conformance::check(&Shelf::new(fault), case).await {
                Verdict::Failed(_) => seen.push((case, fault)),
                passed => missed.push((case, fault, passed)),
            }
        }
    }
    (seen, missed)
}

#[tokio::test(start_paused = true)]
async fn x4_each_fault_fails_by_the_name_of_the_promise_that_it_breaks() {
    let (seen, missed) = breaks().await;
    assert!(missed.is_empty(), "these faults were not seen: {missed:#?}");
    let named: BTreeSet<_> = seen.into_iter().map(|(case, _)| case).collect();
    assert_eq!(named, conformance::names().collect(), "every case can fail");
}

#[tokio::test(start_paused = true)]
async fn x4_queue_that_hangs_or_panics_fails_and_the_others_are_still_run() {
    for (fault, how) in [(Fault::Hangs, "hangs"), (Fault::Panics, "panicked")] {
        let report = broken_by(fault).await;
        assert_eq!(report.cases().len(), conformance::names().count());
        let told = report.cases().iter().filter_map(|case| match &case.verdict {
            Verdict::Failed(told) => Some(told),
            _ => None,
        });
        assert!(told.filter(|told| told.contains(how)).count() > 5, "{report}");
    }
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "d4_ids_only_grow: FAILED: ")]
async fn x4_macro_form_fails_its_test() {
    conformance::prove(&Shelf::new(Fault::ReusesIds), "d4_ids_only_grow").await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "there is no case `d99`")]
async fn unknown_case_is_not_passed() {
    assert!(matches!(conformance::check(&memory, "d99").await, Verdict::Failed(_)));
    conformance::prove(&memory, "d99").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cases_of_many_workers_pass_on_several_threads() {
    for case in [
        "d4_pushes_at_once_get_ids_of_their_own_and_none_is_lost",
        "d5_workers_at_once_deliver_each_letter_once",
        "d12_caps_hold_whoever_pushes_at_once",
    ] {
        for _ in 0..5 {
            assert_eq!(conformance::prove(&broken::Threads, case).await, Verdict::Passed);
        }
    }
}
