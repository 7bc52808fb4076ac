//! The pictures of the lab are pictures, whatever is in the report.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use recoup::RetryPolicy;
use recoup::lab::{Contender, Fault, FaultKind, Fleet, Report, Scenario, run};

fn report(contenders: &[&str]) -> Report {
    let contenders: Vec<_> =
        contenders.iter().map(|name| Contender::new(*name, RetryPolicy::builder().max_attempts(1))).collect();
    let mut scenario = Scenario::quiet(Fleet::new(3, 2.0));
    scenario.faults.push(Fault::new(FaultKind::BlackHole, Duration::from_secs(30), Duration::from_secs(5)));
    run(&scenario, &contenders, 1).unwrap()
}

/// Checks that a text is XML with all tags closed in order, and gives back the names of its elements.
fn elements(xml: &str) -> Vec<String> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for part in xml.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag ends");
        assert!(!text.contains('>'), "no bare angle in {text:?}");
        for at in text.match_indices('&').map(|(at, _)| at).chain(tag.match_indices('&').map(|(at, _)| at)) {
            let rest = if text.len() > at { &text[at..] } else { &tag[at..] };
            assert!(
                ["&amp;", "&lt;", "&gt;", "&quot;"].iter().any(|entity| rest.starts_with(entity)),
                "{rest:?}"
            );
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes are closed in {tag:?}");
        assert!(!tag.contains("NaN") && !tag.contains("inf"), "{tag:?}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap().to_owned();
        if !tag.ends_with('/') {
            open.push(name.clone());
        }
        all.push(name);
    }
    assert!(open.is_empty(), "{open:?} stay open");
    assert!(!xml.chars().any(|c| c.is_control() && c != '\n'), "no control characters");
    all
}

/// The lines with the stroke of a policy, which is the same in each panel and in the legend.
fn lines(chart: &str, colour: &str) -> usize {
    chart.lines().filter(|line| line.starts_with("<path") && line.contains(colour)).count()
}

#[test]
fn a_chart_has_three_panels_a_legend_units_and_the_fault() {
    let chart = report(&["one", "two"]).chart();
    assert!(elements(&chart).len() > 30);
    for text in [
        ">one<",
        ">two<",
        ">offered<",
        ">capacity<",
        ">fault<",
        ">attempts / s<",
        ">requests / s<",
        ">seconds<",
    ] {
        assert_eq!(chart.matches(text).count(), 1, "{text}");
    }
    assert!(chart.contains("3 clients × 2/s · black hole from 30 s for 5 s · seed 1"));
    assert_eq!(lines(&chart, "#0072b2"), 4, "the first policy in three panels and the legend");
    assert_eq!(lines(&chart, "#d55e00"), 4);
    assert_eq!(chart.matches("#ececf3").count(), 4, "the fault in three panels and the legend");
}

#[test]
fn names_of_any_kind_make_no_bad_picture() {
    let mut odd = report(&["<script>&\"'", "\u{0}\u{1b}[31m\u{fffe}", &"long ".repeat(500), ""]);
    odd.scenario.name = "a <b> & \"c\" ".repeat(100);
    let chart = odd.chart();
    elements(&chart);
    assert!(chart.contains("&lt;script&gt;&amp;&quot;'"));
}

#[test]
fn reports_of_nothing_and_of_too_much_are_pictures_too() {
    elements(&report(&[]).chart());
    let mut odd = report(&["one"]);
    odd.runs[0].series.clear();
    elements(&odd.chart());
    let mut odd = report(&["one"]);
    odd.scenario.faults.clear();
    for sample in &mut odd.runs[0].series {
        (sample.load, sample.latency_p99) = (u32::MAX, Some(f64::INFINITY));
    }
    elements(&odd.chart());
    odd.scenario.backend.service = Duration::ZERO;
    odd.scenario.fleet.rate_per_client = f64::NAN;
    odd.scenario.after = Duration::MAX;
    elements(&odd.chart().replace("× NaN/s", "")); // told in words, drawn nowhere
}

#[test]
fn a_day_is_drawn_with_no_more_points_than_a_page_shows() {
    let mut long = report(&["one"]);
    let second = long.runs[0].series[0];
    for at in 0..86_400_u32 {
        let mut sample = second;
        sample.at = f64::from(at);
        long.runs[0].series.push(sample);
    }
    assert!(long.chart().len() < 120_000, "{}", long.chart().len());
}
