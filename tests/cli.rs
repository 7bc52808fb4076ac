//! The command, run as a process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A fleet so small that a run takes no time.
const TINY: &str = "name = \"Tiny & odd/name\"\nfleet = { clients = 3, rate_per_client = 2.0 }\n\
                    [[faults]]\nkind = \"outage\"\nfrom = \"30s\"\nlasting = \"5s\"\n";

/// A folder of its own for each test.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}"));
    let _ = fs::remove_dir_all(&folder); // there is none the first time
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("tiny.toml"), TINY).unwrap();
    fs::write(folder.join("mine.toml"), "max_attempts = 2\n").unwrap();
    folder
}

fn recoup(folder: &PathBuf, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_recoup")).current_dir(folder).args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What was said of what was wrong, on one line.
fn refused(folder: &PathBuf, arguments: &[&str]) -> String {
    let output = recoup(folder, arguments);
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    assert_eq!(told.lines().count(), 1, "one line: {told}");
    assert!(told.starts_with("recoup: "), "{told}");
    assert!(output.stdout.is_empty(), "nothing was run: {}", out(&output));
    told
}

#[test]
fn a_scenario_of_a_file_is_run_under_a_policy_of_a_file() {
    let folder = folder("file");
    let run = ["lab", "--scenario", "tiny.toml", "--policy", "mine.toml", "--against", "default,none"];
    let output = recoup(&folder, &run);
    assert!(output.status.success());
    assert!(output.stderr.is_empty(), "no bar where nobody watches");
    let table = out(&output);
    assert!(table.starts_with("Tiny & odd/name: 3 clients x 2/s, seed 1\n"), "{table}");
    let rows: Vec<&str> = table.lines().skip(2).map(|row| row.split("  ").next().unwrap()).collect();
    assert_eq!(rows, ["mine", "default", "no retry"], "in the order in which they were named");
    assert_eq!(out(&recoup(&folder, &run)), table, "the same seed gives the same report");
    let other = recoup(&folder, &[&run[..], &["--seed", "2"]].concat());
    assert_ne!(out(&other).lines().nth(2), table.lines().nth(2));
}

#[test]
fn files_are_written_and_quiet_says_nothing() {
    let folder = folder("written");
    let run = ["lab", "--scenario", "tiny.toml", "--scenario", "tiny.toml", "--against", "none", "--quiet"];
    let output = recoup(&folder, &[&run[..], &["--json", "all.json", "--charts", "deep/charts"]].concat());
    assert!(output.status.success());
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    let json = fs::read_to_string(folder.join("all.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);
    assert_eq!(json[0]["runs"][0]["policy"], "no retry");
    for name in ["tiny---odd-name-3x2.svg", "tiny---odd-name-3x2-2.svg"] {
        let chart = fs::read_to_string(folder.join("deep/charts").join(name)).unwrap();
        assert!(chart.starts_with("<svg") && chart.contains("Tiny &amp; odd/name"));
    }
}

#[test]
fn ready_scenarios_are_run_over_the_fleets_that_are_asked_for() {
    let output = recoup(
        &folder("fleets"),
        &["lab", "--scenario", "errors", "--fleet", "2x1, 1x2.5", "--against", "none"],
    );
    let table = out(&output);
    let heads: Vec<&str> = table.lines().filter(|line| line.contains("clients x")).collect();
    assert_eq!(heads, ["errors: 2 clients x 1/s, seed 1", "errors: 1 clients x 2.5/s, seed 1"]);
}

#[test]
fn hedges_are_compared_where_a_few_calls_are_slow_and_where_all_are() {
    let folder = folder("hedging");
    let output =
        recoup(&folder, &["lab", "--scenario", "hedging", "--json", "hedging.json", "--charts", "charts"]);
    assert!(output.status.success() && output.stderr.is_empty());
    let table = out(&output);
    let tables: Vec<Vec<&str>> = table.split("\n\n").map(|table| table.lines().collect()).collect();
    let [few, all] = &tables[..] else { panic!("two: {table}") };
    assert_eq!(few[0], "hedging: 10000 requests of 100 calls each, 400 a second, seed 1");
    assert!(all[0].starts_with("hedging in a brownout: "), "{table}");
    let columns = few[1].split("  ").map(str::trim).filter(|column| !column.is_empty());
    assert!(columns.eq(["hedge", "p50", "p99", "p99.9", "extra calls", "won", "wasted", "left out"]));
    let names = |rows: &[&str]| -> Vec<String> {
        rows[2..].iter().map(|row| row.split("  ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(few), ["no hedge", "after 10 ms", "95th percentile"]);
    assert_eq!(names(all), ["no hedge", "after 10 ms", "95th percentile", "after 10 ms, unbounded"]);
    let json = fs::read_to_string(folder.join("hedging.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["format"], "recoup.lab.hedging/1");
    let [plain, hedged] = [0, 1].map(|nth| json[0]["hedges"][nth]["latency_p999"].as_f64().unwrap());
    assert!(plain > 1.7 && hedged < 0.1, "{plain} {hedged}");
    for name in ["hedging.svg", "hedging-in-a-brownout.svg"] {
        assert!(fs::read_to_string(folder.join("charts").join(name)).unwrap().starts_with("<svg"));
    }
}

#[test]
fn faults_by_chance_are_compared() {
    let folder = folder("regret");
    let arguments =
        ["lab", "regret", "--draws", "1", "--seed", "7", "--against", "none", "--json", "regret.json"];
    let output = recoup(&folder, &arguments);
    assert!(out(&output).starts_with("1 faults by chance, seed 7\n"), "{}", out(&output));
    assert!(output.stderr.is_empty(), "no bar where nobody watches");
    let json = fs::read_to_string(folder.join("regret.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["standings"][0]["regrets"], serde_json::json!([0.0]));
}

#[test]
fn help_is_told_to_who_asks() {
    let folder = folder("help");
    for arguments in [&[][..], &["--help"], &["help"]] {
        assert!(out(&recoup(&folder, arguments)).contains("recoup lab [options]"));
    }
    let help = out(&recoup(&folder, &["lab", "--help"]));
    for word in [
        "--scenario",
        "--fleet",
        "--policy",
        "--against",
        "--seed",
        "--json",
        "--charts",
        "--quiet",
        "regret",
    ] {
        assert!(help.contains(word), "{word}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 110), "fits on a screen");
    assert!(out(&recoup(&folder, &["--version"])).starts_with("recoup 0."));
}

#[test]
fn what_makes_no_sense_is_refused_by_name_before_anything_is_run() {
    let folder = folder("refused");
    for (arguments, named) in [
        (&["lob"][..], "lob"),
        (&["lab", "--scenarios"], "--scenarios"),
        (&["lab", "--scenario"], "--scenario"),
        (&["lab", "--scenario", "meteor"], "--scenario"),
        (&["lab", "--against", "default,hope"], "--against"),
        (&["lab", "--seed", "-1"], "--seed"),
        (&["lab", "--seed", "many"], "--seed"),
        (&["lab", "--policy", "gone.toml"], "gone.toml"),
        (&["lab", "--all", "--scenario", "spike"], "--all"),
        (&["lab", "--draws", "5"], "--draws"),
        (&["lab", "regret", "--draws", "0"], "--draws"),
        (&["lab", "regret", "--draws", "4000000000"], "--draws"),
        (&["lab", "regret", "--charts", "here"], "--charts"),
        (&["lab", "--scenario", "tiny.toml", "--fleet", "5x1"], "--fleet"),
        (&["lab", "--scenario", "contention", "--charts", "here"], "--charts"),
        (&["lab", "--scenario", "contention", "--against", "none"], "--against"),
        (&["lab", "--scenario", "hedging", "--policy", "mine.toml"], "--policy"),
        (&["lab", "--scenario", "hedging", "--fleet", "5x1"], "--fleet"),
        (&["lab", "--fleet", "5000"], "--fleet"),
        (&["lab", "--fleet", "5x-1"], "rate_per_client"),
        (&["lab", "--fleet", "5xNaN"], "rate_per_client"),
        (&["lab", "--fleet", "0x1"], "clients"),
        (&["lab", "--fleet", ""], "--fleet"),
    ] {
        let told = refused(&folder, arguments);
        assert!(told.contains(named), "{arguments:?}: {told}");
    }
}

#[test]
fn a_fleet_too_large_for_memory_is_refused_by_name() {
    let folder = folder("large");
    for fleet in ["4000000000x0.001", "4000000000x50", "20000000x0.0001", "99999999999999x1"] {
        let told = refused(&folder, &["lab", "--fleet", fleet]);
        assert!(told.contains("`clients`"), "{told}");
    }
    fs::write(folder.join("large.toml"), TINY.replace("clients = 3", "clients = 4000000000")).unwrap();
    let told = refused(&folder, &["lab", "--scenario", "large.toml"]);
    assert!(told.contains("large.toml: line 2: ") && told.contains("`clients`"), "{told}");
}

#[test]
fn a_bad_file_is_refused_with_its_name_the_line_and_the_setting() {
    let folder = folder("bad");
    fs::write(folder.join("bad.toml"), TINY.replace("\"5s\"", "5")).unwrap();
    let told = refused(&folder, &["lab", "--scenario", "bad.toml"]);
    assert!(told.contains("bad.toml: line 6: `lasting`: 5 has no unit"), "{told}");
    fs::write(folder.join("bad.toml"), "budget = { kind = \"tokens\", share = nan }").unwrap();
    let told = refused(&folder, &["lab", "--scenario", "tiny.toml", "--policy", "bad.toml"]);
    assert!(told.contains("bad.toml: line 1: ") && told.contains("`share` is NaN"), "{told}");
    fs::write(folder.join("bad.toml"), [0xff, 0xfe]).unwrap();
    assert!(refused(&folder, &["lab", "--scenario", "bad.toml"]).contains("bad.toml"));
}

#[test]
fn what_cannot_be_written_is_told_before_anything_is_run() {
    let output = recoup(&folder("unwritable"), &["lab", "--json", "no/such/folder.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr.clone()).unwrap().contains("no/such/folder.json"));
    assert!(output.stdout.is_empty());
}
