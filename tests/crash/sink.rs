//! What the parent of a child that is killed knows: the destination, and all that the child said.

#![expect(clippy::disallowed_types, reason = "the library's own lock is not public")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// What was heard, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// By letter: its job, as the child was told.
    pub(crate) pushed: BTreeMap<u64, u64>,
    /// By letter: for each lease, by its fence, how often the letter had been given out.
    pub(crate) leases: BTreeMap<u64, BTreeMap<u64, u32>>,
    /// By letter: the lease under which it was removed.
    pub(crate) delivered: BTreeMap<u64, u64>,
    /// Letters that may have been discarded.
    pub(crate) discarding: BTreeSet<u64>,
    /// By key: the job that had its effect under it.
    effects: BTreeMap<String, u64>,
    /// By job: how often it had an effect.
    pub(crate) effects_of: BTreeMap<u64, u32>,
    /// How often something was delivered that had had its effect before.
    pub(crate) again: u64,
    pub(crate) wrong: Vec<String>,
}

impl Heard {
    /// Takes a delivery: an effect if the key is new, else none.
    pub(crate) fn deliver(&mut self, key: &str, job: u64) {
        match self.effects.get(key) {
            None => {
                self.effects.insert(key.to_owned(), job);
                *self.effects_of.entry(job).or_default() += 1;
            }
            Some(before) if *before == job => self.again += 1,
            Some(before) => self.wrong.push(format!("job {job} came under the key of {before}: {key}")),
        }
    }

    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |n: usize| words[n].parse::<u64>().unwrap();
        match words[0] {
            "open" => {}
            "pushed" => {
                if let Some(before) = self.pushed.insert(number(1), number(2)) {
                    self.wrong.push(format!("number {} was {before} before: {line}", words[1]));
                }
            }
            "leased" => {
                let deliveries = u32::try_from(number(3)).unwrap();
                if self.leases.entry(number(1)).or_default().insert(number(2), deliveries).is_some() {
                    self.wrong.push(format!("two leases with one fence: {line}"));
                }
            }
            "delivering" => self.deliver(words[2], number(3)),
            "delivered" => {
                if self.delivered.insert(number(1), number(2)).is_some() {
                    self.wrong.push(format!("removed twice: {line}"));
                }
            }
            "discarding" => drop(self.discarding.insert(number(1))),
            _ => self.wrong.push(format!("not understood: {line}")),
        }
    }
}

/// Listens to one child.
pub(crate) struct Sink {
    pub(crate) port: u16,
    listening: JoinHandle<()>,
    /// One for each line that was heard.
    pub(crate) lines: Receiver<()>,
}

impl Sink {
    pub(crate) fn open(heard: &Arc<Mutex<Heard>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (line, lines) = channel();
        let all = Arc::clone(heard);
        let listening = std::thread::spawn(move || listen(&listener, &all, &line));
        Self { port, listening, lines }
    }

    /// Hears what was still under way from a child that is dead.
    pub(crate) fn close(self) {
        // Whoever came before this connection is heard to the end.
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap().write_all(b"over\n").unwrap();
        self.listening.join().unwrap();
    }
}

pub(crate) fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(listener: &TcpListener, heard: &Arc<Mutex<Heard>>, line: &Sender<()>) {
    let mut lines = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        let mut reader = BufReader::new(stream);
        let mut first = String::new();
        if reader.read_line(&mut first).is_ok() && first == "over\n" {
            break;
        }
        let (heard, line) = (Arc::clone(heard), line.clone());
        lines.push(std::thread::spawn(move || follow(first, reader, &heard, &line)));
    }
    for line in lines {
        line.join().unwrap();
    }
}

fn follow(first: String, mut reader: BufReader<TcpStream>, heard: &Mutex<Heard>, line: &Sender<()>) {
    let mut said = first;
    // What was said in part was not heard.
    while said.ends_with('\n') {
        lock(heard).hear(said.trim_end());
        let _ = line.send(()); // nobody counts once the child is dead
        if reader.get_mut().write_all(b"heard\n").is_err() {
            return;
        }
        said.clear();
        if reader.read_line(&mut said).is_err() {
            return;
        }
    }
}
