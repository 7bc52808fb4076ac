//! `recoup dlq`, run as a process over real files.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "other processes run in real time")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use recoup::{
    AttemptRecord, ByHand, Category, DeadLetter, DeadLetterQueue, DeadReason, ErrorChain, LetterFilter,
    LetterId, OpenErrorKind, Payload, Recovery, RedbQueue, Redriver, RunBook as _,
};
use serde_json::Value;

/// A folder of its own for each test.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("dlq-{name}"));
    let _ = fs::remove_dir_all(&folder); // there is none the first time
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn letter(order: u32) -> DeadLetter {
    let destination = if order.is_multiple_of(4) { "ads" } else { "payments" };
    let message = format!("order {order} timed out");
    DeadLetter::new("charge")
        .destination(destination)
        .category(Category::Timeout)
        .reason(DeadReason::Exhausted)
        .error(ErrorChain::from_display(&message))
        .attempt(AttemptRecord::new(1, SystemTime::now(), &message).took(Duration::from_secs(30)))
        .idempotency_key(format!("order-{order}"))
        .header("x-order", order.to_string())
        .payload(Payload::json(format!("{{\"order\":{order}}}")))
}

/// A closed file `letters.redb` with so many letters, the last of them quarantined.
async fn store(folder: &Path, letters: u32) -> PathBuf {
    let path = folder.join("letters.redb");
    // A command that another test is just starting holds a copy of every open file, and with it the lock, until it runs.
    let mut opened = RedbQueue::open(&path).await;
    while opened.as_ref().is_err_and(|error| error.kind == OpenErrorKind::InUse) {
        tokio::task::yield_now().await;
        opened = RedbQueue::open(&path).await;
    }
    let queue = opened.unwrap();
    for answer in queue.push_all((1..=letters).map(letter).collect()).await {
        answer.unwrap();
    }
    let last = LetterFilter::new().id(LetterId::new(letters.into()));
    assert_eq!(queue.quarantine(&last, &ByHand::of("test")).await.unwrap(), 1);
    queue.close().await.unwrap();
    path
}

fn recoup(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recoup"));
    command.current_dir(folder).arg("dlq").args(arguments).stdin(Stdio::null());
    for name in ["RECOUP_DLQ", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.env("USER", "ada").output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = recoup(folder, arguments);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), told.as_str()), (Some(0), ""), "{arguments:?}: {}", out(&output));
    out(&output)
}

/// What was said of what was wrong, on one line.
fn refused(folder: &Path, code: i32, arguments: &[&str]) -> String {
    let output = recoup(folder, arguments);
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
    assert_eq!(told.lines().count(), 1, "one line: {told}");
    assert!(told.starts_with("recoup: "), "{told}");
    told
}

fn documents(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let told = done(folder, &[arguments, &["--json"]].concat());
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn document(folder: &Path, arguments: &[&str]) -> Value {
    let mut documents = documents(folder, arguments);
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

#[tokio::test]
async fn each_verb_that_looks_tells_people_and_programs() {
    let folder = folder("looks");
    store(&folder, 9).await;
    let landing = done(&folder, &["letters.redb"]);
    assert!(landing.starts_with("FINGERPRINT"), "{landing}");
    assert!(landing.contains("8 letters in 2 groups\n"), "{landing}");
    assert_eq!(
        done(&folder, &["letters.redb", "groups"]),
        done(&folder, &["groups", "--file", "letters.redb"])
    );
    let counts: Vec<_> =
        documents(&folder, &["letters.redb"]).iter().map(|it| it["letters"].as_u64()).collect();
    assert_eq!(counts, [Some(6), Some(2)]);

    assert!(done(&folder, &["letters.redb", "list", "--limit", "3"]).contains("the next: --after 3"));
    let listed = documents(&folder, &["letters.redb", "list", "--destination", "ads"]);
    assert_eq!(listed.iter().map(|it| it["id"].as_u64()).collect::<Vec<_>>(), [Some(4), Some(8)]);
    let group = listed[0]["fingerprint"].as_str().unwrap();
    assert_eq!(documents(&folder, &["letters.redb", "list", "--fingerprint", group]).len(), 2);

    assert!(done(&folder, &["letters.redb", "show", "9"]).starts_with("letter 9, quarantined\n"));
    assert_eq!(done(&folder, &["letters.redb", "show", "4", "--raw"]), "{\"order\":4}");
    assert_eq!(document(&folder, &["letters.redb", "show", "4"])["idempotency_key"], "order-4");

    let stats = document(&folder, &["letters.redb", "stats"]);
    assert_eq!((&stats["held"], &stats["quarantined"], &stats["pushed"]), (&9.into(), &1.into(), &9.into()));
    assert_eq!(stats["by_destination"]["payments"], 7);
    let told = done(&folder, &["letters.redb", "stats"]);
    assert!(told.starts_with("held           9 of 100,000, 0 %\n") && !told.contains('\x1b'), "{told}");

    assert_eq!(document(&folder, &["letters.redb", "verify"])["sound"], true);
    assert_eq!(
        done(&folder, &["letters.redb", "verify"]),
        "9 letters read, all sound; the numbers are right\n"
    );
    assert_eq!(document(&folder, &["letters.redb", "acts"])["deed"], "quarantined");
    for verb in ["groups", "list", "redrive", "compact"] {
        assert!(done(&folder, &[verb, "--help"]).contains(&format!("recoup dlq FILE {verb}")));
    }
}

#[tokio::test]
async fn looking_changes_nothing_in_the_file() {
    let folder = folder("untouched");
    let path = store(&folder, 5).await;
    let before = fs::read(&path).unwrap();
    for verb in ["groups", "list", "stats", "acts", "export"] {
        done(&folder, &["letters.redb", verb]);
    }
    for verb in ["quarantine", "reinstate", "purge", "redrive"] {
        assert!(done(&folder, &["letters.redb", verb, "--all", "--dry-run"]).starts_with("would "), "{verb}");
    }
    assert!(fs::read(&path).unwrap() == before, "not a byte");
}

#[tokio::test]
async fn d3_letters_are_put_aside_brought_back_and_removed_by_who_and_why() {
    let folder = folder("changes");
    let path = store(&folder, 9).await;
    let did =
        document(&folder, &["letters.redb", "quarantine", "--destination", "ads", "--why", "bad campaign"]);
    assert_eq!((&did["letters"], &did["by"]["who"]), (&2.into(), &"ada".into()));
    assert!(done(&folder, &["letters.redb", "reinstate", "9"]).ends_with("reinstated 1 letter\n"));
    let told = refused(&folder, 2, &["letters.redb", "purge", "--destination", "payments"]);
    assert!(told.contains("`--yes`"), "{told}");
    assert_eq!(document(&folder, &["letters.redb", "stats"])["held"], 9, "nothing was removed");
    let told = done(&folder, &["letters.redb", "purge", "--destination", "payments", "--yes", "--by", "bo"]);
    assert!(told.ends_with("removed 7 letters\n"), "{told}");
    let stats = document(&folder, &["letters.redb", "stats"]);
    assert_eq!(
        (&stats["held"], &stats["quarantined"], &stats["discarded"]),
        (&2.into(), &2.into(), &7.into())
    );
    let acts = documents(&folder, &["letters.redb", "acts"]);
    assert_eq!((&acts[0]["by"]["who"], &acts[2]["by"]["why"]), (&"bo".into(), &"bad campaign".into()));

    let size = fs::metadata(&path).unwrap().len();
    let compacted = document(&folder, &["letters.redb", "compact"]);
    assert_eq!(compacted["before"].as_u64(), Some(size));
    assert_eq!(compacted["after"].as_u64(), Some(fs::metadata(&path).unwrap().len()));
    assert_eq!(document(&folder, &["letters.redb", "verify"])["letters"], 2);
}

#[tokio::test]
async fn letter_is_replaced_by_one_with_another_payload_and_a_key_of_its_own() {
    let folder = folder("edited");
    store(&folder, 3).await;
    fs::write(folder.join("new.json"), "{\"order\":100}").unwrap();
    let edited = document(&folder, &["letters.redb", "edit", "1", "--payload", "new.json", "--why", "typo"]);
    assert_eq!(edited["replaced_by"], 4);
    let letter = document(&folder, &["letters.redb", "show", "4"]);
    assert_eq!(letter["payload"]["text"], "{\"order\":100}");
    assert_eq!(letter["payload"]["content_type"], "application/json");
    assert_eq!((&letter["edited"]["from"], &letter["edited"]["by"]["why"]), (&1.into(), &"typo".into()));
    assert_ne!(letter["idempotency_key"], "order-1");
    assert!(refused(&folder, 1, &["letters.redb", "show", "1"]).contains("no letter 1"));
    assert!(
        refused(&folder, 1, &["letters.redb", "edit", "1", "--payload", "new.json"]).contains("no letter 1")
    );
    assert!(
        refused(&folder, 1, &["letters.redb", "edit", "2", "--payload", "none.json"]).contains("none.json")
    );
}

#[tokio::test]
async fn limits_are_those_of_the_owner_and_nothing_expires_meanwhile() {
    let folder = folder("guest");
    let path = folder.join("letters.redb");
    let owner = || RedbQueue::builder().capacity(3).time_to_live(Duration::from_secs(3600));
    let queue = owner().open(&path).await.unwrap();
    queue.push(letter(1).died_at(SystemTime::now() - Duration::from_secs(90 * 3600))).await.unwrap();
    queue.push(letter(2)).await.unwrap();
    queue.push(letter(3)).await.unwrap();
    queue.close().await.unwrap();
    let stats = document(&folder, &["letters.redb", "stats"]);
    assert_eq!((&stats["capacity"], &stats["time_to_live_s"]), (&3.into(), &3600.into()));
    assert!(done(&folder, &["letters.redb", "stats"]).starts_with("held           3 of 3, 100 %\n"));
    done(&folder, &["letters.redb", "quarantine", "2"]);
    let stats = document(&folder, &["letters.redb", "stats"]);
    assert_eq!(
        (&stats["held"], &stats["capacity"], &stats["time_to_live_s"]),
        (&3.into(), &3.into(), &3600.into())
    );

    let other = RedbQueue::open(folder.join("other.redb")).await.unwrap();
    other.push(letter(9)).await.unwrap();
    other.close().await.unwrap();
    done(&folder, &["other.redb", "export", "one.ndjson"]);
    let told = refused(&folder, 1, &["letters.redb", "import", "one.ndjson"]);
    assert!(told.contains("full"), "{told}");
}

#[tokio::test]
async fn file_that_nobody_closed_is_repaired_and_shown() {
    let folder = folder("crashed");
    let path = store(&folder, 5).await;
    let queue = RedbQueue::open(&path).await.unwrap();
    queue.push(letter(6)).await.unwrap();
    // What a crash leaves: the bytes as they are while it is open.
    fs::copy(&path, folder.join("left.redb")).unwrap();
    queue.close().await.unwrap();
    assert_eq!(documents(&folder, &["left.redb", "list", "--state", "any"]).len(), 6);
}

#[tokio::test]
async fn filter_that_matches_nothing_says_so_and_is_no_failure() {
    let folder = folder("nothing");
    store(&folder, 2).await;
    for verb in [&["list"][..], &["groups"], &["quarantine"], &["redrive"], &["purge"], &["reinstate"]] {
        let told = done(&folder, &[&["letters.redb"], verb, &["--tenant", "nobody"]].concat());
        assert_eq!(told.lines().next(), Some("no letter is meant (tenant nobody)"), "{verb:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_line_that_names_it() {
    let folder = folder("wrong");
    store(&folder, 2).await;
    for (arguments, why) in [
        (&["letters.redb", "lst"][..], "\"lst\" is none of groups, list"),
        (&["letters.redb", "list", "--category", "slow"], "none of network, timeout"),
        (&["letters.redb", "list", "--state", "parked"], "none of ready, leased"),
        (&["letters.redb", "purge", "--yes"], "purge which letters?"),
        (&["letters.redb", "redrive", "--all", "--post", "https://a/"], "https is not spoken here"),
        (&["letters.redb", "redrive", "--all", "--post", "http://a/", "--concurrency", "257"], "at most 256"),
        (&["letters.redb", "show"], "show which letter?"),
        (&["list"], "no file is named"),
    ] {
        let told = refused(&folder, 2, arguments);
        assert!(told.contains(why), "{told}");
    }
    assert!(refused(&folder, 1, &["letters.redb", "show", "77"]).contains("there is no letter 77"));
}

#[tokio::test]
async fn file_that_cannot_be_opened_is_named_with_the_reason() {
    let folder = folder("files");
    let path = store(&folder, 2).await;
    assert!(refused(&folder, 1, &["missing.redb"]).contains("missing.redb"));
    assert!(refused(&folder, 1, &["missing.redb", "import", "x"]).contains("missing.redb"));
    assert!(!folder.join("missing.redb").exists(), "nothing is made");
    fs::write(folder.join("foreign"), "some text that is no database").unwrap();
    assert!(refused(&folder, 1, &["foreign"]).contains("`foreign`"));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    fs::write(folder.join("half.redb"), bytes).unwrap();
    assert!(refused(&folder, 1, &["half.redb", "verify"]).contains("half.redb"));

    let owner = RedbQueue::open(&path).await.unwrap();
    for arguments in [&["letters.redb"][..], &["letters.redb", "purge", "--all", "--yes"]] {
        let told = refused(&folder, 1, arguments);
        assert!(told.contains("letters.redb is open in another process"), "{told}");
    }
    assert_eq!(owner.stats().await.unwrap().held(), 2);
    owner.close().await.unwrap();
    done(&folder, &["letters.redb"]);
}

#[tokio::test]
async fn d17_letters_that_were_exported_are_imported_once() {
    let folder = folder("carried");
    store(&folder, 9).await;
    let told = done(&folder, &["letters.redb", "export", "letters.ndjson"]);
    assert!(told.starts_with("exported 9 letters, "), "{told}");
    assert_eq!(
        done(&folder, &["letters.redb", "export"]),
        fs::read_to_string(folder.join("letters.ndjson")).unwrap()
    );
    assert!(refused(&folder, 1, &["letters.redb", "export", "letters.ndjson"]).contains("letters.ndjson"));

    let other = folder.join("other.redb");
    RedbQueue::open(&other).await.unwrap().close().await.unwrap();
    let imported = document(&folder, &["other.redb", "import", "letters.ndjson"]);
    assert_eq!((&imported["stored"], &imported["known"]), (&9.into(), &0.into()));
    let told = done(&folder, &["other.redb", "import", "letters.ndjson"]);
    assert_eq!(told, "imported 0 letters; 9 letters were here already, or had been\n");
    assert_eq!(document(&folder, &["other.redb", "stats"])["quarantined"], 1);

    let text = fs::read_to_string(folder.join("letters.ndjson")).unwrap();
    fs::write(folder.join("broken.ndjson"), text.replace("order-7", "order-8")).unwrap();
    let third = folder.join("third.redb");
    RedbQueue::open(&third).await.unwrap().close().await.unwrap();
    assert!(refused(&folder, 1, &["third.redb", "import", "broken.ndjson"]).contains("line 8"));
    assert_eq!(document(&folder, &["third.redb", "stats"])["held"], 0);
}

/// What an endpoint was asked: the key, a header of the letter, the body.
type Asked = Arc<Mutex<Vec<(String, String, String)>>>;

/// An endpoint that answers with these codes, one after the other, and with 200 from then on.
fn endpoint(codes: &[u16]) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/orders", listener.local_addr().unwrap());
    let asked = Asked::default();
    let (codes, told) =
        (Arc::new(Mutex::new(codes.iter().rev().copied().collect::<Vec<_>>())), Arc::clone(&asked));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (codes, told) = (Arc::clone(&codes), Arc::clone(&told));
            std::thread::spawn(move || while answer(stream.as_ref().unwrap(), &codes, &told).is_some() {});
        }
    });
    (url, asked)
}

fn answer(
    mut stream: &TcpStream,
    codes: &Mutex<Vec<u16>>,
    told: &Mutex<Vec<(String, String, String)>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line).ok()? > 2 {
        head.push(line.trim_end().to_lowercase());
        line.clear();
    }
    let header =
        |name: &str| head.iter().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_default();
    let mut body = vec![0; header("content-length").parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let asked = (header("idempotency-key"), header("x-order"), String::from_utf8(body).unwrap());
    assert_eq!(header("content-type"), "application/json");
    told.lock().unwrap().push((asked.0.to_owned(), asked.1.to_owned(), asked.2));
    let code = codes.lock().unwrap().pop().unwrap_or(200);
    let says = if code == 200 { "" } else { "not now" };
    write!(stream, "HTTP/1.1 {code} Some\r\nContent-Length: {}\r\n\r\n{says}", says.len()).ok()
}

#[tokio::test]
async fn d9_endpoint_that_fails_twice_gets_each_letter_and_each_key_its_own() {
    let folder = folder("posted");
    store(&folder, 9).await;
    let (url, asked) = endpoint(&[503, 500]);
    let told = done(&folder, &["letters.redb", "redrive", "--destination", "payments", "--post", &url]);
    assert!(told.starts_with("redrive 6 letters in 1 group (destination payments)\n"), "{told}");
    assert!(told.ends_with("delivered 6 letters\n"), "{told}");
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 8, "six letters, and two that were not taken the first time");
    let mut orders: Vec<_> = asked.iter().map(|(key, order, _)| (key.as_str(), order.as_str())).collect();
    orders.sort_unstable();
    orders.dedup();
    let expected = [
        ("order-1", "1"),
        ("order-2", "2"),
        ("order-3", "3"),
        ("order-5", "5"),
        ("order-6", "6"),
        ("order-7", "7"),
    ];
    assert_eq!(orders, expected);
    assert!(asked.iter().all(|(_, order, body)| *body == format!("{{\"order\":{order}}}")));
    let stats = document(&folder, &["letters.redb", "stats"]);
    assert_eq!((&stats["held"], &stats["delivered"]), (&3.into(), &6.into()), "others are left alone");
    let act = &documents(&folder, &["letters.redb", "acts"])[0];
    assert_eq!(
        (&act["deed"], &act["letters"], &act["by"]["who"]),
        (&"redriven".into(), &6.into(), &"ada".into())
    );
}

#[tokio::test]
async fn run_that_the_command_marks_is_carried_out_by_the_application() {
    let folder = folder("marked");
    let path = store(&folder, 9).await;
    let told = done(&folder, &["letters.redb", "redrive", "--destination", "payments", "--by", "ada"]);
    assert!(told.contains("marked run 1: 6 letters; the application"), "{told}");
    let run = document(&folder, &["letters.redb", "runs", "1"]);
    assert_eq!(run["state"], "waiting", "{run}");

    let queue = RedbQueue::open(&path).await.unwrap();
    let recovery = Recovery::<std::io::Error>::builder("app").dead_letters(queue.clone()).build().unwrap();
    let keys = Mutex::new(Vec::new());
    let redriver = Redriver::new(&recovery, |letter: Arc<DeadLetter>, _| {
        keys.lock().unwrap().push(letter.idempotency_key.clone());
        async { Ok(()) }
    });
    let over = async {
        while !queue.unfinished().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = redriver.run() => panic!("it ended by itself: {ended:?}"),
        () = over => {}
    }
    queue.close().await.unwrap();
    drop((recovery, queue));
    let mut keys = keys.into_inner().unwrap();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 6, "each once");
    let run = document(&folder, &["letters.redb", "runs", "1"]);
    assert_eq!(run["state"], "finished", "{run}");
    assert_eq!(document(&folder, &["letters.redb", "stats"])["delivered"], 6);
}

#[tokio::test]
async fn d19_letter_that_is_not_taken_is_told_so_and_quarantined_in_the_end() {
    let folder = folder("refusing");
    store(&folder, 3).await;
    let (url, asked) = endpoint(&[422, 200, 422]);
    let post = ["letters.redb", "redrive", "--all", "--post", &url, "--quarantine-after", "2", "--json"];
    let output = recoup(&folder, &post);
    assert_eq!(output.status.code(), Some(1), "one of them failed");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "recoup: 1 letter failed\n");
    let did: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(
        (&did["letters"], &did["run"]["failed"], &did["run"]["state"]),
        (&1.into(), &1.into(), &"finished".into())
    );
    let letter = document(&folder, &["letters.redb", "show", "1"]);
    assert_eq!(
        (&letter["redrives"], &letter["status"], &letter["state"]),
        (&1.into(), &422.into(), &"ready".into())
    );
    assert_eq!(letter["error"][0]["message"], "HTTP 422 Unprocessable Entity: not now");
    assert_eq!(letter["attempts"]["total"], 2);
    recoup(&folder, &post);
    assert_eq!(document(&folder, &["letters.redb", "show", "1"])["state"], "quarantined");
    assert_eq!(asked.lock().unwrap().len(), 3, "what is wrong with the letter is asked once each time");
}

#[tokio::test]
async fn endpoint_that_is_not_there_stops_after_as_many_failures_as_were_said() {
    let folder = folder("away");
    store(&folder, 9).await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}/");
    let told = refused(
        &folder,
        1,
        &["letters.redb", "redrive", "--all", "--post", &url, "--stop-after", "2", "--attempts", "1"],
    );
    assert!(told.contains("stopped: "), "{told}");
    assert_eq!(document(&folder, &["letters.redb", "stats"])["held"], 9);
}

/// Letters of a bad week: a bank that timed out, a mail server that refuses, an advertiser with wrong campaigns.
fn of_a_bad_week(nth: u32) -> DeadLetter {
    let (destination, operation, message, category, reason) = match nth % 20 {
        0..=8 => (
            "bank",
            "charge",
            format!("charge {nth}: no answer within 30s"),
            Category::Timeout,
            DeadReason::Exhausted,
        ),
        9..=13 => (
            "mail",
            "send-receipt",
            format!("mx{}.example: 421 too many connections", nth % 4),
            Category::RateLimited,
            DeadReason::Budget,
        ),
        14..=17 => (
            "warehouse",
            "reserve",
            "connection refused".to_owned(),
            Category::Network,
            DeadReason::CircuitOpen,
        ),
        18 => (
            "ads",
            "impression",
            format!("campaign 'summer {nth}' is not known"),
            Category::Validation,
            DeadReason::Permanent,
        ),
        _ => ("ads", "click", "click has no time".to_owned(), Category::Validation, DeadReason::Undecodable),
    };
    let died = SystemTime::now() - Duration::from_secs(u64::from(100_000 - nth) * 2 + 600);
    let waits = [Duration::ZERO, Duration::from_millis(310), Duration::from_millis(1120)];
    let attempts = (1..=3).zip(waits).map(|(number, wait)| {
        let at = died - Duration::from_secs(31) * (3 - number);
        AttemptRecord::new(number, at, &message)
            .delay_before(wait)
            .took(Duration::from_secs(30))
            .category(category)
    });
    DeadLetter::new(operation)
        .destination(destination)
        .category(category)
        .reason(reason)
        .error(ErrorChain::from_display(&message).type_name("shop::CallError"))
        .attempts(attempts.collect())
        .idempotency_key(format!("{operation}-{nth}"))
        .correlation_id(format!("order-{nth}"))
        .tenant(["acme", "globex"][nth as usize % 2])
        .payload(Payload::json(format!("{{\"order\":{nth},\"cents\":{},\"currency\":\"EUR\"}}", nth % 9973)))
        .died_at(died)
}

/// Makes the transcript that stands in the documentation: `cargo test --release --features cli --test cli_dlq --
/// --ignored`, which prints it.
#[tokio::test]
#[ignore = "makes a page of the documentation, and a store of 100,000 letters for it"]
async fn transcript_of_an_operator_with_100_000_letters() {
    let folder = folder("transcript");
    let path = folder.join("letters.redb");
    let queue = RedbQueue::builder().capacity(120_000).open(&path).await.unwrap();
    for nth in (0..100_000).step_by(1000) {
        let letters = (nth..nth + 1000).map(of_a_bad_week).collect();
        assert!(queue.push_all(letters).await.iter().all(Result::is_ok));
    }
    queue.close().await.unwrap();
    let (url, asked) = endpoint(&[503, 500]);
    let groups = documents(&folder, &["letters.redb", "groups"]);
    let group = groups[0]["fingerprint"].as_str().unwrap();
    let mut transcript = Vec::new();
    let mut say = |line: &str| {
        let line = line.replace("URL", &url).replace("GROUP", group);
        let quoted = line.split('\'').enumerate();
        let words =
            quoted.flat_map(
                |(nth, part)| {
                    if nth % 2 == 1 { vec![part] } else { part.split_whitespace().collect() }
                },
            );
        let words: Vec<&str> = words.collect();
        let began = std::time::Instant::now();
        let output = recoup(&folder, &words);
        let took = began.elapsed().as_secs_f64();
        let (out, err) = (out(&output), String::from_utf8(output.stderr.clone()).unwrap());
        transcript.push(format!("$ recoup dlq {line}\n{out}{err}# {took:.2} s\n"));
    };
    say("letters.redb");
    say("letters.redb stats");
    say("letters.redb list --fingerprint GROUP --limit 3");
    say("letters.redb show 1");
    say("letters.redb redrive --fingerprint GROUP --older-than 53h --dry-run");
    say(
        "letters.redb redrive --fingerprint GROUP --older-than 53h --post URL --concurrency 16 --why 'bank is back'",
    );
    say("letters.redb quarantine --operation impression --why 'campaigns to be mended'");
    say("letters.redb purge --operation click --older-than 1day");
    say("letters.redb purge --operation click --older-than 1day --yes --why 'too old to be counted'");
    say("letters.redb groups --limit 3");
    say("letters.redb acts");
    say("letters.redb export bad-week.ndjson");
    say("letters.redb verify");
    say("letters.redb compact");
    println!("{}", transcript.join("\n"));
    let mut keys: Vec<_> = asked.lock().unwrap().iter().map(|(key, ..)| key.clone()).collect();
    let posts = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(posts, keys.len() + 2, "two were not taken the first time, and each other came once");
}
