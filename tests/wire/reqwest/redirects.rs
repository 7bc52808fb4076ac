//! Redirects, which reqwest follows itself within one attempt.

use recoup::reqwest::Recover;
use recoup::{CannotRepeat, Category, Reason};

use super::{client, dead_address, recovery};
use crate::scripted::{Answer, Scripted};

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_is_the_whole_from_the_first_address_on() {
    for http2 in [false, true] {
        let to = || Answer::status(307).header("location", "/there");
        let script = [to(), Answer::status(503), to(), Answer::status(200).body("found")];
        let server = Scripted::start(http2, script).await;
        let sent = client(http2).put(server.url("/here")).body("7 EUR").recover(recovery()).send();
        let response = sent.await.unwrap();
        assert_eq!(response.url().path(), "/there");
        assert_eq!(response.text().await.unwrap(), "found");
        let received = server.received();
        let paths: Vec<&str> = received.iter().map(|request| &*request.path).collect();
        assert_eq!(paths, ["/here", "/there", "/here", "/there"]);
        assert!(received.iter().all(|request| request.body == "7 EUR"), "the body goes along");
    }
}

#[tokio::test(start_paused = true)]
async fn last_response_has_the_address_that_it_came_from() {
    let to = Answer::status(302).header("location", "/there");
    let busy = Answer::status(503).body("busy");
    let script = [to.clone(), busy.clone(), to.clone(), busy.clone(), to, busy];
    let server = Scripted::http1(script).await;
    let response = client(false).get(server.url("/here")).recover(recovery()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.url().path()), (503, "/there"));
}

#[tokio::test(start_paused = true)]
async fn h2_post_is_not_sent_again_when_only_the_page_after_it_was_not_reached() {
    // With a body and without, seen by the methods that a server may have done its work before.
    for (status, body) in [(303, "7 EUR"), (302, "7 EUR"), (303, ""), (307, "7 EUR"), (307, "")] {
        for http2 in [false, true] {
            let thanks = format!("http://{}/thanks", dead_address());
            let server = Scripted::start(http2, [Answer::status(status).header("location", thanks)]).await;
            let sent = client(http2).post(server.url("/charge")).body(body).recover(recovery()).send();
            let error = sent.await.unwrap_err();
            assert!(error.inner().unwrap().is_connect(), "{error:?}");
            assert_eq!(error.reason(), &Reason::CannotRepeat(CannotRepeat::NotIdempotent), "{status} {body}");
            assert_eq!(server.received().len(), 1, "it is charged once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn get_is_sent_again_when_the_page_after_it_was_not_reached() {
    let away = Answer::status(302).header("location", format!("http://{}/", dead_address()));
    let server = Scripted::http1([away]).await;
    let response = client(false).get(server.url("/")).recover(recovery()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), server.received().len()), (200, 2));
}

#[tokio::test(start_paused = true)]
async fn redirects_in_a_loop_are_not_tried_again() {
    let server = Scripted::http1(vec![Answer::status(302).header("location", "/"); 50]).await;
    let error = client(false).get(server.url("/")).recover(recovery()).send().await.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::Permanent, 1));
    assert_eq!(error.classification().unwrap().category(), Category::ExternalService);
    assert!(error.into_inner().unwrap().is_redirect());
    assert_eq!(server.received().len(), 11);
}
