//! The dependency: a small HTTP/1.1 server that follows the script, and a ledger that shows whether anybody
//! was charged twice.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, sleep_until};

use crate::script::{Phase, Script, death};

/// How long a slow answer takes.
const SLOWNESS: Duration = Duration::from_millis(600);

/// More than any request here has.
const MAX_REQUEST: usize = 8 * 1024;

/// The payment server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    desk: Arc<Desk>,
    /// Serves for as long as the server is held.
    task: JoinHandle<io::Result<()>>,
}

/// What all connections share.
struct Desk {
    script: Script,
    /// Requests read, by phase.
    requests: [AtomicU32; Phase::COUNT],
    ledger: Mutex<Ledger>,
}

/// What was charged.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The idempotency keys under which something was charged.
    keys: HashSet<String>,
    /// How often each order was charged. More than once is what must never happen.
    charges: HashMap<Vec<u8>, u32>,
    /// Requests under a known key: answered from the books, without another charge.
    pub(crate) repeated: u32,
}

impl Ledger {
    /// Charges, unless that was done under this key. Without such a key nobody may retry after a time limit:
    /// no answer does not mean that no money has moved.
    fn charge(&mut self, Request { key, order }: Request) {
        if self.keys.insert(key) {
            *self.charges.entry(order).or_default() += 1;
        } else {
            self.repeated += 1;
        }
    }

    /// How many orders were charged at least once.
    pub(crate) fn charged(&self) -> usize {
        self.charges.len()
    }

    pub(crate) fn charged_twice(&self) -> usize {
        self.charges.values().filter(|times| **times > 1).count()
    }
}

impl Server {
    /// Listens on a free port of this machine.
    pub(crate) async fn start(script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let desk = Desk { script, requests: Default::default(), ledger: Mutex::default() };
        let desk = Arc::new(desk);
        let task = tokio::spawn(live(listener, address, Arc::clone(&desk)));
        Ok(Self { address, desk, task })
    }

    /// How many requests were read in this phase.
    pub(crate) fn requests(&self, phase: Phase) -> u32 {
        self.desk.requests[phase as usize].load(Ordering::Relaxed)
    }

    /// Stops the server and opens its books.
    pub(crate) async fn close(self) -> Ledger {
        self.task.abort();
        std::mem::take(&mut *self.desk.ledger.lock().await)
    }
}

/// Serves, dies, and comes back.
async fn live(listener: TcpListener, address: SocketAddr, desk: Arc<Desk>) -> io::Result<()> {
    let (dies, returns) = death();
    tokio::select! {
        // Dropped by the other branch: the listener and every open connection are gone at one blow.
        _ = serve(listener, Arc::clone(&desk)) => {}
        () = sleep_until(desk.script.at(dies)) => {}
    }
    // Bound but not listening: connections are refused, and nobody else can be given the port meanwhile.
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    sleep_until(desk.script.at(returns)).await;
    serve(socket.listen(1024)?, desk).await
}

async fn serve(listener: TcpListener, desk: Arc<Desk>) -> io::Result<()> {
    let mut connections = JoinSet::new(); // aborts them all when it is dropped
    loop {
        let (stream, _) = listener.accept().await?;
        let desk = Arc::clone(&desk);
        // A connection that breaks is the client's trouble, and the client counts it.
        connections.spawn(async move { desk.answer(stream).await.unwrap_or_default() });
        while connections.try_join_next().is_some() {}
    }
}

impl Desk {
    async fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let Some(request) = Request::read(&mut stream).await? else {
            return reply(&mut stream, "400 Bad Request", "").await;
        };
        let phase = self.script.phase();
        let earlier = self.requests[phase as usize].fetch_add(1, Ordering::Relaxed);
        match phase {
            // Which request fails is counted, not rolled: the same share in every run.
            Phase::Failing if earlier % 5 == 4 => {
                return reply(&mut stream, "500 Internal Server Error", "").await;
            }
            Phase::Throttling => {
                return reply(&mut stream, "429 Too Many Requests", "Retry-After: 1\r\n").await;
            }
            _ => {}
        }
        self.ledger.lock().await.charge(request);
        if phase == Phase::Slow {
            // The money has moved, and the answer is late. A client that gives up now and tries again under
            // another key charges twice.
            sleep(SLOWNESS).await;
        }
        reply(&mut stream, "200 OK", "").await
    }
}

async fn reply(stream: &mut TcpStream, status: &str, headers: &str) -> io::Result<()> {
    let response = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

/// All that the server wants to know of a request.
struct Request {
    key: String,
    order: Vec<u8>,
}

impl Request {
    /// The request, or `None` if it is not a charge with a key.
    async fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let body = loop {
            if stream.read_buf(&mut bytes).await? == 0 || bytes.len() > MAX_REQUEST {
                return Ok(None);
            }
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let mut order = bytes.split_off(body);
        let head = String::from_utf8_lossy(&bytes);
        let header = |wanted: &str| {
            let named = |(name, value): (&str, &str)| {
                name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
            };
            head.lines().filter_map(|line| line.split_once(':')).find_map(named)
        };
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while order.len() < length {
            if stream.read_buf(&mut order).await? == 0 || order.len() > MAX_REQUEST {
                return Ok(None);
            }
        }
        let is_charge = head.starts_with("POST /charge ");
        Ok(header("idempotency-key").filter(|_| is_charge).map(|key| Self { key, order }))
    }
}
