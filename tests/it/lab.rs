//! What the lab shows, and that it can be believed.

#![expect(clippy::unwrap_used, reason = "a run that fails, fails the test")]

use std::time::Duration;

use recoup::lab::{
    Arrivals, Backend, Contender, Discipline, Fault, FaultKind, Figures, Fleet, QueueBound, Recovered,
    Scenario, Spread, compare, contend, draw, run,
};
use recoup::{Backoff, CircuitBreaker, Jitter, RetryPolicy, Window};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// As many as the published tables have where there is time for it, and few while the code is slow.
const CLIENTS: u32 = if cfg!(debug_assertions) { 200 } else { 5_000 };

fn figures(scenario: &Scenario, contender: Contender) -> Figures {
    run(scenario, &[contender], 1).unwrap().runs.remove(0).figures
}

/// Whether a share, in percent, is this, give or take so much.
fn percent(share: Option<f64>, expected: f64, off: f64) -> bool {
    (share.unwrap() * 100.0 - expected).abs() <= off
}

fn fleet() -> Fleet {
    Fleet::new(CLIENTS, 1.0)
}

#[test]
fn s2_outage_is_met_with_the_published_load() {
    let scenario = Scenario::outage(fleet());
    for (contender, amplification) in [(Contender::no_retry(), 1.0), (Contender::full_jitter(), 3.99)] {
        let figures = figures(&scenario, contender);
        assert!((figures.amplification.unwrap() - amplification).abs() < 0.005, "{figures:?}");
        assert_eq!(figures.recovery, Recovered::After(0.0));
    }
    let adaptive = figures(&scenario, Contender::adaptive());
    assert!(adaptive.amplification.unwrap() <= 1.05, "{adaptive:?}");
    assert!(adaptive.recovery.seconds().unwrap() <= 0.5);
}

#[test]
fn s3_spike_costs_what_was_published_with_retries_and_without() {
    let scenario = Scenario::spike(fleet());
    let none = figures(&scenario, Contender::no_retry());
    assert!(percent(none.goodput_in_fault, 7.0, 2.5), "{none:?}");
    assert!(percent(none.goodput_after, 64.0, 3.0), "{none:?}");
    assert!((none.recovery.seconds().unwrap() - 11.0).abs() < 1.0, "{none:?}");
    let jitter = figures(&scenario, Contender::full_jitter());
    assert!(percent(jitter.goodput_in_fault, 8.0, 3.0), "{jitter:?}");
    assert!(percent(jitter.goodput_after, 0.0, 1.0), "{jitter:?}");
    assert!(jitter.recovery.is_stuck());
    let adaptive = figures(&scenario, Contender::adaptive());
    assert!(!adaptive.recovery.is_stuck() && adaptive.goodput_in_fault >= none.goodput_in_fault);
}

#[test]
fn s4_failures_by_chance_are_mended_by_retries() {
    let scenario = Scenario::errors(fleet());
    let none = figures(&scenario, Contender::no_retry());
    assert!(percent(none.goodput_in_fault, 89.98, 0.5), "{none:?}");
    let jitter = figures(&scenario, Contender::full_jitter());
    assert!(percent(jitter.goodput_in_fault, 99.99, 0.02), "{jitter:?}");
}

#[test]
fn s5_brownout_costs_what_was_published_with_retries_and_without() {
    let scenario = Scenario::brownout(fleet());
    let none = figures(&scenario, Contender::no_retry());
    assert!(percent(none.goodput_after, 77.0, 3.0), "{none:?}");
    assert!((none.recovery.seconds().unwrap() - 7.0).abs() < 1.0, "{none:?}");
    let jitter = figures(&scenario, Contender::full_jitter());
    assert!((jitter.amplification.unwrap() - 3.99).abs() < 0.02, "{jitter:?}");
    assert!(jitter.recovery.is_stuck() && percent(jitter.goodput_after, 0.0, 1.0), "{jitter:?}");
}

#[test]
fn bounded_queue_does_more_than_any_client() {
    let spike = |change: fn(&mut Backend)| {
        let mut scenario = Scenario::spike(fleet());
        change(&mut scenario.backend);
        figures(&scenario, Contender::full_jitter())
    };
    let short = spike(|backend| backend.queue = QueueBound::Work(100 * MS));
    assert!(percent(short.goodput_in_fault, 74.0, 3.0), "{short:?}");
    let managed = spike(|backend| {
        backend.discipline = Discipline::CoDelLifo { target: 5 * MS, interval: 100 * MS };
    });
    assert!(percent(managed.goodput_in_fault, 82.0, 3.0), "{managed:?}");
    let mut skipping = Scenario::spike(fleet());
    skipping.backend.skip_expired = true;
    let skipping = figures(&skipping, Contender::no_retry());
    assert!(skipping.recovery.seconds().unwrap() <= 0.5, "{skipping:?}");
}

#[test]
fn s1_contending_writers_need_the_published_numbers_of_calls() {
    let exponential = Backoff::exponential(10 * MS).max_delay(2 * SECOND);
    let full = exponential.clone().jitter(Jitter::Full);
    let equal = exponential.clone().jitter(Jitter::Equal);
    let decorrelated = Backoff::decorrelated(5 * MS).max_delay(2 * SECOND);
    let trials = if cfg!(debug_assertions) { 40 } else { 400 };
    let mut calls = Vec::new();
    // A backoff, and the calls and the seconds that were published for 100 clients. The last is sooner here: we
    // cap the range that is drawn from, so that those who have reached the cap stay apart, and not the draw.
    for (backoff, published, completion) in [
        (Backoff::none(), 2_418.0, 2.017),
        (exponential, 1_851.0, 63.637),
        (full, 795.0, 4.965),
        (equal, 812.0, 6.532),
        (decorrelated, 1_003.0, 4.25),
    ] {
        let cost = contend(100, &backoff, trials, 1).unwrap();
        assert!((cost.calls / published - 1.0).abs() < 0.03, "{backoff:?} {cost:?}");
        let off = if cfg!(debug_assertions) { 0.06 } else { 0.03 };
        assert!((cost.completion / completion - 1.0).abs() < off, "{backoff:?} {cost:?}");
        calls.push(contend(10, &backoff, 200, 1).unwrap().calls);
    }
    let [none, exponential, full, equal, decorrelated] = calls[..] else { panic!("five") };
    assert!(none > exponential && exponential > equal && equal > full && full > decorrelated, "{calls:?}");
}

#[test]
fn one_seed_gives_one_report_and_another_seed_another() {
    for index in [0, 3, 8] {
        let mut scenario = draw(5, index);
        scenario.fleet.rate_per_client *= 100.0 / scenario.fleet.offered(); // small enough to be quick
        let contenders = Contender::references();
        let report = run(&scenario, &contenders, 3).unwrap();
        assert_eq!(report, run(&scenario, &contenders, 3).unwrap());
        assert_ne!(report.runs, run(&scenario, &contenders, 4).unwrap().runs);
        let alone = run(&scenario, &contenders[1..2], 3).unwrap();
        assert_eq!(report.runs[1..2], alone.runs, "nobody's run depends on who else takes part");
    }
}

#[test]
fn what_reached_the_backend_adds_up() {
    for scenario in [Scenario::outage, Scenario::spike, Scenario::errors, Scenario::brownout] {
        let scenario = scenario(Fleet::new(100, 1.0));
        let report = run(&scenario, &[Contender::no_retry(), Contender::adaptive()], 1).unwrap();
        let [none, adaptive] = [&report.runs[0].figures, &report.runs[1].figures];
        assert_eq!((none.backend_calls, none.held_back), (none.offered, 0));
        assert_eq!(none.offered, adaptive.offered, "all meet the same requests");
        assert!(adaptive.backend_calls + adaptive.held_back >= adaptive.offered);
        for run in &report.runs {
            let counted = run.series.iter().filter(|sample| sample.at >= 30.0);
            let (offered, load, good) = counted.fold((0, 0, 0), |(offered, load, good), sample| {
                (
                    offered + u64::from(sample.offered),
                    load + u64::from(sample.load),
                    good + u64::from(sample.goodput),
                )
            });
            let figures = &run.figures;
            assert_eq!((offered, load, good), (figures.offered, figures.backend_calls, figures.succeeded));
        }
    }
}

#[test]
fn dead_shard_takes_the_others_along_unless_each_has_a_state_of_its_own() {
    let mut scenario = Scenario::quiet(Fleet::new(5, 40.0));
    scenario.backend = Backend::new(100, 20 * MS);
    scenario.backend.shards = 10;
    scenario.faults = vec![Fault::new(FaultKind::DeadShards { shards: 1 }, 10 * SECOND, 60 * SECOND)];
    (scenario.warm_up, scenario.after) = (10 * SECOND, 20 * SECOND);
    let breaker = || {
        let breaker = CircuitBreaker::builder("one").window(Window::last(30 * SECOND)).failure_rate(0.1);
        Contender::new("breaker", RetryPolicy::builder().max_attempts(1).no_budget()).circuit_breaker(breaker)
    };
    let one = figures(&scenario, breaker()).goodput_in_fault.unwrap();
    let apart = figures(&scenario, breaker().per_shard()).goodput_in_fault.unwrap();
    assert!(one < 0.7, "{one}");
    assert!((apart - 0.9).abs() < 0.02, "{apart}");
}

#[test]
fn request_ends_at_its_deadline_whoever_is_late() {
    let mut scenario = Scenario::quiet(Fleet::new(10, 5.0));
    scenario.faults = vec![Fault::new(FaultKind::Losses { share: 0.3 }, 30 * SECOND, 30 * SECOND)];
    let policy = RetryPolicy::exponential(10 * MS).max_attempts(9).no_budget();
    let free = figures(&scenario, Contender::new("free", policy.clone()));
    let bound = figures(&scenario, Contender::new("bound", policy.deadline(800 * MS)));
    assert!(free.latency_p99 > 0.85 && bound.latency_p99 <= 0.82, "{free:?} {bound:?}");
    assert!(free.success > bound.success);
}

#[test]
fn settings_that_cannot_work_are_named_before_anything_runs() {
    let refused = |scenario: &Scenario, contender| run(scenario, &[contender], 1).unwrap_err().setting;
    let mut scenario = Scenario::spike(Fleet::new(10, 1.0));
    let policy = || RetryPolicy::builder();
    assert_eq!(refused(&scenario, Contender::new("x", policy().max_attempts(0))), "max_attempts");
    let breaker = CircuitBreaker::builder("x").failure_rate(-1.0);
    assert_eq!(refused(&scenario, Contender::new("x", policy()).circuit_breaker(breaker)), "failure_rate");
    assert_eq!(
        compare(&[Contender::new("x", policy().max_attempts(0))], 3, 1).unwrap_err().setting,
        "max_attempts"
    );
    assert_eq!(contend(0, &Backoff::none(), 1, 1).unwrap_err().setting, "writers");
    assert_eq!(contend(1, &Backoff::none(), 0, 1).unwrap_err().setting, "trials");
    assert_eq!(contend(u32::MAX, &Backoff::none(), u32::MAX, 1).unwrap_err().setting, "writers");
    assert_eq!(contend(9, &Backoff::delays([]), 1, 1).unwrap_err().setting, "delays");
    scenario.fleet.rate_per_client = -1.0;
    assert_eq!(refused(&scenario, Contender::no_retry()), "rate_per_client");
}

#[test]
fn policy_that_would_repeat_for_ever_in_one_moment_is_refused() {
    let restless = RetryPolicy::backoff(Backoff::none()).unlimited_attempts().no_budget();
    let scenario = Scenario::outage(Fleet::new(10, 1.0));
    let error = run(&scenario, &[Contender::new("restless", restless)], 1).unwrap_err();
    assert_eq!(error.setting, "max_attempts");
}

#[test]
fn odd_scenarios_run_to_their_end() {
    let quiet = Scenario::quiet(Fleet::new(1, 20.0));
    let fault = |kind, from, lasting| Fault::new(kind, from, lasting);
    let changes: [fn(&mut Scenario); 9] = [
        |_| {},
        |s| (s.warm_up, s.after) = (Duration::ZERO, MS),
        |s| s.backend.queue = QueueBound::Calls(0),
        |s| {
            s.backend = Backend::new(1, Duration::from_nanos(1));
            s.backend.queue = QueueBound::Calls(1);
        },
        |s| s.backend = Backend::new(1, 3600 * SECOND),
        |s| (s.timeout, s.fleet.arrivals) = (Duration::from_nanos(1), Arrivals::Regular),
        |s| s.backend.discipline = Discipline::shedder(s.timeout),
        |s| {
            s.timeout = Duration::from_nanos(1);
            (s.backend.servers, s.backend.shards, s.backend.queue) = (7, 3, QueueBound::Calls(0));
            s.backend.discipline = Discipline::shedder(s.timeout);
        },
        |s| (s.timeout, s.backend.spread) = (3600 * SECOND, Spread::LogNormal { sigma: 3.0 }),
    ];
    let faults = [
        vec![],
        vec![fault(FaultKind::Outage, Duration::ZERO, MS)],
        vec![
            fault(FaultKind::BlackHole, Duration::ZERO, 40 * SECOND),
            fault(FaultKind::Outage, 39 * SECOND, 2 * SECOND),
            fault(FaultKind::Spike { factor: 1.5 }, 50 * SECOND, SECOND),
            fault(FaultKind::Brownout { factor: 1e300 }, 45 * SECOND, SECOND),
            fault(FaultKind::Spike { factor: 1e-9 }, 60 * SECOND, SECOND),
        ],
        vec![fault(FaultKind::Errors { share: 1.0 }, 31 * SECOND, SECOND)],
    ];
    for change in changes {
        for faults in &faults {
            let mut scenario = quiet.clone();
            scenario.faults.clone_from(faults);
            change(&mut scenario);
            if scenario.backend.capacity() > 1e6 {
                scenario.faults.retain(|fault| !matches!(fault.kind, FaultKind::Spike { .. }));
            }
            for run in run(&scenario, &Contender::references(), 1).unwrap().runs {
                let figures = &run.figures;
                assert!(figures.succeeded <= figures.offered, "{scenario:?} {figures:?}");
                assert_eq!(
                    run.series.len() as u128,
                    scenario.ends().as_millis().div_ceil(1000),
                    "{scenario:?}"
                );
                let has_fault = !scenario.faults.is_empty();
                assert_eq!(figures.recovery == Recovered::NoFault, !has_fault);
            }
        }
    }
}
