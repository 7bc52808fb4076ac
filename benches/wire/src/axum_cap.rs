//! A cap of 2 on an axum route, and 16 requests at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{MethodRouter, get};
use futures::future::join_all;
use recoup::Bulkhead;
use recoup::axum::ProtectLayer;
use tokio::net::TcpListener;
use tower::limit::ConcurrencyLimitLayer;

const CAP: usize = 2;

/// How many ran at once.
#[derive(Clone, Default)]
struct Running {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Running {
    async fn run(self) -> &'static str {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        "done"
    }
}

/// The layer is told of nothing but the cap.
pub(crate) async fn recoup() -> String {
    let layer =
        ProtectLayer::builder().bulkhead(Bulkhead::builder(CAP)).build().expect("the settings are right");
    play(|route| route.layer(layer)).await
}

pub(crate) async fn tower() -> String {
    play(|route| route.layer(ConcurrencyLimitLayer::new(CAP))).await
}

async fn play(limit: impl FnOnce(MethodRouter) -> MethodRouter) -> String {
    let running = Running::default();
    let handler = running.clone();
    let app = Router::new().route("/", limit(get(move || handler.clone().run())));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let client = reqwest::Client::new();
    let answers = join_all((0..16).map(|_| client.get(&url).send())).await;
    server.abort();
    let mut statuses = BTreeMap::new();
    for answer in answers {
        let status = answer.map_or(0, |response| response.status().as_u16());
        *statuses.entry(status).or_insert(0) += 1;
    }
    let statuses: Vec<String> =
        statuses.iter().map(|(status, times)| format!("{times} × {status}")).collect();
    format!("{} at once; {}", running.most.load(Ordering::SeqCst), statuses.join(", "))
}
