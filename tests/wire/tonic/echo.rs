//! A server of `echo.proto` that does what a script says, call by call, and writes down what it saw.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use http::HeaderMap;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::metadata::{AsciiMetadataKey, MetadataMap};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};

pub(crate) use self::proto::Message;
pub(crate) use self::proto::echo_client::EchoClient;
use self::proto::echo_server;
pub(crate) use self::proto::echo_server::EchoServer;

#[expect(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    reason = "the code is made by a generator"
)]
mod proto {
    include!("../../proto/echo.v1.rs");
}

/// A message of that text.
pub(crate) fn message(text: impl Into<String>) -> Message {
    Message { text: text.into() }
}

/// What the server does with one call.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: Option<Status>,
    /// How many messages go before the status; `None`: the status comes alone, as trailers only.
    after: Option<usize>,
    /// How many messages of the client are waited for before the answer begins.
    reads: usize,
    held: bool,
    stalls: bool,
}

impl Reply {
    /// Sends back what came.
    pub(crate) fn echo() -> Self {
        Self { status: None, after: None, reads: usize::MAX, held: false, stalls: false }
    }

    /// Fails with this status alone: trailers only.
    pub(crate) fn fail(code: Code) -> Self {
        Self { status: Some(Status::new(code, format!("scripted {code:?}"))), ..Self::echo() }
    }

    /// Adds metadata to the status.
    pub(crate) fn with(mut self, key: &'static str, value: &str) -> Self {
        if let Some(status) = &mut self.status {
            status.metadata_mut().append(AsciiMetadataKey::from_static(key), value.parse().unwrap());
        }
        self
    }

    /// Tells the client when to come back.
    pub(crate) fn pushback(self, millis: &str) -> Self {
        self.with("grpc-retry-pushback-ms", millis)
    }

    /// Sends the head and so many messages before the status. Streams only.
    pub(crate) fn after(mut self, messages: usize) -> Self {
        self.after = Some(messages);
        self
    }

    /// Waits for only so many of the client's messages before it fails. A stream from the client is otherwise
    /// read to its end.
    pub(crate) fn reads(mut self, messages: usize) -> Self {
        self.reads = messages;
        self
    }

    /// Waits before it does anything until the test [lets it go](Echo::let_go).
    pub(crate) fn held(mut self) -> Self {
        self.held = true;
        self
    }

    /// Never answers; after what [`after`](Self::after) says, if that is said.
    pub(crate) fn stall(mut self) -> Self {
        self.stalls = true;
        self
    }
}

/// One call, as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: &'static str,
    pub(crate) metadata: HeaderMap,
    /// What was read of the client's messages.
    pub(crate) messages: Vec<String>,
    /// From which connection.
    pub(crate) peer: Option<SocketAddr>,
}

impl Seen {
    /// A value of the metadata as text; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.metadata.get(name).map_or("", |value| value.to_str().unwrap_or("not text"))
    }
}

/// The server's script and its records. A handle.
#[derive(Clone)]
pub(crate) struct Echo {
    script: Arc<Mutex<VecDeque<Reply>>>,
    seen: watch::Sender<Vec<Seen>>,
    gate: Arc<Semaphore>,
}

impl Echo {
    /// It sends back what comes once its script is at its end.
    pub(crate) fn new(script: impl IntoIterator<Item = Reply>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        Self { script, seen: watch::Sender::new(Vec::new()), gate: Arc::new(Semaphore::new(0)) }
    }

    pub(crate) fn service(&self) -> EchoServer<Self> {
        EchoServer::new(self.clone())
    }

    /// Serves without any layer.
    pub(crate) async fn serve(&self) -> Served {
        let service = self.service();
        Served::start(|incoming| Server::builder().add_service(service).serve_with_incoming(incoming)).await
    }

    /// The calls that came in, in that order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until so many calls have come in.
    pub(crate) async fn reached(&self, calls: usize) {
        self.seen.subscribe().wait_for(|seen| seen.len() >= calls).await.unwrap();
    }

    /// Lets so many held calls go on.
    pub(crate) fn let_go(&self, calls: usize) {
        self.gate.add_permits(calls);
    }

    async fn begin<T>(&self, method: &'static str, request: &Request<T>) -> (usize, Reply) {
        let metadata = request.metadata().clone().into_headers();
        let peer = request.remote_addr();
        let mut number = 0;
        self.seen.send_modify(|seen| {
            number = seen.len();
            seen.push(Seen { method, metadata, messages: Vec::new(), peer });
        });
        let next = self.script.lock().unwrap().pop_front();
        let reply = next.unwrap_or_else(Reply::echo);
        if reply.held {
            self.gate.acquire().await.unwrap().forget();
        }
        if reply.stalls && reply.after.is_none() {
            std::future::pending::<()>().await;
        }
        (number, reply)
    }

    fn note(&self, number: usize, message: &Message) {
        self.seen.send_modify(|seen| seen[number].messages.push(message.text.clone()));
    }

    /// What the client sends, up to so many messages.
    async fn read(
        &self,
        number: usize,
        from: &mut Streaming<Message>,
        most: usize,
    ) -> Result<Vec<Message>, Status> {
        let mut read = Vec::new();
        while read.len() < most {
            let Some(message) = from.message().await? else { break };
            self.note(number, &message);
            read.push(message);
        }
        Ok(read)
    }

    /// What the client reads: `messages` up to where the reply fails.
    fn answer(
        reply: Reply,
        mut messages: impl Stream<Item = Result<Message, Status>> + Send + Unpin + 'static,
    ) -> Answers {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            for _ in 0..reply.after.unwrap_or(usize::MAX) {
                let Some(message) = messages.next().await else { break };
                if sender.send(message).await.is_err() {
                    return;
                }
            }
            if reply.stalls {
                sender.closed().await;
            }
            if let Some(status) = reply.status {
                drop(sender.send(Err(status)).await); // the client may be gone
            }
        });
        Box::pin(ReceiverStream::new(receiver))
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<Message, Status>> + Send>>;

/// The status that comes alone, if the reply is of that kind.
fn alone(reply: &Reply) -> Result<(), Status> {
    match (&reply.status, reply.after) {
        (Some(status), None) => Err(status.clone()),
        _ => Ok(()),
    }
}

#[tonic::async_trait]
impl echo_server::Echo for Echo {
    async fn unary(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        let (number, reply) = self.begin("Unary", &request).await;
        self.note(number, request.get_ref());
        alone(&reply)?;
        Ok(Response::new(request.into_inner()))
    }

    /// Answers with all texts, joined by `+`.
    async fn client_stream(&self, request: Request<Streaming<Message>>) -> Result<Response<Message>, Status> {
        let (number, reply) = self.begin("ClientStream", &request).await;
        let read = self.read(number, &mut request.into_inner(), reply.reads).await?;
        alone(&reply)?;
        let texts: Vec<_> = read.into_iter().map(|message| message.text).collect();
        Ok(Response::new(message(texts.join("+"))))
    }

    type ServerStreamStream = Answers;

    /// Answers with `text 0`, `text 1` and `text 2`.
    async fn server_stream(&self, request: Request<Message>) -> Result<Response<Answers>, Status> {
        let (number, reply) = self.begin("ServerStream", &request).await;
        self.note(number, request.get_ref());
        alone(&reply)?;
        let text = request.into_inner().text;
        let messages = tokio_stream::iter((0..3).map(move |nth| Ok(message(format!("{text} {nth}")))));
        Ok(Response::new(Self::answer(reply, messages)))
    }

    type BothStream = Answers;

    /// Answers each message when it comes.
    async fn both(&self, request: Request<Streaming<Message>>) -> Result<Response<Answers>, Status> {
        let (number, reply) = self.begin("Both", &request).await;
        let mut from = request.into_inner();
        if alone(&reply).is_err() {
            self.read(number, &mut from, reply.reads).await?;
        }
        alone(&reply)?;
        let echo = self.clone();
        let messages = from.map(move |read| read.inspect(|message| echo.note(number, message)));
        Ok(Response::new(Self::answer(reply, messages)))
    }
}

/// A server under way at an address of this machine. It stops when it is dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

impl Served {
    /// Serves whatever comes out of a `Server::builder()`.
    pub(crate) async fn start<F>(serve: impl FnOnce(TcpIncoming) -> F) -> Self
    where
        F: Future<Output = Result<(), tonic::transport::Error>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = serve(TcpIncoming::from(listener));
        Self { address, serving: tokio::spawn(async move { served.await.unwrap() }) }
    }

    /// A connection to it, made when it is first needed.
    pub(crate) fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect_lazy()
    }

    /// A plain client over a connection of its own.
    pub(crate) fn client(&self) -> EchoClient<Channel> {
        EchoClient::new(self.channel())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The metadata that a status carries, as headers.
pub(crate) fn headers(of: &Status) -> HeaderMap {
    MetadataMap::clone(of.metadata()).into_headers()
}

#[tokio::test(start_paused = true)]
async fn echo_server_does_what_its_script_says_and_writes_down_what_it_saw() {
    let echo = Echo::new([
        Reply::fail(Code::Unavailable).pushback("250"),
        Reply::echo(),
        Reply::echo(),
        Reply::fail(Code::Aborted).after(2),
        Reply::echo(),
    ]);
    let served = echo.serve().await;
    let mut client = served.client();

    let failed = client.unary(message("a")).await.unwrap_err();
    assert_eq!(
        (failed.code(), &headers(&failed)["grpc-retry-pushback-ms"]),
        (Code::Unavailable, &"250".parse().unwrap())
    );
    assert_eq!(client.unary(message("b")).await.unwrap().into_inner().text, "b");
    let all = client.client_stream(tokio_stream::iter(["c", "d"].map(message))).await.unwrap();
    assert_eq!(all.into_inner().text, "c+d");
    let mut some = client.server_stream(message("e")).await.unwrap().into_inner();
    assert_eq!(some.message().await.unwrap().unwrap().text, "e 0");
    assert_eq!(some.message().await.unwrap().unwrap().text, "e 1");
    assert_eq!(some.message().await.unwrap_err().code(), Code::Aborted);
    let mut each = client.both(tokio_stream::iter(["f", "g"].map(message))).await.unwrap().into_inner();
    assert_eq!(each.message().await.unwrap().unwrap().text, "f");
    assert_eq!(each.message().await.unwrap().unwrap().text, "g");
    assert!(each.message().await.unwrap().is_none());

    let seen: Vec<_> = echo.seen().into_iter().map(|seen| (seen.method, seen.messages.join(","))).collect();
    let expected =
        [("Unary", "a"), ("Unary", "b"), ("ClientStream", "c,d"), ("ServerStream", "e"), ("Both", "f,g")];
    assert_eq!(seen, expected.map(|(method, texts)| (method, texts.to_owned())));
    assert_eq!(echo.seen()[0].header("te"), "trailers");
}
