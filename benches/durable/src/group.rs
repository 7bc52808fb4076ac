//! Group commit: one thread writes, and whatever comes in while it waits for the disk shares the next commit.

use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

/// So many commands share a commit at most.
const BATCH: usize = 1024;

/// The way to a thread that writes. It ends when this is dropped.
pub struct Group<C> {
    commands: Option<Sender<C>>,
    writer: Option<JoinHandle<()>>,
}

impl<C: Send + 'static> Group<C> {
    /// Starts the thread. `commit` does what it is given, makes it durable, and then answers.
    pub fn start(mut commit: impl FnMut(Vec<C>) + Send + 'static) -> Self {
        let (commands, received) = mpsc::channel();
        let writer = thread::spawn(move || {
            while let Ok(first) = received.recv() {
                let mut batch = vec![first];
                batch.extend(received.try_iter().take(BATCH - 1));
                commit(batch);
            }
        });
        Self { commands: Some(commands), writer: Some(writer) }
    }

    pub fn send(&self, command: C) {
        let commands = self.commands.as_ref().expect("the sender lives as long as the group");
        commands.send(command).expect("the writer lives as long as its sender");
    }
}

impl<C> Drop for Group<C> {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(writer) = self.writer.take() {
            writer.join().expect("the writer does not panic");
        }
    }
}
