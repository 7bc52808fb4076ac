//! A client of gRPC whose rules come from a service config, and a server that protects itself:
//! `cargo run --example grpc_client --features tonic`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use recoup::tonic::{GrpcErrors, GrpcLayer, ProtectLayer, Pushback, ServiceConfig, recovery_error};
use recoup::{Bulkhead, Recovery, RecoveryError, RetryPolicy, Throttle};
use tonic::transport::{Endpoint, Server, server::TcpIncoming};
use tonic::{Request, Response, Status, Streaming};
use tower::Layer;

mod proto {
    #![expect(unreachable_pub, clippy::pedantic, reason = "the code is made by a generator")]
    #![expect(clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "the same")]
    include!("../tests/proto/echo.v1.rs");
}
use proto::{Message, echo_client::EchoClient, echo_server};

const CONFIG: &str = r#"{ "methodConfig": [{
    "name": [{ "service": "echo.v1.Echo", "method": "Unary" }],
    "timeout": "5s",
    "retryPolicy": { "maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
                     "retryableStatusCodes": ["UNAVAILABLE"] }
}] }"#;

/// Fails the first two calls, and each stream once it has begun.
#[derive(Default)]
struct Echo(AtomicU32);

type Answers = tokio_stream::Iter<std::vec::IntoIter<Result<Message, Status>>>;

#[tonic::async_trait]
impl echo_server::Echo for Echo {
    type ServerStreamStream = Answers;
    type BothStream = Answers;

    async fn unary(&self, call: Request<Message>) -> Result<Response<Message>, Status> {
        let said = |key| call.metadata().get(key).map_or("-", |value| value.to_str().unwrap_or("?"));
        let (before, left) = (said("grpc-previous-rpc-attempts"), said("grpc-timeout"));
        println!("  server: a call; attempts before it: {before}; time left: {left}");
        let mut away = Status::unavailable("still warming up");
        match self.0.fetch_add(1, Relaxed) {
            0 => Err(away),
            1 => {
                Pushback::After(Duration::from_millis(100)).tell(&mut away);
                Err(away)
            }
            _ => Ok(Response::new(call.into_inner())),
        }
    }

    async fn server_stream(&self, call: Request<Message>) -> Result<Response<Answers>, Status> {
        let broken = Status::unavailable("the stream broke off");
        Ok(Response::new(tokio_stream::iter(vec![Ok(call.into_inner()), Err(broken)])))
    }

    async fn client_stream(&self, _: Request<Streaming<Message>>) -> Result<Response<Message>, Status> {
        Err(Status::unimplemented("not in this example"))
    }

    async fn both(&self, _: Request<Streaming<Message>>) -> Result<Response<Answers>, Status> {
        Err(Status::unimplemented("not in this example"))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let channel = Endpoint::from_shared(format!("http://{}", listener.local_addr()?))?.connect_lazy();
    let bulkhead = Bulkhead::builder(1).build()?;
    let protect = ProtectLayer::builder().bulkhead(&bulkhead).build()?;
    let router = Server::builder().layer(protect).add_service(echo_server::EchoServer::new(Echo::default()));
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));

    let retry = RetryPolicy::builder().throttle(Throttle::single_client());
    let recovery = Recovery::builder("echo").classifier(GrpcErrors).retry(retry).build()?;
    let layer = GrpcLayer::new(recovery).service_config(&CONFIG.parse::<ServiceConfig>()?);
    let mut client = EchoClient::new(layer.layer(channel));
    let hello = || Message { text: "hello".to_owned() };

    println!("client: a call; the server fails twice, and the second time says when to come back");
    println!("client: {:?}", client.unary(hello()).await?.into_inner().text);

    println!("client: a stream; it breaks off after its first message");
    let mut stream = client.server_stream(hello()).await?.into_inner();
    let (first, then) = (stream.message().await?, stream.message().await);
    println!("client: {first:?}, and then: {:?}; not retried", then.map_err(|status| status.code()));

    println!("client: a call; the only slot of the server is taken");
    let _slot = bulkhead.try_acquire()?;
    if let Err(status) = client.unary(hello()).await {
        let attempts = recovery_error(&status).map_or(0, RecoveryError::attempts);
        println!("client: {:?} after {attempts} attempts: {}", status.code(), status.message());
    }
    Ok(())
}
