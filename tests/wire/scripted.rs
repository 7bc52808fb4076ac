//! A server that does what a script says, request by request, and writes down what it was asked.

use std::collections::VecDeque;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Status, headers, body.
    Respond(u16, Vec<(&'static str, String)>, Bytes),
    /// These bytes, then the end of the connection. HTTP/1.1 only.
    Raw(Vec<u8>),
    /// These bytes, and then never another. HTTP/1.1 only.
    Begin(Vec<u8>),
    /// This status, and a body of 10 GB, as far as somebody reads it.
    Flood(u16),
    /// Resets the connection, without a byte of an answer. Over HTTP/2 the stream, with `INTERNAL_ERROR`.
    Reset,
    /// Closes the connection, without a byte of an answer. Over HTTP/2 in good order: `GOAWAY`, `NO_ERROR`.
    Close,
    /// Refuses the stream: `RST_STREAM`, `REFUSED_STREAM`. HTTP/2 only.
    Refuse,
    /// Never answers.
    Stall,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self::Respond(status, Vec::new(), Bytes::new())
    }

    #[expect(clippy::needless_pass_by_value, reason = "numbers and texts as they stand")]
    pub(crate) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Self::Respond(_, headers, _) = &mut self {
            headers.push((name, value.to_string()));
        }
        self
    }

    pub(crate) fn body(self, bytes: impl Into<Bytes>) -> Self {
        match self {
            Self::Respond(status, headers, _) => Self::Respond(status, headers, bytes.into()),
            other => other,
        }
    }
}

/// One request, as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// When it was there.
    pub(crate) at: tokio::time::Instant,
    /// On which connection, counted from 0.
    pub(crate) connection: usize,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// As much of the body as came before the server answered.
    pub(crate) body: Bytes,
}

impl Received {
    /// A header's value as text; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or("not text"))
    }
}

/// The server. It answers `200 ok` once its script is at its end, and stops when it is dropped.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Answer>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    flooded: AtomicU64,
}

/// How long the body of a flood is.
const FLOOD: u64 = 10 * 1024 * 1024 * 1024;

impl Scripted {
    /// A server of HTTP/1.1, or with `http2` of HTTP/2 by prior knowledge.
    pub(crate) async fn start(http2: bool, script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { script: Mutex::new(script.into_iter().collect()), ..Shared::default() });
        let of_task = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&of_task);
                let number = shared.connections.fetch_add(1, Ordering::Relaxed);
                if http2 {
                    open.spawn(serve_http2(stream, number, shared));
                } else {
                    open.spawn(serve_http1(stream, number, shared));
                }
            }
        });
        Self { address, shared, accepting }
    }

    pub(crate) async fn http1(script: impl IntoIterator<Item = Answer>) -> Self {
        Self::start(false, script).await
    }

    pub(crate) async fn http2(script: impl IntoIterator<Item = Answer>) -> Self {
        Self::start(true, script).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many bytes of floods were written so far. Some MB of them may still lie in the sockets' buffers.
    pub(crate) fn flooded(&self) -> u64 {
        self.shared.flooded.load(Ordering::Relaxed)
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn next(&self, received: Received) -> Answer {
        self.received.lock().unwrap().push(received);
        let next = self.script.lock().unwrap().pop_front();
        next.unwrap_or_else(|| Answer::status(200).body("ok"))
    }
}

async fn serve_http1(mut stream: TcpStream, connection: usize, shared: Arc<Shared>) {
    let mut buffer = BytesMut::new();
    loop {
        let Some(received) = read_request(&mut stream, &mut buffer, connection).await else { return };
        match shared.next(received) {
            Answer::Respond(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    let _ = write!(head, "{name}: {value}\r\n");
                }
                head.push_str("\r\n");
                let bytes = [head.as_bytes(), &body].concat();
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Answer::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Answer::Begin(bytes) => {
                let _ = stream.write_all(&bytes).await;
                std::future::pending::<()>().await;
            }
            Answer::Flood(status) => {
                let head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {FLOOD}\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).await;
                let chunk = vec![b'x'; 16 * 1024];
                while stream.write_all(&chunk).await.is_ok() {
                    shared.flooded.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                }
                return;
            }
            Answer::Reset | Answer::Refuse => {
                // Nothing may linger: the end of the connection is then a reset.
                let _ = socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
                return;
            }
            Answer::Close => return,
            Answer::Stall => std::future::pending().await,
        }
    }
}

/// One request of HTTP/1.1, by its length or in chunks. None when the connection ends.
async fn read_request(stream: &mut TcpStream, buffer: &mut BytesMut, connection: usize) -> Option<Received> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, buffer).await?;
    };
    let head = String::from_utf8_lossy(&buffer.split_to(end)).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let method = first.next()?.parse().ok()?;
    let path = first.next()?.to_owned();
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        headers.append(name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?);
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let body = if text("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        let mut body = BytesMut::new();
        loop {
            let line = loop {
                if let Some(at) = buffer.windows(2).position(|two| two == b"\r\n") {
                    break buffer.split_to(at + 2);
                }
                read_more(stream, buffer).await?;
            };
            let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).ok()?;
            while buffer.len() < size + 2 {
                read_more(stream, buffer).await?;
            }
            body.extend_from_slice(&buffer.split_to(size));
            let _line_end = buffer.split_to(2);
            if size == 0 {
                break body.freeze();
            }
        }
    } else {
        let length = text("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while buffer.len() < length {
            read_more(stream, buffer).await?;
        }
        buffer.split_to(length).freeze()
    };
    let at = tokio::time::Instant::now();
    Some(Received { at, connection, method, path, headers, body })
}

async fn read_more(stream: &mut TcpStream, buffer: &mut BytesMut) -> Option<()> {
    match stream.read_buf(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}

async fn serve_http2(stream: TcpStream, number: usize, shared: Arc<Shared>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let shared = Arc::clone(&shared);
        let (head, mut body) = request.into_parts();
        let mut bytes = BytesMut::new();
        // The connection is driven while the body comes in, so that its frames arrive.
        let reading = async {
            while let Some(Ok(data)) = body.data().await {
                bytes.extend_from_slice(&data);
                let _ = body.flow_control().release_capacity(data.len());
            }
        };
        let driving = std::future::poll_fn(|cx| connection.poll_closed(cx));
        tokio::select! { () = reading => {}, _ = driving => return }
        let path = head.uri.path().to_owned();
        let (method, headers, body) = (head.method, head.headers, bytes.freeze());
        let at = tokio::time::Instant::now();
        match shared.next(Received { at, connection: number, method, path, headers, body }) {
            Answer::Respond(status, headers, body) => {
                let mut response = Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                let Ok(mut stream) = respond.send_response(response.body(()).unwrap(), body.is_empty())
                else {
                    continue;
                };
                if !body.is_empty() {
                    let _ = stream.send_data(body, true);
                }
            }
            Answer::Refuse => respond.send_reset(h2::Reason::REFUSED_STREAM),
            Answer::Reset => respond.send_reset(h2::Reason::INTERNAL_ERROR),
            Answer::Close => {
                // A stream that is dropped unanswered is reset: it must not be, so it is held until the end.
                connection.abrupt_shutdown(h2::Reason::NO_ERROR);
                let _ = std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
                return;
            }
            Answer::Stall => {
                let _ = std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
                return;
            }
            Answer::Flood(status) => {
                let response = Response::builder().status(status).header("content-length", FLOOD);
                let Ok(mut stream) = respond.send_response(response.body(()).unwrap(), false) else {
                    continue;
                };
                stream.reserve_capacity(16 * 1024);
                // A window at a time: the rest is asked for only if somebody reads.
                let flooding = std::future::poll_fn(|cx| {
                    while let std::task::Poll::Ready(Some(Ok(room))) = stream.poll_capacity(cx) {
                        if stream.send_data(Bytes::from(vec![b'x'; room]), false).is_err() {
                            return std::task::Poll::Ready(());
                        }
                        shared.flooded.fetch_add(room as u64, Ordering::Relaxed);
                        stream.reserve_capacity(16 * 1024);
                    }
                    stream.poll_reset(cx).map(drop)
                });
                let driving = std::future::poll_fn(|cx| connection.poll_closed(cx));
                tokio::select! { () = flooding => {}, _ = driving => return }
            }
            Answer::Raw(_) | Answer::Begin(_) => panic!("frames are not written by hand"),
        }
    }
}
