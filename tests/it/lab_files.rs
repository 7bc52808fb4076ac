//! The lab's files: what is read from them and written to them, and what is wrong with a bad one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use proptest::prelude::*;
use recoup::RetryPolicy;
use recoup::lab::files::FileError;
use recoup::lab::{
    Arrivals, Contender, Discipline, Fault, FaultKind, Fleet, QueueBound, Scenario, Spread, run,
};

const SPIKE: &str = include_str!("../../examples/lab/spike.toml");
const POLICY: &str = include_str!("../../examples/lab/policy.toml");
const FLEET: &str = "fleet = { clients = 50, rate_per_client = 10.0 }\n";

/// The error of a file, which must name the setting and its line.
fn names<T: std::fmt::Debug>(read: Result<T, FileError>, line: usize, setting: &str) -> String {
    let error = read.unwrap_err();
    assert_eq!((error.line, error.setting.as_deref()), (Some(line), Some(setting)), "{error}");
    let told = error.to_string();
    assert!(told.contains(&format!("`{setting}`")), "{told}");
    assert!(!told.contains('\n'), "one line: {told}");
    told
}

fn scenario(more: &str) -> Result<Scenario, FileError> {
    Scenario::from_toml(&format!("{FLEET}{more}"))
}

#[test]
fn the_example_is_the_ready_spike_of_another_fleet() {
    let mut ready = Scenario::spike(Fleet::new(500, 2.0));
    ready.backend.servers = 13;
    ready.backend.service = Duration::from_millis(10);
    assert_eq!(Scenario::from_toml(SPIKE).unwrap(), ready);
}

#[test]
fn a_file_with_nothing_but_a_fleet_is_a_quiet_day() {
    let mut quiet = Scenario::quiet(Fleet::new(50, 10.0));
    quiet.name = "scenario".to_owned();
    assert_eq!(scenario("").unwrap(), quiet);
}

#[test]
fn every_kind_of_thing_can_be_said() {
    let said = scenario(
        r#"
        [backend]
        spread = "log_normal"
        sigma = 0.5
        queue = { calls = 7 }
        discipline = "codel_lifo"
        target = "5ms"
        interval = "100ms"
        skip_expired = true
        shards = 2

        [[faults]]
        kind = "losses"
        share = 0.5
        from = "1s"
        lasting = "1m 30s"
        [[faults]]
        kind = "dead_shards"
        shards = 1
        from = "0s"
        lasting = "1h"
        "#,
    )
    .unwrap();
    assert_eq!(said.fleet.arrivals, Arrivals::Poisson);
    assert_eq!(said.backend.spread, Spread::LogNormal { sigma: 0.5 });
    assert_eq!(said.backend.queue, QueueBound::Calls(7));
    let codel =
        Discipline::CoDelLifo { target: Duration::from_millis(5), interval: Duration::from_millis(100) };
    assert_eq!(said.backend.discipline, codel);
    assert!(said.backend.skip_expired);
    let losses = FaultKind::Losses { share: 0.5 };
    assert_eq!(said.faults[0], Fault::new(losses, Duration::from_secs(1), Duration::from_secs(90)));
    assert_eq!(said.faults[1].kind, FaultKind::DeadShards { shards: 1 });
}

#[test]
fn a_shedder_goes_by_the_timeout_unless_it_says_otherwise() {
    let ms = Duration::from_millis;
    let shedder = |target, interval| Discipline::Shedder { target, interval };
    for (said, expected) in [
        ("", shedder(ms(200), ms(100))),
        ("target = \"30ms\"", shedder(ms(30), ms(100))),
        ("interval = \"1s\"", shedder(ms(200), ms(1_000))),
        ("target = \"30ms\"\ninterval = \"1s\"", shedder(ms(30), ms(1_000))),
    ] {
        let read =
            scenario(&format!("timeout = \"2s\"\n[backend]\ndiscipline = \"shedder\"\n{said}")).unwrap();
        assert_eq!(read.backend.discipline, expected, "{said}");
        let mut short = read;
        (short.warm_up, short.after) = (ms(0), ms(10));
        let json: serde_json::Value = serde_json::from_str(&run(&short, &[], 1).unwrap().to_json()).unwrap();
        assert_eq!(json["scenario"]["backend"]["discipline"], "shedder");
        assert!(json["scenario"]["backend"]["target"].is_string(), "what was not said is written down too");
    }
    names(scenario("[backend]\ndiscipline = \"shedder\"\ntarget = \"0s\""), 4, "target");
    names(scenario("timeout = \"0s\"\n[backend]\ndiscipline = \"shedder\""), 2, "timeout");
}

#[test]
fn a_time_without_a_unit_is_refused_and_told_how() {
    for number in ["30", "0.5", "-1", "nan", "\"30\"", "\"0\""] {
        let told = names(scenario(&format!("timeout = {number}")), 2, "timeout");
        assert!(told.contains("no unit"), "{told}");
    }
    let fault = "\n[[faults]]\nkind = \"outage\"\nfrom = \"1s\"\nlasting = 5";
    names(scenario(fault), 6, "lasting");
    names(scenario("backend = { queue = { work = 2 } }"), 2, "work");
    for nonsense in ["\"soon\"", "\"-1s\"", "\"\"", "true", "\"99999999999999999999s\"", "\"5 fortnights\""] {
        names(scenario(&format!("timeout = {nonsense}")), 2, "timeout");
    }
}

#[test]
fn unknown_and_missing_keys_are_named() {
    let told = names(scenario("time_out = \"30s\""), 2, "time_out");
    assert!(told.contains("`timeout`"), "it says what is known: {told}");
    names(scenario("[backend]\nserver = 5"), 3, "server");
    names(
        scenario("[[faults]]\nkind = \"outage\"\nfrom = \"1s\"\nlasting = \"1s\"\nuntil = \"2s\""),
        6,
        "until",
    );
    names(Scenario::from_toml("[fleet]\nclients = 5"), 1, "rate_per_client");
    let error = Scenario::from_toml("").unwrap_err();
    assert_eq!(error.setting.as_deref(), Some("fleet"));
    let told = names(scenario("[[faults]]\nkind = \"meteor\"\nfrom = \"1s\"\nlasting = \"1s\""), 3, "kind");
    assert!(told.contains("brownout"), "it says what is known: {told}");
    for nothing in
        ["not toml at all", "ü=[", "timeout ü= 5", "\u{feff}", "\0", "[[[", "a = \"", "a.b.c = { d = [1, "]
    {
        assert!(!Scenario::from_toml(nothing).unwrap_err().to_string().contains('\n'), "{nothing:?}");
        if nothing != "\u{feff}" {
            assert!(Contender::from_toml("mine", nothing).is_err(), "{nothing:?}");
        }
    }
}

#[test]
fn what_is_of_the_wrong_type_is_named() {
    names(scenario("[backend]\nservers = \"many\""), 3, "servers");
    names(scenario("[backend]\nservers = -5"), 3, "servers");
    names(scenario("[backend]\nservers = 5000000000"), 3, "servers");
    names(scenario("[backend]\nskip_expired = 1"), 3, "skip_expired");
    names(scenario("name = 5"), 2, "name");
    names(Scenario::from_toml("[fleet]\nclients = 0.5\nrate_per_client = 1"), 2, "clients");
}

#[test]
fn numbers_that_cannot_work_are_named_with_their_line() {
    for rate in ["0", "-1.0", "nan", "inf", "-inf", "1e300"] {
        let file = format!("[fleet]\nclients = 5\nrate_per_client = {rate}");
        names(Scenario::from_toml(&file), 3, "rate_per_client");
    }
    names(Scenario::from_toml("[fleet]\nclients = 0\nrate_per_client = 1.0"), 2, "clients");
    names(scenario("[backend]\nslowdown = nan"), 3, "slowdown");
    names(scenario("[backend]\nspread = \"log_normal\"\nsigma = -1"), 4, "sigma");
    names(scenario("timeout = \"0s\""), 2, "timeout");
    names(scenario("after = \"300 days\""), 2, "after");
    let second = "[[faults]]\nkind = \"spike\"\nfactor = 2\nfrom = \"1s\"\nlasting = \"1s\"\n\
                  [[faults]]\nkind = \"spike\"\nfactor = -2\nfrom = \"1s\"\nlasting = \"1s\"";
    names(scenario(second), 9, "factor");
}

#[test]
fn a_fleet_too_large_for_memory_is_refused_by_name() {
    names(Scenario::from_toml("[fleet]\nclients = 4000000000\nrate_per_client = 0.001"), 2, "clients");
    let sharded =
        "[fleet]\nclients = 1000000\nrate_per_client = 0.001\n[backend]\nservers = 1000\nshards = 1000";
    names(Scenario::from_toml(sharded), 2, "clients");
}

#[test]
fn what_belongs_to_another_kind_is_refused_and_what_is_missing_too() {
    let told = names(
        scenario("[[faults]]\nkind = \"outage\"\nfrom = \"1s\"\nlasting = \"1s\"\nshare = 0.5"),
        6,
        "share",
    );
    assert!(told.contains("left out"), "{told}");
    let error = scenario("[[faults]]\nkind = \"spike\"\nfrom = \"1s\"\nlasting = \"1s\"").unwrap_err();
    assert_eq!(error.setting.as_deref(), Some("factor"));
    names(scenario("[backend]\nsigma = 0.5"), 3, "sigma");
    names(scenario("[backend]\ntarget = \"5ms\""), 3, "target");
    let error = scenario("[backend]\ndiscipline = \"codel_lifo\"\ntarget = \"5ms\"").unwrap_err();
    assert_eq!(error.setting.as_deref(), Some("interval"));
}

#[test]
fn shares_of_one_moment_that_add_up_to_more_than_all_are_refused() {
    let fault = |kind: &str, share: f64, from: u32| {
        format!("[[faults]]\nkind = \"{kind}\"\nshare = {share}\nfrom = \"{from}s\"\nlasting = \"10s\"\n")
    };
    let both = |from| scenario(&format!("{}{}", fault("errors", 0.7, 5), fault("losses", 0.4, from)));
    let told = names(both(14), 9, "share");
    assert!(told.contains("1.1"), "{told}");
    assert!(both(15).is_ok(), "one after the other");
    names(both(0), 9, "share");
    let three =
        [("errors", 0.5), ("losses", 0.3), ("errors", 0.2)].map(|(kind, share)| fault(kind, share, 5));
    assert!(scenario(&three.concat()).is_ok(), "all of them is not more than all");
}

#[test]
fn the_example_policy_is_read_whole() {
    assert_eq!(Contender::from_toml("file", POLICY).unwrap().name(), "mine");
    let unnamed = POLICY.replace("name = \"mine\"", "");
    assert_eq!(Contender::from_toml("file", &unnamed).unwrap().name(), "file");
}

#[test]
fn an_empty_policy_is_the_default_and_one_that_says_something_is_not() {
    let scenario = Scenario::outage(Fleet::new(20, 5.0));
    let calls = |file: &str| {
        let contender = Contender::from_toml("file", file).unwrap();
        run(&scenario, &[contender], 1).unwrap().runs.remove(0).figures.backend_calls
    };
    let default = Contender::new("file", RetryPolicy::builder());
    let by_hand = run(&scenario, &[default], 1).unwrap().runs.remove(0).figures.backend_calls;
    let plain = calls("");
    assert_eq!(plain, by_hand);
    let storm = calls("throttle = { kind = \"none\" }");
    assert!(storm > 2 * plain, "without a throttle an outage meets every retry");
    assert!(calls("max_attempts = 1") < plain);
    assert!(calls("max_attempts = 2\nthrottle = { kind = \"none\" }") < storm);
    let budget = calls("budget = { kind = \"tokens\", reserve = 0, share = 0.01 }");
    assert!(budget < storm && budget > calls("max_attempts = 1"));
    assert_eq!(calls("budget = { kind = \"none\" }"), storm, "no budget is the builder's `no_budget`");
    let broken = "throttle = { kind = \"none\" }\ncircuit_breaker = { consecutive_failures = 5 }";
    assert!(calls(broken) < storm);
}

#[test]
fn settings_of_a_policy_that_cannot_work_are_named_with_their_line() {
    let policy = |text: &str| Contender::from_toml("mine", text);
    names(policy("max_attempts = 0"), 1, "max_attempts");
    names(policy("attempts = 3"), 1, "attempts");
    names(policy("deadline = 5"), 1, "deadline");
    names(policy("jitter = \"some\""), 1, "jitter");
    names(policy("jitter = { proportional = nan }"), 1, "jitter");
    names(policy("attempt_timeout = \"2s\"\ndeadline = \"1s\""), 1, "attempt_timeout");
    names(policy("[backoff]\nkind = \"exponential\"\nbase = \"1s\"\nfactor = 0.5"), 4, "factor");
    names(policy("[backoff]\nkind = \"fixed\"\nbase = \"1s\"\nfactor = 2"), 4, "factor");
    names(policy("[backoff]\nkind = \"none\"\nbase = \"1s\""), 3, "base");
    names(policy("[backoff]\nkind = \"delays\"\ndelays = [\"1s\", 2]"), 3, "delays");
    names(policy("[backoff]\nkind = \"delays\"\ndelays = []"), 3, "delays");
    assert_eq!(policy("[backoff]\nkind = \"fixed\"").unwrap_err().setting.as_deref(), Some("base"));
    names(policy("[throttle]\nkind = \"fleet\"\nshare = nan"), 3, "share");
    names(policy("[throttle]\nkind = \"fleet\"\nmemory = \"1ms\""), 3, "memory");
    names(policy("[throttle]\nkind = \"none\"\nshare = 0.5"), 3, "share");
    names(policy("[throttle]\nkind = \"brake\""), 2, "kind");
    names(policy("[budget]\nkind = \"tokens\"\ncapacity = 0\nreserve = 0"), 3, "capacity");
    names(policy("[budget]\nkind = \"none\"\nreserve = 0"), 3, "reserve");
    names(policy("[circuit_breaker]\nfailure_rate = 60.0"), 2, "failure_rate");
    names(policy("[circuit_breaker]\nwindow = {}"), 2, "window");
    names(policy("[circuit_breaker]\nwindow = { last_calls = 5 }\nminimum_calls = 9"), 3, "minimum_calls");
    names(policy("[circuit_breaker]\nopen_for = { kind = \"fixed\", base = \"0s\" }"), 2, "open_for");
    names(policy("[circuit_breaker]\nramp = { start = 0.0, over = \"1s\" }"), 2, "ramp");
}

proptest! {
    #[test]
    fn a_file_that_was_torn_is_read_or_refused_on_one_line(
        policy: bool,
        from in 0_usize..2_000,
        long in 0_usize..60,
        put in "[\\[\\]{}=\"#.0-9a-zé \n-]{0,6}",
    ) {
        let mut torn: Vec<char> = if policy { POLICY } else { SPIKE }.chars().collect();
        let from = from.min(torn.len());
        let to = (from + long).min(torn.len());
        torn.splice(from..to, put.chars());
        let torn: String = torn.into_iter().collect();
        let refused =
            if policy { Contender::from_toml("torn", &torn).err() } else { Scenario::from_toml(&torn).err() };
        if let Some(error) = refused {
            prop_assert!(!error.to_string().contains('\n'));
            prop_assert!(error.line.is_none_or(|line| (1..=torn.lines().count() + 1).contains(&line)));
        }
    }
}

#[test]
fn the_shape_of_a_report_in_json_stays() {
    let mut scenario = Scenario::errors(Fleet::new(5, 2.0));
    (scenario.backend.servers, scenario.backend.service) = (4, Duration::from_millis(10));
    let contenders = ["one", "two"].map(|name| Contender::new(name, RetryPolicy::builder()));
    let report = run(&scenario, &contenders, 7).unwrap();
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();

    let scenario = serde_json::json!({
        "name": "errors", "timeout": "500ms", "warm_up": "30s", "after": "1m 30s",
        "fleet": { "clients": 5, "rate_per_client": 2.0, "arrivals": "poisson" },
        "backend": {
            "servers": 4, "service": "10ms", "spread": "exponential", "queue": { "work": "2s" },
            "discipline": "fifo", "skip_expired": false, "slowdown": 0.0, "shards": 1
        },
        "faults": [{ "kind": "errors", "from": "30s", "lasting": "1m", "share": 0.1 }]
    });
    assert_eq!(json["scenario"], scenario);
    assert_eq!((&json["format"], &json["seed"]), (&"recoup.lab.report/1".into(), &7.into()));

    let keys =
        |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&json), "format runs scenario seed");
    let run = &json["runs"][1];
    assert_eq!((keys(run), &run["policy"]), ("figures policy series".to_owned(), &"two".into()));
    assert_eq!(
        keys(&run["figures"]),
        "amplification backend_calls goodput_after goodput_in_fault held_back latency_p50 latency_p99 offered \
         recovered recovered_after succeeded success wasted"
    );
    let figures = &report.runs[1].figures;
    assert_eq!(run["figures"]["offered"], figures.offered);
    assert_eq!(run["figures"]["success"], figures.success);
    assert_eq!(run["figures"]["recovered"], "after");
    assert_eq!(run["figures"]["recovered_after"].as_f64(), figures.recovery.seconds());
    assert_eq!(keys(&run["series"]), "at goodput latency_p50 latency_p99 load offered");
    for (_, column) in run["series"].as_object().unwrap() {
        assert_eq!(column.as_array().unwrap().len(), 180, "one entry for each second");
    }
    assert_eq!(run["series"]["load"][90], report.runs[1].series[90].load);
}

#[test]
fn a_report_of_nothing_is_json_too() {
    let report = run(&Scenario::quiet(Fleet::new(1, 0.001)), &[], 1).unwrap();
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["runs"], serde_json::json!([]));
}
