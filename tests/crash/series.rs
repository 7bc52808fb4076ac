//! Seeded series of everything that a queue can be asked, each answer compared with the books.

use std::time::Duration;

use futures::future::join_all;
use recoup::{
    ByHand, DeadLetterQueue, LeaseToken, LetterFilter, LetterId, RedbQueue, SettleError, Settled, Settlement,
};

use crate::books::{Books, QUARANTINE_AFTER, TIME_TO_LIVE};
use crate::dice::Dice;
use crate::disk::Disk;
use crate::jobs;
use crate::picture::{self, said};

/// A queue on this disk.
pub(crate) async fn open(disk: &Disk) -> Result<RedbQueue, String> {
    RedbQueue::builder()
        .time_to_live(Duration::from_secs(TIME_TO_LIVE))
        .quarantine_after(QUARANTINE_AFTER)
        .in_backend(disk.clone())
        .await
        .map_err(said)
}

/// A queue that is used, and what it must hold.
pub(crate) struct Series {
    pub(crate) disk: Disk,
    pub(crate) queue: RedbQueue,
    pub(crate) books: Books,
    /// Seconds since the series began.
    pub(crate) now: u64,
    /// The greatest number that a letter was ever answered with.
    pub(crate) used: u64,
    pub(crate) dice: Dice,
    jobs: u64,
    tokens: Vec<LeaseToken>,
}

/// One thing that was done: while the disk went from `start` to `end`, any of `between` may be what a crash
/// leaves, and from `end` on only the last of them.
pub(crate) struct Done {
    pub(crate) what: &'static str,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) between: Vec<Books>,
    /// The greatest number that had been answered before.
    pub(crate) used: u64,
}

impl Series {
    pub(crate) async fn new(disk: Disk, seed: u64) -> Result<Self, String> {
        let queue = open(&disk).await?;
        Ok(Self {
            disk,
            queue,
            books: Books::default(),
            now: 0,
            used: 0,
            dice: Dice::new(seed),
            jobs: 0,
            tokens: Vec::new(),
        })
    }

    /// The same series on what a crash left, where the books say this.
    pub(crate) async fn after_crash(
        &mut self,
        left: Vec<u8>,
        books: Books,
        done: &Done,
    ) -> Result<(), String> {
        self.disk = self.disk.another(left);
        self.queue = open(&self.disk).await?;
        // What nobody was answered may be used again.
        self.used = done.used.max(books.last());
        self.tokens.retain(|token| books.lives(*token));
        self.books = books;
        Ok(())
    }

    /// Does something. What the queue answers must be what the books say.
    pub(crate) async fn go_on(&mut self) -> Result<Done, String> {
        self.books.sweep(self.now);
        let mut between = vec![self.books.clone()];
        let (start, used) = (self.disk.steps(), self.used);
        let what = self.one_thing(&mut between).await?;
        between.push(self.books.clone());
        Ok(Done { what, start, end: self.disk.steps(), between, used })
    }

    async fn one_thing(&mut self, between: &mut Vec<Books>) -> Result<&'static str, String> {
        // Few enough letters for a picture to be quick, enough for trees of several pages.
        if self.books.held() > 40 {
            return self.lease_and_deliver(between).await;
        }
        match self.dice.below(20) {
            0..=3 => self.push().await,
            4 | 5 => self.push_all().await,
            6 => self.push_together(between).await,
            7..=9 => self.lease().await,
            10..=12 => self.settle().await,
            13 => self.settle_all().await,
            14 => self.lease_and_deliver(between).await,
            15 => self.by_hand().await,
            16 => self.replace().await,
            17 => self.wait(between).await,
            18 => self.sweep().await,
            _ => self.restart().await,
        }
    }

    fn job(&mut self) -> u64 {
        self.jobs += 1;
        self.jobs
    }

    fn pushed(&mut self, id: LetterId, job: u64) -> Result<(), String> {
        let id = id.get();
        if id <= self.used {
            return Err(format!("number {id} came after {}", self.used));
        }
        self.used = id;
        self.books.push(id, job, self.now);
        Ok(())
    }

    async fn push(&mut self) -> Result<&'static str, String> {
        let job = self.job();
        let receipt = self.queue.push(jobs::letter(job)).await.map_err(said)?;
        self.pushed(receipt.id, job)?;
        Ok("push")
    }

    async fn push_all(&mut self) -> Result<&'static str, String> {
        let jobs: Vec<u64> = (0..2 + self.dice.below(4)).map(|_| self.job()).collect();
        let answers = self.queue.push_all(jobs.iter().map(|job| jobs::letter(*job)).collect()).await;
        for (job, answer) in jobs.into_iter().zip(answers) {
            self.pushed(answer.map_err(said)?.id, job)?;
        }
        Ok("push_all")
    }

    /// Several at once: any number of them may be in the commit that the crash hits.
    async fn push_together(&mut self, between: &mut Vec<Books>) -> Result<&'static str, String> {
        let jobs: Vec<u64> = (0..2 + self.dice.below(3)).map(|_| self.job()).collect();
        let pushes = jobs.iter().map(|job| self.queue.push(jobs::letter(*job)));
        let mut answers = Vec::new();
        for (job, answer) in jobs.iter().zip(join_all(pushes).await) {
            answers.push((answer.map_err(said)?.id, *job));
        }
        answers.sort_unstable();
        for (id, job) in answers {
            self.pushed(id, job)?;
            between.push(self.books.clone());
        }
        Ok("pushes together")
    }

    async fn lease(&mut self) -> Result<&'static str, String> {
        let limit = 1 + self.dice.index(4);
        let filter = match self.dice.below(4) {
            0 => LetterFilter::new().any_state(),
            1 => LetterFilter::new().destination(jobs::destination(self.dice.below(3))),
            _ => LetterFilter::new(),
        };
        let time = Duration::from_secs(1000);
        for leased in self.queue.lease(&filter, limit, time).await.map_err(said)? {
            self.books.lease(leased.token, self.now + 1000);
            self.tokens.push(leased.token);
        }
        Ok("lease")
    }

    /// What one may say of a lease, and what must be answered.
    fn settlement(&mut self, token: LeaseToken) -> (Settlement, Result<Settled, SettleError>) {
        let kind = self.dice.below(6);
        let settlement = match kind {
            0 => Settlement::redrive_failed(jobs::failure(if self.books.lives(token) {
                self.books.attempts(token.letter().get()) + 1
            } else {
                1
            })),
            1 => Settlement::untouched(),
            2 => Settlement::Quarantine,
            3 => Settlement::Extend(Duration::from_secs(3000)),
            _ => Settlement::Delivered,
        };
        if !self.books.lives(token) {
            let id = token.letter().get();
            let there = self.books.picture(self.now).letters.contains_key(&id);
            return (settlement, Err(if there { SettleError::Fenced } else { SettleError::Gone }));
        }
        let settled = match kind {
            0 | 1 => self.books.release(token, kind == 0),
            2 => {
                self.books.put_aside(token);
                Settled::Quarantined
            }
            3 => {
                self.books.extend(token, self.now + 3000);
                Settled::Extended
            }
            _ => {
                self.books.deliver(token);
                Settled::Removed
            }
        };
        (settlement, Ok(settled))
    }

    async fn settle(&mut self) -> Result<&'static str, String> {
        let Some(n) = (!self.tokens.is_empty()).then(|| self.dice.index(self.tokens.len())) else {
            return self.lease().await;
        };
        let token = self.tokens[n];
        let (settlement, expected) = self.settlement(token);
        if !matches!(settlement, Settlement::Extend(_)) {
            self.tokens.swap_remove(n);
        }
        same(&self.queue.settle(token, settlement).await, &expected)?;
        Ok("settle")
    }

    async fn settle_all(&mut self) -> Result<&'static str, String> {
        let tokens = std::mem::take(&mut self.tokens);
        let (settlements, expected): (Vec<_>, Vec<_>) = tokens
            .into_iter()
            .map(|token| {
                let (settlement, expected) = self.settlement(token);
                ((token, settlement), expected)
            })
            .unzip();
        for (answer, expected) in self.queue.settle_all(settlements).await.iter().zip(&expected) {
            same(answer, expected)?;
        }
        Ok("settle_all")
    }

    /// Makes the queue shorter, in two steps.
    async fn lease_and_deliver(&mut self, between: &mut Vec<Books>) -> Result<&'static str, String> {
        let filter = LetterFilter::new().any_state();
        let leased = self.queue.lease(&filter, 12, Duration::from_secs(1000)).await.map_err(said)?;
        for leased in &leased {
            self.books.lease(leased.token, self.now + 1000);
        }
        between.push(self.books.clone());
        for leased in &leased {
            self.books.deliver(leased.token);
        }
        let settlements = leased.iter().map(|leased| (leased.token, Settlement::Delivered)).collect();
        for answer in self.queue.settle_all(settlements).await {
            same(&answer, &Ok(Settled::Removed))?;
        }
        Ok("lease and deliver")
    }

    async fn by_hand(&mut self) -> Result<&'static str, String> {
        let destination = jobs::destination(self.dice.below(3));
        let filter = LetterFilter::new().destination(destination);
        let by = ByHand::of("series");
        let (what, answer, expected) = match self.dice.below(4) {
            0 => ("discard", self.queue.discard(&filter, &by).await, self.books.discard(destination)),
            1 => {
                ("quarantine", self.queue.quarantine(&filter, &by).await, self.books.quarantine(destination))
            }
            _ => (
                "reinstate",
                self.queue.reinstate(&filter, &by).await,
                self.books.reinstate(destination, self.now),
            ),
        };
        same(&answer, &Ok(expected))?;
        Ok(what)
    }

    async fn replace(&mut self) -> Result<&'static str, String> {
        let Some(old) = self.books.free() else { return self.push().await };
        let job = self.job();
        let by = ByHand::of("series");
        let answer = self.queue.replace(LetterId::new(old), jobs::letter(job), &by).await;
        let id = answer.map_err(said)?.id.get();
        self.books.replace(old, id, job, self.now);
        self.used = id;
        Ok("replace")
    }

    /// Lets leases run out, and now and then letters.
    async fn wait(&mut self, between: &mut Vec<Books>) -> Result<&'static str, String> {
        self.advance(2000).await;
        self.sweep().await?;
        between.push(self.books.clone());
        if self.dice.one_in(6) {
            self.advance(TIME_TO_LIVE + 1000).await;
        }
        Ok("wait")
    }

    async fn advance(&mut self, seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        self.now += seconds;
    }

    /// What has run out is written down with the next command.
    async fn sweep(&mut self) -> Result<&'static str, String> {
        self.books.sweep(self.now);
        let nobody = LetterFilter::new().id(LetterId::new(u64::MAX));
        self.queue.quarantine(&nobody, &ByHand::default()).await.map_err(said)?;
        Ok("sweep")
    }

    /// Closes the store, or only lets go of it, and opens it again.
    async fn restart(&mut self) -> Result<&'static str, String> {
        if self.dice.one_in(2) {
            self.queue.close().await.map_err(said)?;
            self.queue = open(&self.disk).await?;
        } else {
            self.queue = open(&Disk::default()).await?; // the other one is dropped
            while self.disk.in_use() {
                std::thread::yield_now();
            }
            self.queue = open(&self.disk).await?;
        }
        let seen = picture::of(&self.queue).await?;
        let expected = self.books.picture(self.now);
        if seen != expected {
            return Err(seen.differs_from(&[expected]));
        }
        Ok("restart")
    }
}

/// Whether what was answered is what had to be.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(answer: &T, expected: &T) -> Result<(), String> {
    if answer == expected { Ok(()) } else { Err(format!("answered {answer:?}, expected {expected:?}")) }
}
