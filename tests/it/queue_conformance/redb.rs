//! The queue in a file, in a real one and in memory, where writes can be made to fail.

mod place;

use recoup::testing::conformance::{self, Report, Verdict};

use super::broken::Fault;
use super::{breaks, memory};
use place::{InFiles, InMemory};

recoup::testing::queue_suite!(redb_queue, InMemory::new());

/// Shown by `cargo test --test it x4_list -- --nocapture`.
#[tokio::test(start_paused = true)]
async fn x4_list_of_cases_says_for_each_how_memory_and_redb_fare_and_which_broken_queues_fail_it() {
    let (memory, redb) = (conformance::run(&memory).await, conformance::run(&InMemory::new()).await);
    let (broken, missed) = breaks().await;
    let word = |verdict: &Verdict| match verdict {
        Verdict::Passed => "ok",
        Verdict::Failed(_) => "FAILED",
        Verdict::DoesNotApply(_) => "-",
    };
    println!("{:<63}{:<8}{:<8}fails on a queue that", "case", "memory", "redb");
    for (in_memory, in_redb) in memory.cases().iter().zip(redb.cases()) {
        let faults = broken.iter().filter(|(case, _)| *case == in_redb.name);
        let faults: Vec<_> = faults.map(|(_, fault)| format!("{fault:?}")).collect();
        let (left, right) = (word(&in_memory.verdict), word(&in_redb.verdict));
        println!("{:<63}{left:<8}{right:<8}{}", in_redb.name, faults.join(", "));
    }
    let passed = |report: &Report| report.passed().count();
    println!(
        "{} cases: memory passes {} and {} do not apply to it, redb passes {}, each of {} broken queues fails",
        conformance::names().count(),
        passed(&memory),
        memory.not_applying().count(),
        passed(&redb),
        Fault::ALL.len(),
    );
    assert!(memory.is_proof() && missed.is_empty(), "{memory}\n{missed:?}");
    assert_eq!(passed(&redb), conformance::names().count(), "{redb}");
}

/// All but the long series, which wait for the disk some ten thousand times.
#[tokio::test(start_paused = true)]
async fn x4_redb_queue_in_real_files_passes_what_files_can_be_made_to_do() {
    let files = InFiles::new("conformance");
    let mut not_applying = Vec::new();
    for case in conformance::names().filter(|name| !name.contains("_series") && !name.contains("_each_step_"))
    {
        if conformance::prove(&files, case).await != Verdict::Passed {
            not_applying.push(case);
        }
    }
    assert_eq!(
        not_applying,
        [
            "d13_failed_push_is_not_reported_as_stored",
            "d13_failed_settlement_is_not_reported_as_done",
            "d13_failed_lease_gives_nothing_out",
        ]
    );
}

/// Not paused: no case of these lets time pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redb_queue_keeps_its_promises_to_workers_on_several_threads() {
    for case in [
        "d4_pushes_at_once_get_ids_of_their_own_and_none_is_lost",
        "d5_workers_at_once_deliver_each_letter_once",
        "d12_caps_hold_whoever_pushes_at_once",
    ] {
        assert_eq!(conformance::prove(&InMemory::new(), case).await, Verdict::Passed);
    }
}
