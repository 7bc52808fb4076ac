//! The lab hedges as a call does: what it decides in one, it decides in the other.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use tokio::time::{sleep, sleep_until};

use super::engine::{Asked, Chance};
use super::*;
use crate::hedge::{Hedge, HedgeSnapshot, Idempotent};
use crate::retry::{RetryBudget, Throttle};
use crate::sync::Lock;
use crate::testing::Recorder;
use crate::{Attempt, lab};

const CALLS: u32 = 600;

/// How long the first attempt of a call and its hedge take, in milliseconds: mostly few, at times many. None of the
/// first ends in the millisecond in which a hedge is due that was learned: a timer would be late for that one.
const SCRIPT: [(u64, u64); 11] =
    [(4, 3), (7, 9), (61, 5), (3, 3), (11, 40), (90, 95), (5, 8), (200, 2), (6, 6), (23, 30), (9, 1)];

fn scripted(call: u64, attempt: u32) -> u64 {
    let (first, hedge) = SCRIPT[usize::try_from(call).unwrap() % SCRIPT.len()];
    if attempt == 0 { first } else { hedge + u64::from(attempt) }
}

/// What was made: which attempt of which call, and when, in milliseconds of the run.
type Made = Vec<(u64, u32, u64)>;

#[derive(Debug, PartialEq)]
struct Lived {
    made: Made,
    events: Vec<String>,
    seen: HedgeSnapshot,
}

impl Lived {
    fn new(mut made: Made, recorder: &Recorder, hedge: &Hedge) -> Self {
        made.sort_unstable();
        Self { made, events: recorder.lines(), seen: hedge.snapshot() }
    }
}

/// In the place of chance. A call's timers end at whole milliseconds, so an attempt that is made between two of
/// them is made at the later one.
#[derive(Default)]
struct Script {
    requests: Cell<u64>,
    made: RefCell<Made>,
}

const NANOS: u64 = 1_000_000;

fn gap(request: u64) -> u64 {
    17 + request * 13 % 29
}

impl Chance for &Script {
    fn gap(&self) -> u64 {
        self.requests.set(self.requests.get() + 1);
        gap(self.requests.get()) * NANOS
    }

    fn time(&self, asked: Asked, now: u64) -> u64 {
        let made = now.div_ceil(NANOS);
        self.made.borrow_mut().push((asked.call, asked.attempt, made));
        (made + scripted(asked.call, asked.attempt)) * NANOS - now
    }
}

/// One server with room for everything, so that a request is one call.
fn alone() -> FanOut {
    FanOut { requests: CALLS, servers: 1, workers: 1_000, ..FanOut::tail_at_scale() }
}

fn in_the_lab(hedge: HedgeBuilder) -> Lived {
    let (recorder, script, scenario, start) = (Recorder::new(), Script::default(), alone(), time::now());
    let hedge = hedge.observer(recorder.observer()).anew(start, 1).unwrap();
    let took = Engine::new(&scenario, &hedge, start, &script).run(|_| {});
    assert_eq!(took.len(), alone().requests as usize);
    Lived::new(script.made.take(), &recorder, &hedge)
}

/// The same with real calls, on the paused clock of the test.
async fn in_calls(hedge: HedgeBuilder) -> Lived {
    let (recorder, start) = (Recorder::new(), time::now());
    let hedge = hedge.observer(recorder.observer()).build().unwrap();
    let made: Arc<Lock<Made>> = Arc::default();
    let (mut at, mut calls) = (start, Vec::new());
    for call in 0..u64::from(CALLS) {
        at += Duration::from_millis(gap(call + 1));
        sleep_until(at).await;
        let (hedge, made) = (hedge.clone(), Arc::clone(&made));
        calls.push(tokio::spawn(async move {
            let op = |attempt: Attempt| {
                let since = u64::try_from((time::now() - start).as_millis()).unwrap();
                made.lock().push((call, attempt.hedge(), since));
                let takes = Duration::from_millis(scripted(call, attempt.hedge()));
                async move {
                    sleep(takes).await;
                    Ok::<_, ()>(())
                }
            };
            hedge.call(Idempotent(op)).await
        }));
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let made = std::mem::take(&mut *made.lock());
    Lived::new(made, &recorder, &hedge)
}

#[tokio::test(start_paused = true)]
async fn hedge_of_the_lab_and_of_a_real_call_decide_the_same() {
    let hedges: [fn() -> HedgeBuilder; 9] = [
        || Hedge::after(10 * MS).max_attempts(1),
        || Hedge::after(10 * MS).no_max_extra(),
        || Hedge::after(10 * MS),
        || Hedge::after(10 * MS).max_attempts(3).no_max_extra(),
        || Hedge::when(|hedge| 6 * MS * hedge).max_attempts(4).max_extra(0.5),
        || Hedge::at_quantile(0.6).warm_up(20).no_max_extra(),
        || Hedge::at_quantile(0.9).warm_up(50).until_warm(30 * MS).memory(5_000 * MS).no_max_extra(),
        || Hedge::after(10 * MS).no_max_extra().budget(&tight()),
        || Hedge::after(10 * MS).no_max_extra().throttle(&Throttle::fleet()),
    ];
    let mut seen: Vec<Lived> = Vec::new();
    for (nth, hedge) in hedges.into_iter().enumerate() {
        let lived = in_the_lab(hedge());
        let called = in_calls(hedge()).await;
        let differ = lived.made.iter().zip(&called.made).find(|(lab, call)| lab != call);
        assert_eq!(differ, None, "of the hedge {nth}: in the lab, and in calls");
        assert_eq!(lived, called);
        assert!(!seen.contains(&lived), "it changes both: {nth}");
        seen.push(lived);
    }
    let snapshots: Vec<HedgeSnapshot> = seen.iter().map(|lived| lived.seen).collect();
    for learned in &snapshots[5..7] {
        assert!(learned.launched > 50 && learned.delay > Some(8 * MS), "{learned:?}");
    }
    assert!(snapshots[3].launched > snapshots[1].launched, "{snapshots:?}");
    let paid = snapshots[7];
    assert!(paid.launched > 10 && paid.suppressed > 100, "{paid:?}");
}

fn tight() -> RetryBudget {
    RetryBudget::builder().reserve(3).capacity(8).share(0.05).trickle(3_000 * MS).build().unwrap()
}

#[test]
fn budget_that_was_handed_in_is_neither_spent_nor_filled_by_a_run() {
    let (mut scenario, budget) = (FanOut::slow_as_a_whole(), tight());
    (scenario.requests, scenario.faults[0].from) = (200, Duration::ZERO);
    let hedge = Hedge::after(10 * MS).no_max_extra().budget(&budget);
    let twice = [1, 2].map(|_| fan_out(&scenario, std::slice::from_ref(&hedge), 1).unwrap());
    assert_eq!(twice[0], twice[1], "the second run would find it empty");
    assert!(twice[0].tails[0].suppressed > 1_000);
    let whole = tight();
    assert_eq!(format!("{budget:?}"), format!("{whole:?}"));
}

#[test]
fn server_that_has_no_worker_free_lets_calls_wait_in_their_order_and_serves_whoever_has_gone() {
    let mut scenario = FanOut { workers: 1, requests: 3, servers: 2, ..FanOut::tail_at_scale() };
    scenario.latencies = vec![Band::new(1.0, 20 * MS, 20 * MS)];
    scenario.rate = 1e9; // all at once, or as good as
    let plain = |hedge: HedgeBuilder| fan_out(&scenario, &[hedge], 1).unwrap().tails.remove(0);
    let none = plain(Hedge::after(MS).max_attempts(1));
    let about = |told: f64, seconds: f64| (told - seconds).abs() < 1e-4;
    assert!(about(none.latency_p50, 0.04) && about(none.latency_p999, 0.06), "{none:?}");
    // Every hedge stands behind all first attempts, loses, and is served all the same.
    let hedged = plain(Hedge::after(MS).no_max_extra());
    assert!(about(hedged.latency_p999, 0.06), "{hedged:?}");
    assert_eq!((hedged.launched, hedged.won, hedged.wasted), (6, 0, 6));
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut FanOut)| {
        let mut scenario = FanOut::slow_as_a_whole();
        scenario.check().unwrap();
        change(&mut scenario);
        fan_out(&scenario, &[], 1).unwrap_err().setting
    };
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 0.04] {
        assert_eq!(refused(&|s| s.rate = rate), "rate", "{rate}");
    }
    for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(&|s| s.faults[0].kind = FaultKind::Brownout { factor }), "factor");
    }
    for share in [0.0, -0.1, 0.5, 0.99, f64::NAN, 2.0] {
        assert_eq!(refused(&|s| s.latencies[0].share = share), "share", "{share}");
    }
    assert_eq!(refused(&|s| s.latencies.clear()), "share");
    assert_eq!(refused(&|s| s.latencies[0].least = 11 * MS), "least");
    assert_eq!(refused(&|s| s.latencies[0].most = Duration::MAX), "most");
    assert_eq!(refused(&|s| s.requests = 0), "requests");
    assert_eq!(refused(&|s| s.requests = u32::MAX), "requests");
    assert_eq!(refused(&|s| s.servers = 0), "servers");
    assert_eq!(refused(&|s| s.servers = u32::MAX), "servers");
    assert_eq!(refused(&|s| s.workers = 0), "workers");
    assert_eq!(refused(&|s| s.faults[0].kind = FaultKind::Outage), "kind");
    assert_eq!(refused(&|s| s.faults[0].lasting = Duration::ZERO), "lasting");
    assert_eq!(refused(&|s| s.faults[0].from = Duration::MAX), "from");
    let error = fan_out(&lab::FanOut::tail_at_scale(), &[Hedge::at_quantile(f64::NAN)], 1).unwrap_err();
    assert_eq!(error.setting, "at_quantile");
}

#[test]
fn brownout_of_any_factor_ends() {
    for factor in [f64::MIN_POSITIVE, 1e300, f64::MAX] {
        let mut scenario = FanOut { requests: 20, servers: 3, ..FanOut::slow_as_a_whole() };
        scenario.faults[0].from = Duration::ZERO;
        scenario.faults[0].kind = FaultKind::Brownout { factor };
        let hedges = [Hedge::after(MS).max_attempts(10).no_max_extra(), Hedge::at_quantile(1.0).warm_up(1)];
        for tail in fan_out(&scenario, &hedges, 1).unwrap().tails {
            assert!(tail.latency_p999.is_finite() && tail.calls == 60, "{tail:?}");
        }
    }
}
