//! What is seen of each attempt.

use std::sync::{Arc, Mutex};

use http::Request;
use http_body_util::Full;
use recoup::attribute;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::{layer, read, send};
use crate::scripted::{Answer, Scripted};

/// Remembers how often its request was sent before, of each attempt's span.
#[derive(Clone, Default)]
struct Attempts(Arc<Mutex<Vec<Option<u64>>>>);

struct Resent(Option<u64>);

impl Visit for Resent {
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == attribute::RESEND_COUNT {
            self.0 = Some(value);
        }
    }
}

impl Subscriber for Attempts {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.name() == "recoup.attempt"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut resent = Resent(None);
        attributes.record(&mut resent);
        self.0.lock().unwrap().push(resent.0);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn o1_each_attempt_has_a_span_and_tells_how_often_it_was_sent_before() {
    for http2 in [false, true] {
        let attempts = Attempts::default();
        let _guard = tracing::subscriber::set_default(attempts.clone());
        let server = Scripted::start(http2, vec![Answer::status(503); 2]).await;
        assert_eq!(read(send(http2, &layer(), super::get(server.url("/a"))).await).await.0, 200);
        assert_eq!(*attempts.0.lock().unwrap(), [None, Some(1), Some(2)]);
    }
}

#[tokio::test(start_paused = true)]
async fn o1_each_attempt_is_a_new_parent_in_the_same_trace() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    for http2 in [false, true] {
        let server = Scripted::start(http2, vec![Answer::status(503); 2]).await;
        let request = Request::get(server.url("/a"))
            .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
            .body(Full::<bytes::Bytes>::default())
            .unwrap();
        assert_eq!(read(send(http2, &layer(), request).await).await.0, 200);
        let received = server.received();
        let mut parents = Vec::new();
        for request in &received {
            let parts: Vec<&str> = request.header("traceparent").split('-').collect();
            assert_eq!((parts[0], parts[1], parts[3]), ("00", TRACE, "01"));
            parents.push(parts[2]);
        }
        parents.push("00f067aa0ba902b7");
        parents.sort_unstable();
        parents.dedup();
        assert_eq!(parents.len(), 4, "three of their own, and the one it came with");
    }
}
