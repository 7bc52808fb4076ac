//! Somebody hears of what goes wrong, and not ten thousand times.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get as on_get;
use http::StatusCode;
use recoup::Category;
use recoup::axum::{Alert, Alerts, AlertsBuilder, ErrorLayer, Format, Rejection};

use super::{ask, get};

/// Alerts, and what their hook has heard.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Alert>>>);

impl Heard {
    fn hook(&self) -> impl Fn(&Alert) + Send + Sync + use<> {
        let heard = self.clone();
        move |alert| heard.0.lock().unwrap().push(alert.clone())
    }

    fn alerts(&self) -> AlertsBuilder {
        Alerts::builder(self.hook())
    }

    fn all(&self) -> Vec<Alert> {
        self.0.lock().unwrap().clone()
    }
}

/// `/<category>` fails so.
fn app(alerts: &Alerts) -> Router {
    let handler = async |Path(name): Path<String>| {
        let category = Category::ALL.into_iter().find(|category| category.name() == name).unwrap();
        Rejection::new(category).caused_by(std::io::Error::other("disk 3"))
    };
    Router::new()
        .route("/fails/{category}", on_get(handler))
        .route("/own/{status}", on_get(async |Path(status): Path<u16>| StatusCode::from_u16(status).unwrap()))
        .layer(ErrorLayer::new().alerts(alerts))
}

#[tokio::test(start_paused = true)]
async fn every_answer_of_500_and_above_and_every_critical_error_is_told() {
    let heard = Heard::default();
    let app = app(&heard.alerts().build().unwrap());
    for category in Category::ALL {
        let before = heard.all().len();
        let answer = ask(&app, get(&format!("/fails/{category}?q=secret"))).await;
        let told = heard.all().split_off(before);
        let should = answer.status.as_u16() >= 500 || category == Category::Security;
        assert_eq!(told.len(), usize::from(should), "{category}");
        let Some(alert) = told.first() else { continue };
        assert_eq!((alert.status, alert.category), (answer.status, category));
        assert_eq!(alert.request_id, answer.header("x-request-id"));
        assert_eq!((alert.method.as_str(), &*alert.path), ("GET", &*format!("/fails/{category}")));
        assert!(alert.error.ends_with(": disk 3"), "{}", alert.error);
        assert_eq!(alert.suppressed, 0);
    }
    let before = heard.all().len();
    for (status, category) in [(500, "internal"), (502, "external_service"), (503, "service_unavailable")] {
        ask(&app, get(&format!("/own/{status}"))).await;
        assert_eq!(heard.all().last().unwrap().category.name(), category, "a handler's own");
    }
    ask(&app, get("/own/404")).await;
    assert_eq!(heard.all().len(), before + 3);
}

#[tokio::test(start_paused = true)]
async fn layer_that_has_nobody_to_tell_leaves_it_to_the_one_around_it() {
    let heard = Heard::default();
    let alerts = heard.alerts().build().unwrap();
    let inner =
        ErrorLayer::new().format(Format::anthropic()).status_for(Category::Network, StatusCode::BAD_GATEWAY);
    let app = Router::new()
        .route("/rejects", on_get(async || Rejection::new(Category::Network).caused_by("disk 3")))
        .route("/own", on_get(async || (StatusCode::SERVICE_UNAVAILABLE, "mine")))
        .layer(inner)
        .layer(ErrorLayer::new())
        .layer(ErrorLayer::new().alerts(&alerts))
        .layer(ErrorLayer::new().alerts(&alerts));
    let answer = ask(&app, get("/rejects")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["type"]), (500, &"api_error".into()));
    assert_eq!(ask(&app, get("/own")).await.text, "mine");
    let told: Vec<_> =
        heard.all().into_iter().map(|alert| (alert.status.as_u16(), alert.path, alert.error)).collect();
    let expected = [
        (502, "/rejects".to_owned(), "the service cannot answer now: disk 3".to_owned()),
        (503, "/own".to_owned(), "the service cannot answer now".to_owned()),
    ];
    assert_eq!(told, expected, "each once");
}

#[tokio::test(start_paused = true)]
async fn storm_of_ten_thousand_is_told_five_times_and_counted() {
    let heard = Heard::default();
    let alerts = Alerts::new(heard.hook());
    let app = app(&alerts);
    for _ in 0..10_000 {
        assert_eq!(ask(&app, get("/fails/database")).await.status, 503);
    }
    assert_eq!((heard.all().len(), alerts.suppressed()), (5, 9_995));
    // It hides nothing of another kind.
    ask(&app, get("/fails/state_corruption")).await;
    assert_eq!(heard.all().last().unwrap().category, Category::StateCorruption);
    tokio::time::advance(Duration::from_secs(12)).await;
    ask(&app, get("/fails/database")).await;
    let last = heard.all().pop().unwrap();
    assert_eq!((last.category, last.suppressed), (Category::Database, 9_995));
    assert!(last.to_string().contains("9995 more before it"), "{last}");
    ask(&app, get("/fails/database")).await;
    assert_eq!(heard.all().len(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn told_and_suppressed_add_up_when_all_fail_at_once() {
    let heard = Heard::default();
    let alerts = heard.alerts().at_most(3, Duration::from_secs(86_400)).build().unwrap();
    let app = app(&alerts);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    ask(&app, get("/fails/unknown")).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((heard.all().len(), alerts.suppressed()), (3, 797));
}

#[tokio::test(start_paused = true)]
async fn hook_that_panics_harms_no_answer() {
    let app = app(&Alerts::new(|_| panic!("pager is down")));
    for _ in 0..3 {
        assert_eq!(ask(&app, get("/fails/internal")).await.json()["status"], 500);
    }
}

#[tokio::test(start_paused = true)]
async fn hook_may_ask_the_alerts_themselves() {
    // Under a lock this would never end.
    let own = Arc::new(Mutex::new(None::<Alerts>));
    let of_hook = Arc::clone(&own);
    let alerts = Alerts::new(move |_| {
        let alerts = of_hook.lock().unwrap().clone();
        assert_eq!(alerts.unwrap().suppressed(), 0);
    });
    *own.lock().unwrap() = Some(alerts.clone());
    assert_eq!(ask(&app(&alerts), get("/fails/internal")).await.status, 500);
}

#[test]
fn rates_that_cannot_work_are_refused_by_name() {
    let minute = Duration::from_secs(60);
    for (alerts, per) in [(0, minute), (5, Duration::ZERO), (0, Duration::ZERO)] {
        let error = Alerts::builder(|_| ()).at_most(alerts, per).build().unwrap_err();
        assert_eq!((error.policy, error.setting), ("alerts", "at_most"));
    }
    for (alerts, per) in [(u32::MAX, Duration::from_nanos(1)), (1, Duration::MAX), (u32::MAX, Duration::MAX)]
    {
        if let Err(error) = Alerts::builder(|_| ()).at_most(alerts, per).build() {
            assert_eq!((error.policy, error.setting), ("alerts", "at_most"));
        }
    }
}
