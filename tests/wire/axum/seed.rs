//! The global error handler of "State Management & Error Handling": its kinds of errors, its statuses, its JSON.

use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get as on_get;
use recoup::axum::{Alerts, ErrorLayer, Format, Rejection, Report};
use recoup::{Category, RateLimiter, timeout};
use serde_json::json;

use super::{ask, get};

/// What its handler knows, in the words of its document, with what is raised for it here and its status. Where its
/// application errors carry a status of their own (400 unless said), ours is that of the category.
const KINDS: &[(&str, u16, Category)] = &[
    ("validation_error", 400, Category::Validation),
    ("authentication_error", 401, Category::Authentication),
    ("authorization_error", 403, Category::Authorization),
    ("not_found", 404, Category::NotFound),
    ("conflict_error", 409, Category::Conflict),
    ("rate_limit_exceeded", 429, Category::RateLimited),
    ("internal_error", 500, Category::Internal),
    ("external_service_error", 502, Category::ExternalService),
    ("timeout_error", 504, Category::Timeout),
];

fn kind_of(category: Category) -> &'static str {
    let known = KINDS.iter().find(|(_, _, known)| *known == category);
    known.map_or("external_service_error", |(kind, _, _)| kind)
}

/// Its response: type, message, request id, path; in development the error too.
fn its_json(report: &Report<'_>) -> Response {
    let mut body = json!({ "error": {
        "type": kind_of(report.rejection().category()),
        "message": report.to_string(),
        "request_id": report.request_id(),
        "path": report.path(),
        "details": report.rejection().members().collect::<std::collections::BTreeMap<_, _>>(),
    }});
    if report.is_development() {
        body["error"]["debug"] = report.errors().into();
    }
    (report.status(), axum::Json(body)).into_response()
}

/// `raise ApplicationError`, and the exceptions that it maps by their class.
async fn raises(Path(what): Path<String>) -> Rejection {
    match &*what {
        "TimeoutError" => {
            timeout(Duration::ZERO, std::future::pending::<Result<(), Error>>).await.unwrap_err().into()
        }
        "ConnectionError" => {
            let refused: Box<dyn std::error::Error + Send + Sync> =
                Error::from(ErrorKind::ConnectionRefused).into();
            refused.into()
        }
        "RateLimit" => {
            let limiter = RateLimiter::builder(1, Duration::from_secs(2)).burst(1).build().unwrap();
            limiter.try_acquire().unwrap();
            limiter.try_acquire().unwrap_err().into()
        }
        kind => match KINDS.iter().find(|(known, _, _)| *known == kind) {
            Some((_, _, category)) => Rejection::new(*category)
                .detail("as it was said")
                .member("field", "name")
                .caused_by("traceback"),
            None => Box::<dyn std::error::Error + Send + Sync>::from("KeyError: 'session'").into(),
        },
    }
}

#[tokio::test(start_paused = true)]
async fn seed_every_kind_of_error_has_its_status_and_json_and_5xx_are_alerted() {
    let alerted = Arc::new(Mutex::new(Vec::new()));
    let of_hook = Arc::clone(&alerted);
    let layer = ErrorLayer::new()
        .format(Format::own(its_json))
        .alerts(Alerts::new(move |alert| of_hook.lock().unwrap().push(alert.path.clone())));
    let app = Router::new().route("/{what}", on_get(raises)).layer(layer.clone());

    let mut cases: Vec<(&str, u16, &str)> =
        KINDS.iter().map(|(kind, status, _)| (*kind, *status, *kind)).collect();
    // Its table of exceptions.
    cases.extend([
        ("TimeoutError", 504, "timeout_error"),
        ("ConnectionError", 503, "external_service_error"),
        ("RateLimit", 429, "rate_limit_exceeded"),
        ("KeyError", 500, "internal_error"),
    ]);
    let mut expected_alerts = Vec::new();
    for (raised, status, kind) in cases {
        let answer = ask(&app, get(&format!("/{raised}"))).await;
        assert_eq!(answer.status, status, "{raised}");
        let error = &answer.json()["error"];
        assert_eq!(error["type"], kind, "{raised}");
        assert_eq!(
            (&error["path"], &error["request_id"]),
            (&format!("/{raised}").into(), &answer.header("x-request-id").into())
        );
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(error["message"].is_string() && error.get("debug").is_none());
        if KINDS.iter().any(|(known, _, _)| *known == raised) {
            assert_eq!(
                (&error["message"], &error["details"]["field"]),
                (&"as it was said".into(), &"name".into())
            );
        }
        if status >= 500 {
            expected_alerts.push(format!("/{raised}"));
        }
    }
    assert_eq!(*alerted.lock().unwrap(), expected_alerts);

    let development = Router::new().route("/{what}", on_get(raises)).layer(layer.development(true));
    let answer = ask(&development, get("/internal_error")).await;
    assert_eq!(answer.json()["error"]["debug"], json!(["traceback"]));
}
