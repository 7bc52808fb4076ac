//! A destination's side of the wire: a line comes in, a line goes out. Each has troubles of its own, which are
//! counted and not rolled: the same in every run.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};

use crate::event::DEATH;

/// Longer than anybody waits.
const HANGS: Duration = Duration::from_millis(600);

/// A server that can die and come back.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    desk: Arc<Desk>,
    task: Option<JoinHandle<io::Result<()>>>,
    /// While it is dead: bound but not listening. Connections are refused, and nobody else is given the port.
    port: Option<TcpSocket>,
}

struct Desk {
    name: &'static str,
    book: Mutex<Book>,
}

/// What was taken.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) name: &'static str,
    keys: HashSet<String>,
    /// How often each event was taken. More than once is what must never happen.
    pub(crate) taken: BTreeMap<u32, u32>,
    /// Lines under a known key: answered from the book, with no other effect.
    pub(crate) repeated: u32,
    /// Events that met their trouble.
    met: HashSet<u32>,
}

/// What happens to an event when it comes in first.
enum Trouble {
    /// `500`, nothing was taken.
    Fails,
    /// No answer in time, nothing was taken.
    Hangs,
    /// `429`.
    TooMany,
    /// It is taken, and the connection breaks before the answer is out.
    LosesAnswer,
    /// It is taken, and the answer does not come.
    HangsAfterwards,
}

impl Server {
    pub(crate) async fn start(name: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk { name, book: Mutex::new(Book { name, ..Book::default() }) });
        let task = Some(tokio::spawn(serve(listener, Arc::clone(&desk))));
        Ok(Self { name, address, desk, task, port: None })
    }

    /// Its listener and every open connection are gone at one blow.
    pub(crate) async fn die(&mut self) -> io::Result<()> {
        if let Some(task) = self.task.take() {
            task.abort();
            let _aborted = task.await;
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(self.address)?;
            self.port = Some(socket);
        }
        Ok(())
    }

    /// Serves again, if it was dead.
    pub(crate) fn come_back(&mut self) -> io::Result<()> {
        if let Some(socket) = self.port.take() {
            self.task = Some(tokio::spawn(serve(socket.listen(1024)?, Arc::clone(&self.desk))));
        }
        Ok(())
    }

    /// Stops it and opens its book.
    pub(crate) async fn close(self) -> Book {
        if let Some(task) = self.task {
            task.abort();
        }
        std::mem::take(&mut *self.desk.book.lock().await)
    }
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
        let mut line = String::new();
        BufReader::new(&mut stream).read_line(&mut line).await?;
        if let Some(answer) = self.decide(&line).await {
            stream.write_all(answer.as_bytes()).await?;
        } else {
            tokio::time::sleep(HANGS).await;
        }
        Ok(())
    }

    /// The answer; an empty one is none at all. `None` keeps the caller waiting.
    async fn decide(&self, line: &str) -> Option<String> {
        let mut book = self.book.lock().await;
        let Some((key, event)) = read(line) else { return Some("400 no such line\n".to_owned()) };
        if self.name == "warehouse" && !event["amount"].is_number() {
            return Some("400 the amount is no number\n".to_owned());
        }
        let number =
            event["event"].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
        let trouble = if book.met.insert(number) { self.trouble(number) } else { None };
        match trouble {
            Some(Trouble::Fails) => Some("500 try again\n".to_owned()),
            Some(Trouble::TooMany) => Some("429 60\n".to_owned()),
            Some(Trouble::Hangs) => None,
            Some(Trouble::LosesAnswer) => {
                book.take(key, number);
                Some(String::new())
            }
            Some(Trouble::HangsAfterwards) => {
                book.take(key, number);
                None
            }
            None => {
                book.take(key, number);
                Some("200\n".to_owned())
            }
        }
    }

    fn trouble(&self, number: u32) -> Option<Trouble> {
        match self.name {
            "warehouse" if number % 40 == 7 => Some(Trouble::Fails),
            "warehouse" if number % 60 == 11 => Some(Trouble::Hangs),
            "ads" if number % 30 == 5 => Some(Trouble::TooMany),
            // It dies with these answers owed: nobody but it knows that it has them.
            "email" if (DEATH - 4..DEATH).contains(&number) => Some(Trouble::HangsAfterwards),
            "email" if number.is_multiple_of(25) => Some(Trouble::LosesAnswer),
            _ => None,
        }
    }
}

impl Book {
    /// Takes an event, unless that was done under this key.
    fn take(&mut self, key: &str, number: u32) {
        if self.keys.insert(key.to_owned()) {
            *self.taken.entry(number).or_default() += 1;
        } else {
            self.repeated += 1;
        }
    }
}

fn read(line: &str) -> Option<(&str, serde_json::Value)> {
    let (key, json) = line.split_once(' ')?;
    Some((key, serde_json::from_str(json).ok()?))
}
