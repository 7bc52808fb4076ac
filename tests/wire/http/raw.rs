//! A server of bytes: for what no server library can be made to send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One frame of HTTP/2 (RFC 9113, section 4.1).
pub(crate) fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let end_headers = if kind == 1 { 4 } else { 0 };
    let head = [&length[1..], &[kind, end_headers], &stream.to_be_bytes()].concat();
    [head.as_slice(), payload].concat()
}

/// `GOAWAY` that leaves out every stream after `last`.
pub(crate) fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// `RST_STREAM` of the first stream.
pub(crate) fn reset(code: u32) -> Vec<u8> {
    frame(3, 1, &code.to_be_bytes())
}

/// Speaks HTTP/2 up to the head of the first request, answers it with `then`, and says no more.
pub(crate) async fn http2(then: Vec<u8>) -> SocketAddr {
    serve(move |mut stream: TcpStream| async move {
        stream.write_all(&frame(4, 0, &[])).await.unwrap();
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
            if head[3] == 1 {
                break;
            }
        }
        stream.write_all(&then).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await
}

/// Says `bytes` to whoever connects, and then nothing.
pub(crate) async fn says(bytes: &'static [u8]) -> SocketAddr {
    serve(move |mut stream: TcpStream| async move {
        stream.write_all(bytes).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await
}

/// One connection, served by `with`.
async fn serve<F>(with: impl FnOnce(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        with(stream).await;
    });
    address
}

/// Where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
