//! A small proxy in front of a store of conversations which is overloaded, breaks, stalls and is away in turn. Each
//! request of a client is one call under one recovery; when that gives up, the client is told so in the words of
//! Anthropic's API: 529 `overloaded_error`, 500 `api_error`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod proxy;
mod store;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use recoup::Jitter;
use reqwest::Method;

use self::store::{Mood, Store};

async fn serve(app: Router) -> std::io::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((address, tokio::spawn(async move { drop(axum::serve(listener, app).await) })))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::default();
    let (of_store, serving) = serve(store.routes()).await?;
    let log = Arc::new(|line: String| println!("      {line}"));
    let limit = Duration::from_millis(100);
    let (of_proxy, _) = serve(proxy::proxy(format!("http://{of_store}"), limit, Jitter::Full, log)?).await?;

    let (client, number) = (reqwest::Client::builder().no_proxy().build()?, std::cell::Cell::new(0));
    let ask = async |what: &str, method: Method, path: &str| -> reqwest::Result<()> {
        number.set(number.get() + 1);
        println!("{what}: {method} {path}");
        let request = client.request(method, format!("http://{of_proxy}{path}")).body("hello");
        let answer = request.header("x-request-id", format!("r{}", number.get())).send().await?;
        println!("   {} {}", answer.status(), answer.text().await?);
        Ok(())
    };
    ask("The store is well", Method::PUT, "/state/chat-1").await?;
    store.is_now(Mood::Answers(503, 2));
    ask("It is overloaded for two requests", Method::GET, "/state/chat-1").await?;
    store.is_now(Mood::Answers(503, 4));
    ask("It is overloaded for longer than we wait", Method::GET, "/state/chat-1").await?;
    store.is_now(Mood::Answers(500, 4));
    ask("It is broken", Method::DELETE, "/state/chat-1").await?;
    store.is_now(Mood::Stalls);
    ask("It stalls", Method::DELETE, "/state").await?;
    store.is_now(Mood::Well);
    ask("It is well again", Method::DELETE, "/state/chat-1").await?;
    ask("What is not there is not there", Method::GET, "/state/chat-1").await?;
    serving.abort();
    let _ended = serving.await;
    ask("It is away", Method::PUT, "/state/chat-1").await?;
    Ok(())
}
