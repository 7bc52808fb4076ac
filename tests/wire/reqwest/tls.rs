//! Errors of TLS, between a client of rustls and real servers, as reqwest hands them on.
//!
//! The features of reqwest that bring TLS need a provider of cryptography to be chosen for all tests at once. So the
//! handshake is put in where reqwest has a place for layers of its own: below it, the errors look the same.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use recoup::reqwest::{Recover, ReqwestErrors};
use recoup::{Advice, Category, ErrorClassifier, Reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tower::{BoxError, Layer, Service};

use super::recovery;

/// Agrees on TLS with this address in the place of connecting.
#[derive(Clone)]
struct Handshakes(std::net::SocketAddr);

#[derive(Clone)]
struct Handshake<S> {
    connect: S,
    address: std::net::SocketAddr,
}

impl<S> Layer<S> for Handshakes {
    type Service = Handshake<S>;

    fn layer(&self, connect: S) -> Self::Service {
        Handshake { connect, address: self.0 }
    }
}

impl<S, Req> Service<Req> for Handshake<S>
where
    S: Service<Req, Error = BoxError>,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connect.poll_ready(cx)
    }

    fn call(&mut self, _: Req) -> Self::Future {
        let address = self.address;
        Box::pin(async move {
            let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
            let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from("localhost")?;
            connector.connect(name, stream).await?;
            Err("agreed, which no server here is to come to".into())
        })
    }
}

/// What stands at the other end.
#[derive(Clone, Copy)]
enum Peer {
    /// A certificate that nobody trusts.
    Untrusted,
    /// Speaks HTTP without TLS.
    Plain,
    /// Closes the connection after the client's greeting.
    Gone,
}

async fn serve(peer: Peer) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![own.cert.der().clone()], key.into()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Peer::Untrusted = peer {
                let _ = acceptor.accept(stream).await;
                continue;
            }
            let _ = stream.read(&mut [0; 16 * 1024]).await;
            if let Peer::Plain = peer {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            }
        }
    });
    address
}

#[tokio::test(start_paused = true)]
async fn h6_only_a_handshake_that_broke_off_is_tried_again() {
    let expected = [
        (Peer::Untrusted, Category::Security, 1),
        (Peer::Plain, Category::ExternalService, 1),
        (Peer::Gone, Category::Network, 3),
    ];
    for (peer, category, attempts) in expected {
        let layer = Handshakes(serve(peer).await);
        let client = reqwest::Client::builder().retry(reqwest::retry::never()).connector_layer(layer);
        let client = client.build().unwrap();
        let sent = client.post("http://localhost/").body("7 EUR").recover(recovery()).send().await;
        let error = sent.unwrap_err();
        let reason = if attempts == 1 { Reason::Permanent } else { Reason::AttemptsExhausted };
        assert_eq!((error.reason(), error.attempts()), (&reason, attempts), "{error:?}");
        let inner = error.into_inner().unwrap();
        let told = ReqwestErrors.classify(&inner);
        assert_eq!(told.category(), category, "{inner:?}");
        assert_eq!(told.advice() == Advice::Stop, attempts == 1);
        assert!(inner.is_connect() && told.is_unprocessed(), "nothing was sent: {inner:?}");
    }
}
