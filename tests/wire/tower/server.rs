//! A permit that is held in the layer really limits, under axum, over real sockets.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ::axum::Router;
use ::axum::error_handling::HandleErrorLayer;
use ::axum::routing::{MethodRouter, get, put};
use ::tower::ServiceBuilder;
use ::tower::limit::ConcurrencyLimitLayer;
use bytes::Bytes;
use futures::future::join_all;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use recoup::tower::RecoveryLayer;
use recoup::{Bulkhead, Recovery, RecoveryError, RetryPolicy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// How many handlers are under way, and at most were.
#[derive(Clone)]
struct Handlers {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    /// Nobody answers before this is opened.
    gate: Arc<Semaphore>,
}

impl Handlers {
    fn new() -> Self {
        Self { now: Arc::default(), most: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
    }

    fn route(&self) -> MethodRouter {
        let handlers = self.clone();
        get(move || {
            let handlers = handlers.clone();
            async move {
                handlers.most.fetch_max(handlers.now.fetch_add(1, SeqCst) + 1, SeqCst);
                let _open = handlers.gate.acquire().await.unwrap();
                handlers.now.fetch_sub(1, SeqCst);
                "done"
            }
        })
    }
}

/// The statuses of sixteen requests at once, each over a connection of its own. Nobody who got in may answer before
/// all have come to where they wait, which `settled` says of the number that has been answered.
async fn sixteen(address: SocketAddr, handlers: &Handlers, settled: impl Fn(usize) -> bool) -> Vec<String> {
    let answered = Cell::new(0);
    let requests = (0..16).map(async |n| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let path = if n % 2 == 0 { "/one" } else { "/two" };
        let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answered.set(answered.get() + 1);
        answer.split(' ').nth(1).unwrap().to_owned()
    });
    let open = async {
        while !settled(answered.get()) {
            tokio::task::yield_now().await;
        }
        handlers.gate.add_permits(16);
    };
    let both = async { tokio::join!(join_all(requests), open) };
    let (mut statuses, ()) = tokio::time::timeout(Duration::from_secs(30), both).await.expect("it settles");
    statuses.sort();
    statuses
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { ::axum::serve(listener, router).await });
    address
}

fn recovery(queue: usize) -> Recovery<Infallible> {
    Recovery::builder("here").bulkhead(Bulkhead::builder(2).queue(queue)).build().unwrap()
}

async fn refused(error: RecoveryError<Infallible>) -> StatusCode {
    assert!(error.is_rejection(), "{error}");
    StatusCode::SERVICE_UNAVAILABLE
}

#[tokio::test]
async fn s1_bulkhead_in_a_layer_on_each_route_limits_over_all_routes_and_connections() {
    let handlers = Handlers::new();
    // One layer, applied to two routes. A bulkhead made anew for each route, or for each connection, would let
    // two in for each of them.
    let recovery = recovery(16);
    let bulkhead = recovery.bulkhead().unwrap().clone();
    let layer = RecoveryLayer::once(recovery);
    let layers = ServiceBuilder::new().layer(HandleErrorLayer::new(refused)).layer(layer);
    let router = Router::new()
        .route("/one", handlers.route().layer(layers.clone()))
        .route("/two", handlers.route().layer(layers));
    let settled = |_| (bulkhead.in_use(), bulkhead.queued()) == (2, 14);
    let statuses = sixteen(serve(router).await, &handlers, settled).await;
    assert_eq!(statuses, ["200"; 16], "the others have waited");
    assert_eq!(handlers.most.load(SeqCst), 2);
}

#[tokio::test]
async fn s1_bulkhead_in_a_layer_around_a_router_limits_and_refuses() {
    let handlers = Handlers::new();
    let router = Router::new().route("/one", handlers.route()).route("/two", handlers.route()).layer(
        ServiceBuilder::new().layer(HandleErrorLayer::new(refused)).layer(RecoveryLayer::once(recovery(0))),
    );
    let statuses = sixteen(serve(router).await, &handlers, |answered| answered == 14).await;
    assert_eq!(statuses[..2], ["200", "200"]);
    assert_eq!(statuses[2..], ["503"; 14]);
    assert_eq!(handlers.most.load(SeqCst), 2);
}

#[tokio::test]
async fn limit_of_towers_own_lets_all_sixteen_run() {
    let handlers = Handlers::new();
    // It is made anew for each connection and each route, and so is its count.
    let router = Router::new()
        .route("/one", handlers.route().layer(ConcurrencyLimitLayer::new(2)))
        .route("/two", handlers.route().layer(ConcurrencyLimitLayer::new(2)));
    let statuses = sixteen(serve(router).await, &handlers, |_| handlers.now.load(SeqCst) == 16).await;
    assert_eq!(statuses, ["200"; 16]);
    assert_eq!(handlers.most.load(SeqCst), 16);
}

#[tokio::test(start_paused = true)]
async fn rules_of_http_go_around_a_router_too() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let store = move |body: String| {
        let first = count.fetch_add(1, SeqCst) == 0;
        async move {
            if first { (StatusCode::SERVICE_UNAVAILABLE, "busy".to_owned()) } else { (StatusCode::OK, body) }
        }
    };
    let retry = RetryPolicy::single_client();
    let layers = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(refused))
        .layer(RecoveryLayer::http(Recovery::builder("store").retry(retry).build().unwrap()));
    let router = Router::new().route("/", put(store)).layer(layers);
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let url = format!("http://{}/", serve(router).await);
    let request = Request::put(url).body(Full::from("what was sent")).unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "what was sent");
    assert_eq!(asked.load(SeqCst), 2);
}
