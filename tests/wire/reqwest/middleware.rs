//! The same as a middleware of reqwest-middleware.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Extensions;
use recoup::http::{CallOptions, FreshBody, Requests};
use recoup::reqwest::RecoveryMiddleware;
use recoup::{Attempt, CannotRepeat, Reason, Recovery, RecoveryError};
use reqwest::{Body, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result};

use super::{builder, client, dead_address};
use crate::scripted::{Answer, Scripted};

fn recovery() -> Recovery<Error> {
    builder().build().unwrap()
}

fn over(http2: bool) -> ClientWithMiddleware {
    ClientBuilder::new(client(http2)).with(RecoveryMiddleware::new(recovery())).build()
}

fn failed(error: Error) -> RecoveryError<Error> {
    let Error::Middleware(error) = error else { panic!("{error:?}") };
    error.downcast().expect("the error is to be found")
}

#[tokio::test(start_paused = true)]
async fn requests_are_sent_again_and_the_last_response_is_given_back() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::status(503), Answer::Reset]).await;
        let response = over(http2).put(server.url("/")).body("7 EUR").send().await.unwrap();
        assert_eq!((response.status().as_u16(), server.received().len()), (200, 3));

        let server = Scripted::start(http2, vec![Answer::status(503).body("busy"); 3]).await;
        let response = over(http2).get(server.url("/users?page=2")).send().await.unwrap();
        assert_eq!(response.url().as_str(), server.url("/users?page=2"));
        assert_eq!((response.status().as_u16(), &*response.text().await.unwrap()), (503, "busy"));
        assert_eq!(server.received().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn error_is_found_by_downcast_with_the_last_error_whole() {
    let error = over(false).get(format!("http://{}/", dead_address())).send().await.unwrap_err();
    let error = failed(error);
    assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 3));
    assert!(error.into_inner().unwrap().is_connect());
}

#[tokio::test(start_paused = true)]
async fn h2_post_is_sent_once_unless_it_never_arrived() {
    for http2 in [false, true] {
        let server = Scripted::start(http2, [Answer::Reset]).await;
        let error = failed(over(http2).post(server.url("/")).body("7 EUR").send().await.unwrap_err());
        assert_eq!(error.reason(), &Reason::CannotRepeat(CannotRepeat::NotIdempotent));
        assert_eq!(server.received().len(), 1);
        let error = over(http2).post(format!("http://{}/", dead_address())).send().await.unwrap_err();
        assert_eq!(failed(error).attempts(), 3);

        let thanks = format!("http://{}/thanks", dead_address());
        let server = Scripted::start(http2, [Answer::status(303).header("location", thanks)]).await;
        let error = failed(over(http2).post(server.url("/")).body("7 EUR").send().await.unwrap_err());
        assert_eq!((error.attempts(), server.received().len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn h1_streamed_body_is_never_refused() {
    let streamed = || {
        let pieces = (0..64).map(|n| Ok::<_, std::io::Error>(Bytes::from(vec![b'a' + n % 26; 1024])));
        Body::wrap_stream(futures::stream::iter(pieces))
    };
    for (cap, answers) in [(1 << 20, 2), (1000, 1), (0, 1)] {
        let server = Scripted::http1([Answer::status(503)]).await;
        let middleware = RecoveryMiddleware::new(recovery()).requests(Requests::new().body_cap(cap));
        let client = ClientBuilder::new(client(false)).with(middleware).build();
        let response = client.put(server.url("/")).body(streamed()).send().await.unwrap();
        assert_eq!(response.status(), if answers == 1 { 503 } else { 200 });
        let received = server.received();
        assert_eq!(received.len(), answers);
        assert!(received.iter().all(|request| request.body.len() == 64 * 1024));
    }
}

/// Counts how often it is passed, and leaves a trace among the extensions.
#[derive(Clone, Default)]
struct Passed(Arc<AtomicU32>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Trace(Vec<u32>);

#[async_trait]
impl Middleware for Passed {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let passed = self.0.fetch_add(1, Ordering::Relaxed);
        request.headers_mut().insert("x-passed", passed.into());
        let attempt = extensions.get::<Attempt>().map_or(0, |attempt| attempt.number());
        extensions.get_or_insert_default::<Trace>().0.push(attempt);
        next.run(request, extensions).await
    }
}

/// Looks at the extensions after the call, with a limit of its own around it.
#[derive(Clone, Default)]
struct Looks(Arc<Mutex<Option<Trace>>>);

#[async_trait]
impl Middleware for Looks {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let limit = Duration::from_millis(100);
        let answer = tokio::time::timeout(limit, next.run(request, extensions)).await;
        *self.0.lock().unwrap() = extensions.get::<Trace>().cloned();
        assert_eq!(extensions.get::<Attempt>(), None, "no attempt is under way any more");
        answer.unwrap_or_else(|late| Err(Error::middleware(late)))
    }
}

#[tokio::test]
async fn others_stand_around_it_and_within_it_and_all_see_the_same_extensions() {
    let (outer, looks, inner) = (Passed::default(), Looks::default(), Passed::default());
    let stack = |recovery| {
        ClientBuilder::new(client(false))
            .with(looks.clone())
            .with(outer.clone())
            .with(RecoveryMiddleware::new(recovery))
            .with(inner.clone())
            .build()
    };
    let server = Scripted::http1([Answer::status(503), Answer::status(503)]).await;
    let sent = stack(recovery()).get(server.url("/")).with_extension(Trace(vec![7])).send().await;
    assert_eq!(sent.unwrap().status(), 200);
    assert_eq!((outer.0.load(Ordering::Relaxed), inner.0.load(Ordering::Relaxed)), (1, 3));
    assert_eq!(looks.0.lock().unwrap().take(), Some(Trace(vec![7, 0, 1, 2, 3])));
    let received = server.received();
    assert_eq!(
        received.iter().map(|request| request.header("x-passed")).collect::<Vec<_>>(),
        ["0", "1", "2"]
    );

    // Dropped while an attempt is under way.
    let server = Scripted::http1([Answer::Stall]).await;
    let sent = stack(recovery()).get(server.url("/")).with_extension(Trace(vec![7])).send().await;
    let Error::Middleware(error) = sent.unwrap_err() else { panic!() };
    assert!(error.is::<tokio::time::error::Elapsed>());
    assert_eq!(looks.0.lock().unwrap().take(), Some(Trace(vec![7, 0, 1])), "they are there again");

    // An attempt that took too long leaves them to the next one.
    let server = Scripted::http1([Answer::Stall]).await;
    let short = builder().attempt_timeout(Duration::from_millis(30)).build().unwrap();
    let sent = stack(short).get(server.url("/")).with_extension(Trace(vec![7])).send().await;
    assert_eq!(sent.unwrap().status(), 200);
    assert_eq!(looks.0.lock().unwrap().take(), Some(Trace(vec![7, 0, 1, 2])));
}

#[tokio::test(start_paused = true)]
async fn f4_options_among_the_extensions_bend_this_call() {
    let server = Scripted::http1([Answer::status(503)]).await;
    let sent = over(false).get(server.url("/")).with_extension(CallOptions::new().no_retry()).send();
    assert_eq!((sent.await.unwrap().status().as_u16(), server.received().len()), (503, 1));
}

/// Fails before anything is sent.
struct Fails;

#[async_trait]
impl Middleware for Fails {
    async fn handle(&self, _: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        Err(Error::Middleware(anyhow::Error::new(reset).context("no token")))
    }
}

#[tokio::test(start_paused = true)]
async fn error_of_another_middleware_is_what_its_sources_are() {
    let middleware = RecoveryMiddleware::new(recovery());
    let client = ClientBuilder::new(client(false)).with(middleware).with(Fails).build();
    let error = failed(client.get("http://127.0.0.1:1/").send().await.unwrap_err());
    assert_eq!(error.classification().unwrap().category(), recoup::Category::Network);
    assert_eq!(error.attempts(), 3);
    assert_eq!(error.into_inner().unwrap().to_string(), "no token");
}

#[tokio::test(start_paused = true)]
async fn two_of_them_do_not_multiply_their_attempts() {
    let outer = RecoveryMiddleware::new(builder().build().unwrap());
    let client =
        ClientBuilder::new(client(false)).with(outer).with(RecoveryMiddleware::new(recovery())).build();
    let error = failed(client.get(format!("http://{}/", dead_address())).send().await.unwrap_err());
    assert_eq!((error.reason(), error.attempts()), (&Reason::NestedRetry, 1), "the inner one made three");
    assert_eq!(failed(error.into_inner().unwrap()).attempts(), 3);
}

/// Writes down what the request brings along.
#[derive(Clone, Default)]
struct Brings(Arc<Mutex<Vec<Option<Trace>>>>);

#[async_trait]
impl Middleware for Brings {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let copy = http::Request::<Body>::try_from(request.try_clone().unwrap())?;
        self.0.lock().unwrap().push(copy.extensions().get::<Trace>().cloned());
        next.run(request, extensions).await
    }
}

#[tokio::test(start_paused = true)]
async fn h1_what_a_request_brings_along_comes_along_every_time() {
    let server = Scripted::http1([Answer::status(503)]).await;
    let request = http::Request::put(server.url("/7?a=b")).extension(Trace(vec![7])).body("7 EUR").unwrap();
    let brings = Brings::default();
    let client =
        ClientBuilder::new(client(false)).with(RecoveryMiddleware::new(recovery())).with(brings.clone());
    let response = client.build().execute(Request::try_from(request).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(*brings.0.lock().unwrap(), vec![Some(Trace(vec![7])); 2]);
    for request in server.received() {
        assert_eq!((&*request.path, &*request.body), ("/7?a=b", &b"7 EUR"[..]));
    }
}

/// Tells somebody of each answer, who is not there.
struct Tells;

#[async_trait]
impl Middleware for Tells {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        next.run(request, extensions).await?;
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        Err(Error::Middleware(anyhow::Error::new(refused).context("nobody listens to what was answered")))
    }
}

#[tokio::test(start_paused = true)]
async fn h2_post_is_sent_once_if_another_middleware_fails_after_it() {
    let server = Scripted::http1([]).await;
    let client = ClientBuilder::new(client(false)).with(RecoveryMiddleware::new(recovery())).with(Tells);
    let sent = client.build().post(server.url("/")).body("7 EUR").send().await;
    assert_eq!(server.received().len(), 1);
    assert_eq!(failed(sent.unwrap_err()).reason(), &Reason::CannotRepeat(CannotRepeat::NotIdempotent));
}

#[tokio::test(start_paused = true)]
async fn h1_body_among_the_extensions_is_made_anew_for_each_attempt() {
    let server = Scripted::http1([Answer::status(503)]).await;
    let file = FreshBody::new(|| {
        Body::wrap_stream(futures::stream::iter((0..100).map(|_| Ok::<_, std::io::Error>(vec![7; 1024]))))
    });
    let response = over(false).put(server.url("/")).with_extension(file).send().await.unwrap();
    assert_eq!((response.status().as_u16(), server.received().len()), (200, 2));
    assert!(server.received().iter().all(|request| request.body == vec![7; 100 * 1024]));
}
