//! A client of reqwest that gets over a server's bad moments, and knows what it must not send twice.
//!
//! `cargo run --example http_client --features reqwest`
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use recoup::http::Requests;
use recoup::reqwest::{Recover, ReqwestErrors};
use recoup::{DelaySource, Event, Recovery, RetryPolicy, Throttle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = format!("http://{}", start_server()?);

    // Built once and shared by everyone who calls this server.
    let recovery = Recovery::builder("shop")
        .classifier(ReqwestErrors)
        .retry(
            RetryPolicy::exponential(Duration::from_millis(20))
                .max_attempts(4)
                .throttle(Throttle::single_client()),
        )
        .attempt_timeout(Duration::from_secs(2))
        .deadline(Duration::from_secs(10))
        .observer(Arc::new(print_waits))
        .build()?;
    // reqwest repeats some requests by itself, and nobody counts them: off with it.
    let client = reqwest::Client::builder().retry(reqwest::retry::never()).no_proxy().build()?;

    println!("GET: the first answer is 503 with `Retry-After: 1`, the second never comes");
    let response = client.get(format!("{server}/catalogue")).recover(&recovery).send().await?;
    println!("  {}: {}", response.status(), response.text().await?);

    println!("POST: it may have been done, so the failure is the caller's to see");
    let order = client.post(format!("{server}/orders")).body("2 books");
    let response = order.recover(&recovery).send().await?;
    println!("  {}: {}", response.status(), response.text().await?);

    println!("POST with a key that makes it safe to repeat");
    let order = client.post(format!("{server}/orders-with-key")).body("2 books");
    let response = order.recover(&recovery).requests(Requests::new().add_keys()).send().await?;
    println!("  {}: {}", response.status(), response.text().await?);

    println!("POST to where nobody listens: nothing was sent, so it is tried again");
    match client.post("http://127.0.0.1:1/").recover(&recovery).send().await {
        Ok(response) => println!("  {}", response.status()),
        Err(error) => println!("  {error}: {}", cause(&error)),
    }
    Ok(())
}

fn cause(error: &dyn std::error::Error) -> &dyn std::error::Error {
    error.source().map_or(error, cause)
}

fn print_waits(event: &Event<'_>) {
    if let Event::RetryScheduled { call, attempt, delay, source, .. } = event {
        let whose = if *source == DelaySource::Server { "as the server asked" } else { "by our own backoff" };
        println!(
            "  {}: attempt {attempt} failed, next in {delay:.0?}, {whose}",
            call.operation.unwrap_or("?")
        );
    }
}

/// A server that answers each path well only from a certain request on.
fn start_server() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let mut seen = std::collections::HashMap::<String, u32>::new();
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &mut seen);
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, seen: &mut std::collections::HashMap<String, u32>) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let length = stream.read(&mut request)?;
    let request = String::from_utf8_lossy(&request[..length]);
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let count = seen.entry(path.clone()).or_default();
    *count += 1;
    let (status, more, body) = match (&*path, *count) {
        ("/catalogue", 1) => ("503 Service Unavailable", "retry-after: 1\r\n", "one moment"),
        ("/catalogue", 2) => return Ok(()), // hangs up
        ("/orders" | "/orders-with-key", 1) => ("500 Internal Server Error", "", "something broke"),
        _ => ("200 OK", "", "here you are"),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n{body}")
}
