//! The layer that makes answers of whatever goes wrong.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get as on_get;
use http::{Request, Response, StatusCode};
use recoup::axum::{Alerts, ErrorLayer, Format, ProtectLayer, Rejection, Report, RequestId};
use recoup::{Category, CircuitBreaker, Recovery, RetryPolicy, execute_with_recovery};
use tower::{Layer, ServiceExt};

use super::{ask, client, get, serve};

const SECRET: &str = "postgres://admin:hunter2@10.0.0.7";

/// A router that fails in every way that may know a secret.
fn leaky(layer: &ErrorLayer) -> Router {
    let secret = || -> Box<dyn Error + Send + Sync> { SECRET.into() };
    let recovery = Recovery::<io::Error>::builder("db").retry(RetryPolicy::builder().max_attempts(1));
    let recovery = recovery.build().unwrap();
    let failing = layer
        .layer(tower::service_fn(move |_: Request<Body>| async move { Err::<Response<Body>, _>(secret()) }));
    Router::new()
        .route("/rejected", on_get(async || Rejection::new(Category::Internal).caused_by(SECRET)))
        .route(
            "/recovery",
            on_get(async move || {
                let call = async |_| Err::<(), _>(io::Error::other(SECRET));
                Rejection::from(execute_with_recovery(&recovery, call).await.unwrap_err())
            }),
        )
        .route("/panics", on_get(|| async { panic!("{SECRET}") as () }))
        .layer(layer.clone())
        .route_service("/service", failing)
}

const WAYS: [&str; 4] = ["/rejected", "/recovery", "/panics", "/service"];

#[tokio::test(start_paused = true)]
async fn in_production_nothing_of_an_inner_error_leaves_the_server() {
    for format in [Format::problem(), Format::problem_types("https://e.example/"), Format::anthropic()] {
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let of_hook = Arc::clone(&told);
        let alerts = Alerts::new(move |alert| of_hook.lock().unwrap().push(alert.error.clone()));
        let app = leaky(&ErrorLayer::new().format(format.clone()).alerts(alerts).catch_panics());
        for way in WAYS {
            let answer = ask(&app, get(way)).await;
            assert_eq!(answer.status, 500, "{way} as {format:?}");
            let all = format!("{:?} {}", answer.headers, answer.text);
            for part in ["postgres", "admin", "hunter2", "10.0.0.7"] {
                assert!(!all.contains(part), "{way}: {all}");
            }
        }
        let told = told.lock().unwrap();
        assert_eq!(told.len(), WAYS.len());
        assert!(told.iter().all(|error| error.contains(SECRET)), "the hook is told: {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn in_development_the_chain_of_errors_is_shown() {
    let app = leaky(&ErrorLayer::new().development(true).catch_panics());
    for way in WAYS {
        let errors = ask(&app, get(way)).await.json()["errors"].clone();
        assert!(errors[0].as_str().unwrap().contains(SECRET), "{way}: {errors}");
    }
    let app = leaky(&ErrorLayer::new().development(true).format(Format::anthropic()).catch_panics());
    assert_eq!(ask(&app, get("/rejected")).await.json()["error"]["details"][0], SECRET);
}

#[tokio::test]
async fn caught_panic_is_a_500_and_the_connection_lives_on() {
    let layer = ErrorLayer::new().catch_panics();
    let app = Router::new()
        .route("/panics", on_get(|| async { panic!("oh") as () }))
        .route("/ok", on_get(async || "ok"))
        .layer(layer);
    let address = serve(app).await;
    let client = client(false);
    let answer = client.get(format!("http://{address}/panics")).send().await.unwrap();
    assert_eq!(
        (answer.status(), &answer.headers()["content-type"]),
        (StatusCode::INTERNAL_SERVER_ERROR, &"application/problem+json".parse().unwrap())
    );
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!((&body["reason"], &body["instance"]), (&"panic".into(), &"/panics".into()));
    assert_eq!(client.get(format!("http://{address}/ok")).send().await.unwrap().text().await.unwrap(), "ok");
}

#[tokio::test]
async fn panic_passes_unless_it_is_to_be_caught() {
    let app = Router::new().route("/", on_get(|| async { panic!("oh") as () })).layer(ErrorLayer::new());
    let address = serve(app).await;
    assert!(client(false).get(format!("http://{address}/")).send().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn request_id_is_taken_or_made_and_is_the_same_everywhere() {
    let handler = async |id: RequestId, headers: http::HeaderMap| {
        let header = headers["x-request-id"].to_str().unwrap().to_owned();
        Rejection::new(Category::Conflict).member("seen", id.as_str()).member("header", header)
    };
    let app = Router::new().route("/", on_get(handler)).layer(ErrorLayer::new());
    let with = |id: &str| Request::get("/").header("x-request-id", id).body(Body::empty()).unwrap();
    for (sent, taken) in [("req-7.a", true), ("two words", false), ("", false), (&"x".repeat(129), false)] {
        let answer = ask(&app, with(sent)).await;
        let body = answer.json();
        let id = body["request_id"].as_str().unwrap();
        assert_eq!(id == sent, taken, "{sent:?} became {id:?}");
        assert_eq!((&body["seen"], &body["header"]), (&id.into(), &id.into()));
        assert_eq!(answer.header("x-request-id"), id);
        assert!(taken || id.len() == 32);
    }
    let good = Router::new().route("/", on_get(async || "ok")).layer(ErrorLayer::new());
    assert_eq!(ask(&good, with("mine")).await.header("x-request-id"), "mine");
    assert_eq!(ask(&good, get("/")).await.header("x-request-id").len(), 32);
    let alone = Router::new().route("/", on_get(async |id: RequestId| id.to_string()));
    assert_eq!(ask(&alone, with("mine")).await.text, "mine", "without a layer too");
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_put_around_its_rejection_stays() {
    let breaker = CircuitBreaker::builder("b").build().unwrap();
    breaker.force_open();
    let open = move || Rejection::from(breaker.admit().unwrap_err());
    let app = Router::new()
        .route("/cookies", {
            let open = open.clone();
            on_get(async move || {
                let cookies = axum::response::AppendHeaders([("set-cookie", "a=1"), ("set-cookie", "b=2")]);
                (cookies, open())
            })
        })
        .route(
            "/status",
            on_get({
                let open = open.clone();
                async move || (StatusCode::IM_A_TEAPOT, open())
            }),
        )
        .route("/later", on_get(async move || ([("retry-after", "120")], open())))
        .layer(ErrorLayer::new().format(Format::problem_types("urn:e:")));
    let answer = ask(&app, get("/cookies")).await;
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    assert_eq!(answer.json()["type"], "urn:e:circuit_open");
    assert_eq!(answer.headers.get_all("content-type").iter().count(), 1);
    let answer = ask(&app, get("/status")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (418, &418.into()));
    assert_eq!(answer.header("retry-after"), "", "nothing that is 418 is over in a second");
    assert_eq!(ask(&app, get("/later")).await.header("retry-after"), "120");
}

#[tokio::test(start_paused = true)]
async fn status_of_a_category_can_be_said_otherwise() {
    let layer = ErrorLayer::new().status_for(Category::Authentication, StatusCode::BAD_GATEWAY);
    let app = Router::new()
        .route("/a", on_get(async || Rejection::new(Category::Authentication)))
        .route(
            "/b",
            on_get(async || {
                Rejection::new(Category::Authentication).with_status(StatusCode::PAYMENT_REQUIRED)
            }),
        )
        .layer(layer);
    assert_eq!(ask(&app, get("/a")).await.status, 502);
    assert_eq!(ask(&app, get("/b")).await.status, 402);
}

#[tokio::test(start_paused = true)]
async fn anthropic_style_has_a_type_for_every_status() {
    let table = [
        (400, 400, "invalid_request_error"),
        (401, 401, "authentication_error"),
        (403, 403, "permission_error"),
        (404, 404, "not_found_error"),
        (409, 409, "invalid_request_error"),
        (413, 413, "request_too_large"),
        (422, 422, "invalid_request_error"),
        (429, 429, "rate_limit_error"),
        (500, 500, "api_error"),
        (502, 500, "api_error"),
        (503, 529, "overloaded_error"),
        (504, 529, "overloaded_error"),
        (529, 529, "overloaded_error"),
    ];
    let handler = async |axum::extract::Path(status): axum::extract::Path<u16>| {
        let rejection = Rejection::new(Category::ServiceUnavailable).retry_after(Duration::from_millis(10));
        rejection.detail("said").with_status(StatusCode::from_u16(status).unwrap())
    };
    let app = Router::new()
        .route("/{status}", on_get(handler))
        .layer(ErrorLayer::new().format(Format::anthropic()));
    for (status, shown, kind) in table {
        let answer = ask(&app, get(&format!("/{status}"))).await;
        assert_eq!(answer.status, shown, "{status}");
        let id = answer.header("request-id");
        let expected = serde_json::json!({
            "type": "error",
            "error": { "type": kind, "message": "said" },
            "request_id": id,
        });
        assert_eq!(answer.json(), expected);
        assert_eq!((id.len(), id), (32, answer.header("x-request-id")));
        let hinted = [429, 503, 529].contains(&status);
        assert_eq!(answer.header("retry-after"), if hinted { "1" } else { "" }, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn own_format_is_given_everything_and_hints_are_added() {
    let write = |report: &Report<'_>| {
        let line = format!("{} {} {} {report}", report.method(), report.path(), report.request_id());
        assert!(report.errors().is_empty() && !report.is_development());
        (report.status(), line).into_response()
    };
    let handler = async || Rejection::new(Category::RateLimited).retry_after(Duration::from_secs(7));
    let app =
        Router::new().route("/a/b", on_get(handler)).layer(ErrorLayer::new().format(Format::own(write)));
    let request = Request::get("/a/b?token=secret").header("x-request-id", "r").body(Body::empty()).unwrap();
    let answer = ask(&app, request).await;
    assert_eq!(answer.text, "GET /a/b r too many requests");
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after"), answer.header("x-request-id")),
        (429, "7", "r")
    );
}

#[tokio::test(start_paused = true)]
async fn problem_has_what_was_added_and_no_member_is_overwritten() {
    let handler = async || {
        let rejection = Rejection::new(Category::Validation).detail("`name` is empty");
        rejection.member("field", "name").member("status", "200").member("field", "other")
    };
    let app = Router::new().route("/", on_get(handler)).layer(ErrorLayer::new());
    let body = ask(&app, get("/")).await.json();
    assert_eq!(
        (&body["field"], &body["status"], &body["detail"]),
        (&"name".into(), &400.into(), &"`name` is empty".into())
    );
}

#[tokio::test(start_paused = true)]
async fn answers_of_handlers_pass_and_those_without_a_body_are_filled_only_if_asked() {
    let router = || {
        Router::new()
            .route("/own", on_get(async || (StatusCode::BAD_GATEWAY, "my words")))
            .route("/bare", on_get(async || (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "9")])))
            .route("/empty", on_get(async || StatusCode::NO_CONTENT))
    };
    let plain = router().layer(ErrorLayer::new());
    let filled = router().layer(ErrorLayer::new().fill_bare_errors());
    for app in [&plain, &filled] {
        let answer = ask(app, get("/own")).await;
        assert_eq!((answer.status.as_u16(), &*answer.text), (502, "my words"));
        assert_eq!(ask(app, get("/empty")).await.status, 204);
    }
    assert_eq!(ask(&plain, get("/nowhere")).await.text, "");
    assert_eq!(ask(&filled, get("/nowhere")).await.json()["category"], "not_found");
    let post = || Request::post("/own").body(Body::empty()).unwrap();
    let answer = ask(&filled, post()).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (405, &405.into()));
    assert_eq!(answer.header("allow"), "GET,HEAD", "what the router said stays");
    let answer = ask(&filled, get("/bare")).await;
    assert_eq!((answer.header("retry-after"), &answer.json()["status"]), ("9", &503.into()));
}

#[tokio::test(start_paused = true)]
async fn service_that_fails_can_be_a_route() {
    let breaker = CircuitBreaker::builder("b").build().unwrap();
    breaker.force_open();
    let failing = tower::service_fn(move |_: Request<Body>| {
        let open = breaker.admit().map(drop).unwrap_err();
        async move { Err::<Response<Body>, _>(open) }
    });
    let app = Router::new().route_service("/", ErrorLayer::new().layer(failing));
    let answer = ask(&app, get("/")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["reason"]), (503, &"circuit_open".into()));

    let late = tower::ServiceBuilder::new()
        .layer(ErrorLayer::new())
        .timeout(Duration::from_secs(1))
        .service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
    let app = Router::new().route_service("/", late);
    assert_eq!(ask(&app, get("/")).await.status, 500, "of a box that says nothing");
}

/// A proxy in a few lines: what cannot be had is a problem, and what was answered passes, a failure too.
#[tokio::test(start_paused = true)]
async fn client_under_a_recovery_can_be_a_route() {
    use crate::scripted::{Answer, Scripted};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;

    let policy = RetryPolicy::builder().max_attempts(3).no_budget();
    let recovery = Recovery::builder("upstream")
        .classifier(recoup::http::HttpErrors::new())
        .retry(policy)
        .build()
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let upstream = Scripted::http1([
        Answer::status(503),
        Answer::status(200).header("x-request-id", "theirs").body("found"),
        Answer::status(503).body("1"),
        Answer::status(503).body("2"),
        Answer::status(503).body("3"),
    ])
    .await;
    let to = |address: std::net::SocketAddr| {
        let proxy = tower::ServiceBuilder::new()
            .layer(ErrorLayer::new())
            .map_request(move |mut request: Request<Body>| {
                *request.uri_mut() = format!("http://{address}/").parse().unwrap();
                request
            })
            .layer(recoup::tower::RecoveryLayer::http(recovery.clone()))
            .service(client.clone());
        Router::new().route_service("/", proxy)
    };
    let app = to(upstream.address);
    let request = Request::get("/").header("x-request-id", "ours").body(Body::empty()).unwrap();
    let answer = ask(&app, request).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.text, answer.header("x-request-id")),
        (200, "found", "ours")
    );
    let answer = ask(&app, get("/")).await;
    assert_eq!((answer.status.as_u16(), &*answer.text), (503, "3"), "the last answer, as it is");
    assert_eq!(upstream.received().len(), 5);
    assert_eq!(upstream.received()[1].header("x-request-id"), "ours");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let answer = ask(&to(gone), get("/")).await;
    let body = answer.json();
    assert_eq!(
        (answer.status.as_u16(), &body["policy"], &body["attempts"]),
        (503, &"upstream".into(), &3.into())
    );
    assert!(!answer.text.contains(&gone.port().to_string()));
}

#[tokio::test(start_paused = true)]
async fn layer_around_a_layer_changes_nothing_and_keeps_the_id() {
    let told = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let of_hook = Arc::clone(&told);
    let alerts = Alerts::new(move |_| {
        of_hook.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    });
    let app = Router::new()
        .route("/a", on_get(async || Rejection::new(Category::Network)))
        .route("/b", on_get(async || (StatusCode::BAD_GATEWAY, "mine")))
        .layer(ErrorLayer::new().format(Format::anthropic()).alerts(&alerts))
        .layer(ProtectLayer::builder().build().unwrap())
        .layer(ErrorLayer::new().fill_bare_errors().alerts(&alerts));
    let answer = ask(&app, get("/a")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["type"]), (529, &"overloaded_error".into()));
    assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
    assert_eq!(ask(&app, get("/b")).await.text, "mine");
    assert_eq!(told.load(std::sync::atomic::Ordering::SeqCst), 2, "each once");
}

#[tokio::test(start_paused = true)]
async fn dropped_answer_tells_nobody_and_drops_the_handler() {
    let alerts = Alerts::new(|alert| panic!("{alert}"));
    let held = Arc::new(());
    let of_handler = Arc::clone(&held);
    let handler = move || {
        let held = Arc::clone(&of_handler);
        async move {
            std::future::pending::<()>().await;
            drop(held);
        }
    };
    let app = Router::new().route("/", on_get(handler)).layer(ErrorLayer::new().alerts(&alerts));
    let asked = tokio::time::timeout(Duration::from_secs(1), app.clone().oneshot(get("/"))).await;
    assert!(asked.is_err());
    assert_eq!(Arc::strong_count(&held), 2, "the one in the router");
    assert_eq!(alerts.suppressed(), 0);
    drop(app);
}

#[tokio::test(start_paused = true)]
async fn head_and_http2_are_answered_likewise() {
    let handler = async || Rejection::new(Category::NotFound);
    let app = Router::new().route("/", on_get(handler)).layer(ErrorLayer::new());
    let address = serve(app).await;
    for http2 in [false, true] {
        let client = client(http2);
        let answer = client.get(format!("http://{address}/")).send().await.unwrap();
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["category"], "not_found");
        let head = client.head(format!("http://{address}/")).send().await.unwrap();
        assert_eq!((head.status().as_u16(), head.bytes().await.unwrap().len()), (404, 0));
    }
}
