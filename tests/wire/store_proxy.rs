//! The proxy of the example `store_proxy`, in front of a store that does what a script says: the test strategy of
//! "Implement Advanced Error Handling and Resilience".

#[expect(dead_code, reason = "it has a store and a client of its own")]
#[path = "../../examples/store_proxy.rs"]
mod example;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use recoup::Jitter;
use serde_json::{Value, json};

use crate::scripted::{Answer, Received, Scripted};

/// A proxy on a socket, and what it has logged.
struct Proxied {
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

struct Told {
    status: u16,
    retry_after: Option<String>,
    text: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

impl Proxied {
    async fn of(store: String, limit: Duration, jitter: Jitter) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let of_proxy = Arc::clone(&log);
        let sink = Arc::new(move |line| of_proxy.lock().unwrap().push(line));
        let app = example::proxy(store, limit, jitter, sink).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, log }
    }

    async fn ask(&self, method: Method, path: &str) -> Told {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method, format!("http://{}{path}", self.address));
        let answer = request.header("x-request-id", "r1").body("hello").send().await.unwrap();
        let retry_after = answer.headers().get("retry-after").map(|after| after.to_str().unwrap().to_owned());
        Told { status: answer.status().as_u16(), retry_after, text: answer.text().await.unwrap() }
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

/// A store over sockets, and a proxy in front of it: without jitter, so that it waits as long as it is told to, and
/// without a limit, which would be over at once on a paused clock.
async fn with(script: impl IntoIterator<Item = Answer>) -> (Scripted, Proxied) {
    let store = Scripted::http1(script).await;
    let proxied = Proxied::of(store.url(""), Duration::MAX, Jitter::None).await;
    (store, proxied)
}

fn overloaded(message: &str) -> Value {
    json!({ "type": "error", "error": { "type": "overloaded_error", "message": message }, "request_id": "r1" })
}

/// Store, retrieve, delete, clear.
const INTERACTIONS: [(Method, &str); 4] = [
    (Method::PUT, "/state/chat-1"),
    (Method::GET, "/state/chat-1"),
    (Method::DELETE, "/state/chat-1"),
    (Method::DELETE, "/state"),
];

fn asked(received: &Received) -> (Method, &str, &str, Bytes) {
    (received.method.clone(), &received.path, received.header("x-request-id"), received.body.clone())
}

#[tokio::test(start_paused = true)]
async fn overload_is_met_with_exponential_waits_and_ends_in_529_for_every_interaction() {
    for (method, path) in INTERACTIONS {
        let (store, proxied) = with((0..4).map(|_| Answer::status(503))).await;
        let told = proxied.ask(method.clone(), path).await;
        assert_eq!((told.status, told.json()), (529, overloaded("the service cannot answer now")));
        let received = store.received();
        assert_eq!(received.len(), 4, "{method} {path}");
        for each in &received {
            assert_eq!(asked(each), (method.clone(), path, "r1", Bytes::from("hello")), "the same each time");
        }
        let call = format!("r1 {method} {path}");
        let expected = [
            format!("{call} attempt 1: service_unavailable 503"),
            format!("{call} attempt 2 in 20ms"),
            format!("{call} attempt 2: service_unavailable 503"),
            format!("{call} attempt 3 in 40ms"),
            format!("{call} attempt 3: service_unavailable 503"),
            format!("{call} attempt 4 in 80ms"),
            format!("{call} attempt 4: service_unavailable 503"),
            format!("{call} gave up after 4 attempts: attempts"),
            format!(
                "r1 503 {method} {path}: the service cannot answer now: the store answered 503 Service Unavailable \
                 (request r1)"
            ),
        ];
        assert_eq!(proxied.log(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn broken_store_ends_in_500() {
    for status in [500, 502] {
        let (store, proxied) = with((0..4).map(|_| Answer::status(status))).await;
        let told = proxied.ask(Method::PUT, "/state/chat-1").await;
        let message = "a service behind this one failed";
        let expected = json!({ "type": "error", "error": { "type": "api_error", "message": message }, "request_id": "r1" });
        assert_eq!((told.status, told.json()), (500, expected));
        assert_eq!(store.received().len(), 4);
        assert!(proxied.log()[7].ends_with("gave up after 4 attempts: attempts"));
    }
}

#[tokio::test(start_paused = true)]
async fn store_that_comes_back_is_not_noticed() {
    let script = [Answer::status(503), Answer::Reset, Answer::Close, Answer::status(201).body("kept")];
    let (store, proxied) = with(script).await;
    let told = proxied.ask(Method::PUT, "/state/chat-1").await;
    assert_eq!((told.status, &*told.text), (201, "kept"));
    assert_eq!(store.received().len(), 4);
    let waits: Vec<_> = proxied.log().into_iter().filter(|line| line.contains(" in ")).collect();
    assert_eq!(waits.len(), 3, "{waits:?}");
    assert!(proxied.log().iter().any(|line| line.contains("attempt 2: network")), "{:?}", proxied.log());
    assert!(!proxied.log().iter().any(|line| line.contains("gave up")));
}

#[tokio::test(start_paused = true)]
async fn store_that_is_away_ends_in_529_and_its_address_stays_inside() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let proxied = Proxied::of(format!("http://{gone}"), Duration::MAX, Jitter::None).await;
    let told = proxied.ask(Method::GET, "/state/chat-1").await;
    assert_eq!((told.status, told.json()), (529, overloaded("the service cannot answer now")));
    assert!(!told.text.contains(&gone.port().to_string()), "{}", told.text);
    assert!(proxied.log()[0].starts_with("r1 GET /state/chat-1 attempt 1: network os error "));
    let last = proxied.log().pop().unwrap();
    assert!(last.contains(&gone.to_string()) && last.contains("refused"), "the log has the error: {last}");
    assert_eq!(proxied.log().iter().filter(|line| line.contains(" in ")).count(), 3);
}

#[tokio::test]
async fn store_that_stalls_is_given_up_on_and_ends_in_529() {
    let store = Scripted::http1((0..4).map(|_| Answer::Stall)).await;
    let proxied = Proxied::of(store.url(""), Duration::from_millis(50), Jitter::None).await;
    let told = proxied.ask(Method::GET, "/state/chat-1").await;
    assert_eq!((told.status, told.json()), (529, overloaded("there was no answer in time")));
    assert_eq!(store.received().len(), 4);
    let log = proxied.log();
    assert_eq!(log[0], "r1 GET /state/chat-1 attempt 1: timeout");
    assert_eq!(log[7], "r1 GET /state/chat-1 gave up after 4 attempts: attempts");
}

#[tokio::test(start_paused = true)]
async fn stores_own_moment_is_waited_for_and_handed_on() {
    let busy = || Answer::status(503).header("retry-after", 2);
    let (_store, proxied) = with((0..4).map(|_| busy())).await;
    let told = proxied.ask(Method::GET, "/state/chat-1").await;
    assert_eq!((told.status, told.retry_after.as_deref()), (529, Some("2")));
    let waits: Vec<_> = proxied.log().into_iter().filter(|line| line.contains(" in ")).collect();
    assert_eq!(waits.len(), 3);
    // Spread a little upward, so that those who were told the same do not come as one; never earlier.
    assert!(waits.iter().all(|line| line.contains(" in 2")), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_no_failure_are_handed_on_at_once() {
    for status in [404, 409, 201] {
        let (store, proxied) = with([Answer::status(status).body("says why")]).await;
        let told = proxied.ask(Method::GET, "/state/chat-1").await;
        assert_eq!((told.status, &*told.text), (status, "says why"));
        assert_eq!((store.received().len(), proxied.log().len()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_proxy_does_not_serve_never_reaches_the_store() {
    let (store, proxied) = with([]).await;
    assert_eq!(proxied.ask(Method::POST, "/state/chat-1").await.status, 405);
    assert_eq!(proxied.ask(Method::GET, "/").await.status, 404);
    assert!(store.received().is_empty());
}

#[tokio::test(start_paused = true)]
async fn with_jitter_no_wait_is_longer_than_the_exponential_one() {
    let store = Scripted::http1((0..4).map(|_| Answer::status(503))).await;
    let proxied = Proxied::of(store.url(""), Duration::MAX, Jitter::Full).await;
    assert_eq!(proxied.ask(Method::GET, "/state/chat-1").await.status, 529);
    let log = proxied.log();
    let waits = log.iter().filter_map(|line| line.split_once(" in "));
    let most = [20.0, 40.0, 80.0];
    let mut seen = 0;
    for ((_, wait), most) in waits.zip(most) {
        let units = [("ms", 1.0), ("µs", 1e-3), ("ns", 1e-6), ("s", 1e3)];
        let milliseconds = units.iter().find_map(|(unit, length)| {
            let number: f64 = wait.strip_suffix(unit)?.parse().ok()?;
            Some(number * length)
        });
        let milliseconds = milliseconds.expect("a wait");
        assert!(milliseconds <= most, "{wait} of {most} ms");
        seen += 1;
    }
    assert_eq!(seen, 3);
}
