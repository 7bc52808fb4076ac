//! The verbs over a queue in memory.

use std::time::{Duration, SystemTime};

use lexopt::Parser;
use recoup::{
    AttemptRecord, Category, DeadLetter, DeadLetterQueue, DeadReason, ErrorChain, MemoryQueue, Payload,
};
use serde_json::Value;

use super::*;

/// Five letters: three of one kind, one of another, and one in quarantine.
async fn five() -> MemoryQueue {
    let queue = MemoryQueue::default();
    for order in 1..=5_u32 {
        let (destination, message) = match order {
            4 => ("ads\x1b[2J", "no such campaign".to_owned()),
            _ => ("payments", format!("order {order} timed out")),
        };
        let letter = DeadLetter::new("charge")
            .destination(destination)
            .category(Category::Timeout)
            .reason(DeadReason::Exhausted)
            .error(ErrorChain::from_display(&message).type_name("Elapsed"))
            .attempt(AttemptRecord::new(1, SystemTime::UNIX_EPOCH, &message).took(Duration::from_secs(30)))
            .idempotency_key(format!("order-{order}"))
            .header("x-shop", "7\r\nSet-Cookie: a")
            .payload(Payload::json(format!("{{\"order\":{order},\"cents\":300}}")))
            .died_at(crate::dlq::view::now() - Duration::from_secs(7200));
        queue.push(letter).await.unwrap();
    }
    queue
        .quarantine(&recoup::LetterFilter::new().id(recoup::LetterId::new(5)), &recoup::ByHand::of("ada"))
        .await
        .unwrap();
    queue
}

/// What the command says on `line`, to a terminal of 80 columns.
async fn told(queue: &MemoryQueue, line: &str) -> Result<String, Problem> {
    let asked = Asked::read(&mut Parser::from_args(["file"].into_iter().chain(line.split_whitespace())))?;
    let Asked::Do(wanted) = asked else { panic!("no help was asked for") };
    let mut out = Vec::new();
    let mut view = View::on(&mut out, wanted.said.json, wanted.said.quiet, Some(100));
    with_letters(queue, &wanted, &mut view).await?;
    Ok(String::from_utf8(out).unwrap())
}

async fn documents(queue: &MemoryQueue, line: &str) -> Vec<Value> {
    let told = told(queue, &format!("{line} --json")).await.unwrap();
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn groups_are_the_landing_view_largest_first() {
    let queue = five().await;
    let shown = told(&queue, "").await.unwrap();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("FINGERPRINT       LETTERS  FIRST"), "{shown}");
    assert!(lines[1].contains("      3  2h 0m ago  2h 0m ago  payments"), "{shown}");
    assert!(lines[2].contains("      1  ") && lines[2].contains("ads\\u{1b}[2J"), "{shown}");
    assert_eq!(lines[4], "4 letters in 2 groups");
    assert_eq!(lines[5], "without the quarantined, 1 letter in all: --state quarantined");
    assert!(lines.iter().all(|line| line.chars().count() <= 100), "{shown}");

    let groups = documents(&queue, "groups --state any").await;
    assert_eq!((groups.len(), &groups[0]["letters"], &groups[0]["sample"]), (2, &4.into(), &5.into()));
    assert_eq!(groups[0]["message"], "order 5 timed out");
    assert_eq!(documents(&queue, "groups --state any --limit 1").await.len(), 1);
}

#[tokio::test]
async fn lists_go_on_where_the_page_ended() {
    let queue = five().await;
    let shown = told(&queue, "list --limit 2").await.unwrap();
    assert!(shown.contains("2 letters; the next: --after 2\n"), "{shown}");
    let shown = told(&queue, "list --limit 2 --after 2").await.unwrap();
    assert!(shown.contains("\n2 letters\n"), "nothing is left after that: {shown}");
    let ids: Vec<Value> = documents(&queue, "list --state any --operation charge")
        .await
        .iter()
        .map(|it| it["id"].clone())
        .collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    assert!(documents(&queue, "list").await[0]["payload"].get("text").is_none());
    assert_eq!(documents(&queue, "list --full").await[0]["payload"]["text"], "{\"order\":1,\"cents\":300}");
}

#[tokio::test]
async fn filter_that_matches_nothing_says_so() {
    let queue = five().await;
    for verb in ["groups", "list", "quarantine", "reinstate", "purge --yes"] {
        let shown = told(&queue, &format!("{verb} --tenant nobody")).await.unwrap();
        assert!(shown.starts_with("no letter is meant (tenant nobody)\n"), "{verb}: {shown}");
    }
    assert!(documents(&queue, "groups --tenant nobody").await.is_empty());
    assert_eq!(documents(&queue, "purge --yes --tenant nobody").await[0]["letters"], 0);
    assert_eq!(queue.stats().await.unwrap().held(), 5);
}

#[tokio::test]
async fn all_about_a_letter_is_shown_and_nothing_a_terminal_obeys() {
    let queue = five().await;
    let shown = told(&queue, "show 4").await.unwrap();
    for part in [
        "letter 4, ready\n",
        "destination      ads\\u{1b}[2J",
        "reason           exhausted",
        "idempotency key  order-4",
        "no such campaign [Elapsed]",
        "1 attempt\n",
        "  30s  ",
        "x-shop: 7\\r\\nSet-Cookie: a",
        "payload: application/json, 23 B\n{\n  \"order\": 4,\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains('\x1b') && !shown.contains('\r'));
    assert!(told(&queue, "show 5").await.unwrap().starts_with("letter 5, quarantined\n"));
    assert_eq!(told(&queue, "show 4 --raw").await.unwrap(), "{\"order\":4,\"cents\":300}");
    assert_eq!(documents(&queue, "show 4").await[0]["payload"]["text"], "{\"order\":4,\"cents\":300}");
    let missing = told(&queue, "show 9").await.unwrap_err();
    assert_eq!(missing.to_string(), "there is no letter 9");
    assert!(told(&queue, "show x").await.unwrap_err().to_string().contains("no letter's number"));
}

#[tokio::test]
async fn payloads_are_cut_unless_all_is_wanted() {
    let queue = MemoryQueue::default();
    let text = "ä".repeat(3000) + "end";
    queue.push(DeadLetter::new("a").payload(Payload::text(text.clone()))).await.unwrap();
    queue.push(DeadLetter::new("b").payload(Payload::bytes(vec![255; 5000]))).await.unwrap();
    queue.push(DeadLetter::new("c")).await.unwrap();
    for id in [1, 2] {
        let cut = told(&queue, &format!("show {id}")).await.unwrap();
        assert!(cut.ends_with("--raw gives the bytes\n"));
        let full = told(&queue, &format!("show {id} --full")).await.unwrap();
        assert!(!full.contains("there is more"));
    }
    assert!(told(&queue, "show 1 --full").await.unwrap().ends_with("ääend\n"));
    assert!(told(&queue, "show 2").await.unwrap().contains("00000ff0  ff ff"));
    assert_eq!(documents(&queue, "show 2").await[0]["payload"]["base64"].as_str().unwrap().len(), 6668);
    assert!(told(&queue, "show 3").await.unwrap().ends_with("no payload\n"));
    assert!(told(&queue, "show 3 --raw").await.is_err());
}

#[tokio::test]
async fn d3_look_filter_put_aside_bring_back_and_clear_away_audited() {
    let queue = five().await;
    let shown = told(&queue, "quarantine --destination payments --dry-run").await.unwrap();
    assert!(shown.starts_with("would quarantine 3 letters in 1 group (destination payments)\n"), "{shown}");
    assert!(shown.ends_with("nothing was done: --dry-run\n"), "{shown}");
    assert_eq!(queue.stats().await.unwrap().quarantined, 1);

    let shown = told(&queue, "quarantine --destination payments --by ada --why poison").await.unwrap();
    assert!(
        shown.starts_with("quarantine 3 letters") && shown.ends_with("quarantined 3 letters\n"),
        "{shown}"
    );
    let did = &documents(&queue, "reinstate --id 1 --by bo").await[0];
    assert_eq!(
        (&did["did"], &did["letters"], &did["dry_run"]),
        (&"reinstate".into(), &1.into(), &false.into())
    );
    let shown = told(&queue, "purge 1 --yes --by bo --quiet").await.unwrap();
    assert_eq!(shown, "");
    assert_eq!(queue.stats().await.unwrap().discarded, 1);

    let acts = documents(&queue, "acts").await;
    let told_acts: Vec<_> =
        acts.iter().map(|act| (act["deed"].as_str().unwrap(), &act["by"]["who"])).collect();
    assert_eq!(
        told_acts,
        [
            ("discarded", &"bo".into()),
            ("reinstated", &"bo".into()),
            ("quarantined", &"ada".into()),
            ("quarantined", &"ada".into())
        ]
    );
    assert_eq!(acts[2]["by"]["why"], "poison");
    assert_eq!(acts[2]["filter"], "destination payments, ready");
    let shown = told(&queue, "acts --limit 1").await.unwrap();
    assert!(shown.starts_with("WHEN") && shown.lines().count() == 2, "{shown}");
}

#[tokio::test]
async fn state_that_the_verb_is_not_about_is_refused() {
    let queue = five().await;
    assert!(told(&queue, "quarantine --all --state any --dry-run").await.is_ok());
    let refused = told(&queue, "reinstate --state ready --operation charge").await.unwrap_err();
    assert_eq!(refused.to_string(), "`--state`: reinstate is about letters that are quarantined");
}

#[tokio::test]
async fn purge_without_a_terminal_must_be_told_yes() {
    use std::io::IsTerminal;
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        return; // it would ask the person who runs this; tests/cli_dlq.rs runs it without one
    }
    let queue = five().await;
    let refused = told(&queue, "purge --all").await.unwrap_err();
    assert!(refused.to_string().starts_with("`--yes`"), "{refused}");
    assert_eq!(queue.stats().await.unwrap().held(), 5);
}

#[tokio::test]
async fn redrive_is_written_down_for_the_application_to_carry_out() {
    let queue = five().await;
    let line = "redrive --destination payments --rate 50 --stop-after 3 --by ada --why mended";
    let shown = told(&queue, line).await.unwrap();
    assert!(
        shown.contains("marked run 1: 3 letters; the application that owns this file carries it out\n"),
        "{shown}"
    );
    let run = &documents(&queue, "runs 1").await[0];
    assert_eq!((&run["state"], &run["meant"], &run["rate"]), (&"waiting".into(), &3.into(), &50.0.into()));
    assert_eq!((&run["by"]["why"], &run["filter"]), (&"mended".into(), &"destination payments".into()));
    let shown = told(&queue, "runs").await.unwrap();
    assert!(shown.lines().nth(1).unwrap().starts_with("  1  waiting  now          3"), "{shown}");
    assert!(told(&queue, "runs 1").await.unwrap().contains("50 a second, from a tenth, 1 at once"));

    assert_eq!(told(&queue, "runs cancel 1 --by bo").await.unwrap(), "run 1 is cancelled by bo\n");
    assert_eq!(documents(&queue, "runs").await[0]["state"], "cancelled");
    assert_eq!(told(&queue, "runs cancel 9").await.unwrap_err().to_string(), "there is no redrive 9");
    for (line, why) in [("runs x", "no number"), ("runs 1 2", "not cancel"), ("runs cancel", "which run")] {
        assert!(told(&queue, line).await.unwrap_err().to_string().contains(why), "{line}");
    }
    let shown = told(&queue, "redrive --all --dry-run").await.unwrap();
    assert!(shown.starts_with("would redrive 4 letters in 2 groups\n"), "{shown}");
    assert_eq!(documents(&queue, "runs").await.len(), 1, "a dry run is not written down");
}

#[tokio::test]
async fn stats_tell_what_is_held_and_where_it_should_have_gone() {
    let queue = five().await;
    let mut out = Vec::new();
    let allowed = numbers::Allowed { letters: Some(6), bytes: None, time_to_live: None };
    numbers::stats(&queue, allowed, &mut View::on(&mut out, false, false, None)).await.unwrap();
    let shown = String::from_utf8(out).unwrap();
    for part in [
        "held           5 of 6, 83 %\n",
        "  quarantined  1\n",
        "oldest         died 2h 0m ago, 20",
        "\npayments            4\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}
