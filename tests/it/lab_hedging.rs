//! What hedging does for requests that ask a hundred servers and wait for all of them, seen in the lab.

#![expect(clippy::unwrap_used, reason = "a run that fails, fails the test")]

use std::time::Duration;

use recoup::lab::{Band, FanOut, Tail, Tails, fan_out};
use recoup::{Hedge, HedgeBuilder, RetryBudget, Throttle};

/// As many as are published where there is time for it, and fewer while the code is slow.
const REQUESTS: u32 = if cfg!(debug_assertions) { 3_000 } else { 10_000 };

const MS: Duration = Duration::from_millis(1);

fn after() -> HedgeBuilder {
    Hedge::after(10 * MS)
}

fn none() -> HedgeBuilder {
    after().max_attempts(1).name("no hedge")
}

fn run(scenario: &FanOut, hedges: &[HedgeBuilder]) -> Vec<Tail> {
    fan_out(scenario, hedges, 1).unwrap().tails
}

/// A few seconds in which all servers are slow.
fn slow() -> FanOut {
    let mut scenario = FanOut::slow_as_a_whole();
    (scenario.requests, scenario.faults[0].from) = (1_500, Duration::ZERO);
    scenario
}

#[test]
fn c1_hedges_cut_the_tail_of_a_hundred_servers_for_two_percent_more_calls() {
    let mut scenario = FanOut::tail_at_scale();
    scenario.requests = REQUESTS;
    let tails = run(&scenario, &[none(), after(), Hedge::at_quantile(0.98)]);
    let [none, after, learned] = &tails[..] else { panic!("three") };
    assert!(none.latency_p999 > 1.7 && none.latency_p999 < 1.9, "{none:?}");
    assert_eq!((none.calls, none.launched, none.won, none.wasted), (100 * u64::from(REQUESTS), 0, 0, 0));

    assert!(after.latency_p999 < 0.1 && after.latency_p999 > 0.05, "{after:?}");
    assert!(after.extra > 0.015 && after.extra <= 0.025, "{after:?}");
    assert!(after.latency_p50 < none.latency_p50 && after.latency_p99 < none.latency_p99);
    assert_eq!((after.launched, after.suppressed), (after.won + after.wasted, 0));

    assert!(learned.latency_p999 < 0.1, "{learned:?}");
    assert!(learned.extra > 0.01 && learned.extra <= 0.03, "{learned:?}");
}

#[test]
fn c1_hedges_of_a_service_that_is_slow_as_a_whole_stay_within_their_share_and_their_budget() {
    let scenario = slow();
    let budget = RetryBudget::builder().share(0.02).reserve(0).build().unwrap();
    let throttle = Throttle::builder().share(0.02).build().unwrap();
    let hedges = [
        none(),
        after().no_max_extra(),
        after(),
        after().max_extra(0.01),
        after().no_max_extra().budget(&budget),
        after().no_max_extra().throttle(&throttle),
    ];
    let tails = run(&scenario, &hedges);
    let [none, unbounded, default, hundredth, budget, throttle] = &tails[..] else { panic!("six") };
    assert!(unbounded.extra > 0.3 && unbounded.suppressed == 0, "{unbounded:?}");
    assert!(
        unbounded.latency_p50 > 2.0 * none.latency_p50,
        "and servers drown in it: {none:?} {unbounded:?}"
    );
    for (tail, most) in [(default, 0.05), (hundredth, 0.01), (budget, 0.02), (throttle, 0.02)] {
        assert!(tail.extra > 0.2 * most && tail.extra <= most, "{tail:?}");
        assert!(tail.suppressed > 1_000, "{tail:?}");
        assert!(tail.latency_p50 < 1.5 * none.latency_p50, "{tail:?}");
    }
}

#[test]
fn one_seed_gives_one_report_and_everybody_meets_the_same_requests() {
    let scenario = slow();
    let hedges = [none(), Hedge::at_quantile(0.9).max_attempts(3), none()];
    let report = fan_out(&scenario, &hedges, 7).unwrap();
    assert_eq!(report, fan_out(&scenario, &hedges, 7).unwrap());
    assert_eq!(report.tails[0], report.tails[2]);
    assert_ne!(report.tails, fan_out(&scenario, &hedges, 8).unwrap().tails);
}

#[test]
fn hedge_waits_for_nobody_but_the_quicker_of_two() {
    let mut scenario = FanOut::tail_at_scale();
    (scenario.requests, scenario.servers) = (200, 3);
    (scenario.rate, scenario.latencies) = (20.0, vec![Band::new(1.0, 40 * MS, 40 * MS)]);
    let tails = run(&scenario, &[after().no_max_extra(), none()]);
    for tail in &tails {
        let times = [tail.latency_p50, tail.latency_p99, tail.latency_p999];
        assert!(times.iter().all(|time| (time - 0.04).abs() < 1e-9), "{tail:?}");
    }
    assert_eq!((tails[0].launched, tails[0].won, tails[0].wasted), (600, 0, 600));
}

#[test]
fn shape_of_what_is_told_stays() {
    let mut scenario = slow();
    (scenario.requests, scenario.name) = (20, "<slow>".to_owned());
    let tails: Tails = fan_out(&scenario, &[none(), after().name("a & b")], 7).unwrap();
    let json: serde_json::Value = serde_json::from_str(&tails.to_json()).unwrap();
    let keys =
        |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&json), "format hedges scenario seed");
    assert_eq!(keys(&json["scenario"]), "faults latencies name rate requests servers workers");
    assert_eq!(
        json["scenario"]["latencies"][1],
        serde_json::json!({ "share": 0.019, "least": "10ms", "most": "78ms" })
    );
    assert_eq!(json["scenario"]["faults"][0]["kind"], "brownout");
    assert_eq!(
        keys(&json["hedges"][1]),
        "calls extra hedge latency_p50 latency_p99 latency_p999 launched suppressed wasted won"
    );
    assert_eq!(json["hedges"][1]["hedge"], "a & b");

    let chart = tails.chart();
    assert!(chart.contains("&lt;slow&gt;") && chart.contains("a &amp; b (+"), "{chart}");
    assert_eq!(chart.matches("<rect").count(), 1 + 3 * 2, "a ground, and a bar for each");
    let nobody = fan_out(&scenario, &[], 7).unwrap();
    assert!(nobody.chart().ends_with("</svg>\n") && nobody.to_string().lines().count() == 2);
}
