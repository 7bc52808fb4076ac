//! The process that is killed: this binary once more, told by its environment what to do. It says what it does
//! to the parent, line by line, and waits for each answer; so whatever it did after an answer, it did later.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use recoup::{
    ByHand, DeadLetterQueue, Leased, LetterFilter, LetterState, RedbQueue, SettleError, Settled, Settlement,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::dice::Dice;
use crate::jobs;

/// What the child is to do.
pub(crate) const ROLE: &str = "RECOUP_CRASH_ROLE";
/// The file of its store.
pub(crate) const STORE: &str = "RECOUP_CRASH_STORE";
/// Where its parent listens.
pub(crate) const PORT: &str = "RECOUP_CRASH_PORT";
/// The number of the round, from which it knows its jobs and its chances.
pub(crate) const ROUND: &str = "RECOUP_CRASH_ROUND";

/// So short that letters whose holder was killed come back while the next child runs.
const LEASE: Duration = Duration::from_millis(400);
/// So many jobs a task may have in one round.
pub(crate) const JOBS: u64 = 1_000_000;

/// A line to the parent.
pub(crate) struct Line(BufReader<TcpStream>);

impl Line {
    async fn open() -> Self {
        let port = std::env::var(PORT).unwrap().parse().unwrap();
        let parent = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect(parent).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Says something, and waits until it was heard.
    async fn say(&mut self, what: &str) {
        self.0.get_mut().write_all(format!("{what}\n").as_bytes()).await.unwrap();
        let mut heard = String::new();
        self.0.read_line(&mut heard).await.unwrap();
        assert_eq!(heard, "heard\n", "the parent is gone");
    }
}

/// Does nothing unless a parent started it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let queue = RedbQueue::builder()
        .quarantine_after(3)
        .open(std::env::var_os(STORE).unwrap())
        .await
        .expect("the store opens after a kill");
    Line::open().await.say("open").await;
    match role.as_str() {
        "storm" => storm(queue).await,
        "poison" => poison(queue).await,
        other => panic!("no such role: {other}"),
    }
}

/// Pushes, redrives, and works by hand until it is killed.
async fn storm(queue: RedbQueue) {
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let mut tasks = Vec::new();
    for task in 0..4 {
        tasks.push(tokio::spawn(push(queue.clone(), round * 8 + task)));
    }
    for task in 4..7 {
        tasks.push(tokio::spawn(redrive(queue.clone(), round * 8 + task)));
    }
    tasks.push(tokio::spawn(by_hand(queue, round * 8 + 7)));
    for task in tasks {
        task.await.unwrap();
    }
}

async fn push(queue: RedbQueue, task: u64) {
    let mut line = Line::open().await;
    let mut dice = Dice::new(task);
    for n in 0..JOBS / 4 {
        let jobs: Vec<u64> = (0..=dice.below(4)).map(|one| task * JOBS + n * 4 + one).collect();
        let answers = match jobs.as_slice() {
            [job] => vec![queue.push(jobs::letter(*job)).await],
            jobs => queue.push_all(jobs.iter().map(|job| jobs::letter(*job)).collect()).await,
        };
        for (job, answer) in jobs.iter().zip(answers) {
            line.say(&format!("pushed {} {job}", answer.unwrap().id)).await;
        }
        // No faster than the letters go away again.
        while queue.stats().await.unwrap().held() > 300 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn redrive(queue: RedbQueue, task: u64) {
    let mut line = Line::open().await;
    let mut dice = Dice::new(task);
    loop {
        let limit = 1 + dice.index(12);
        for leased in queue.lease(&LetterFilter::new(), limit, LEASE).await.unwrap() {
            let fence = leased.token.fence();
            line.say(&format!("leased {} {fence} {}", leased.letter.id, leased.letter.deliveries)).await;
            match dice.below(12) {
                0 => settle(&queue, &leased, Settlement::untouched(), &mut line).await,
                1 => {
                    let failed = jobs::failure(leased.letter.attempts_total() + 1);
                    settle(&queue, &leased, Settlement::redrive_failed(failed), &mut line).await;
                }
                2 => {} // its lease runs out
                _ => {
                    deliver(&leased, &mut line).await;
                    settle(&queue, &leased, Settlement::Delivered, &mut line).await;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The parent is the destination.
async fn deliver(leased: &Leased, line: &mut Line) {
    let job = jobs::job(&leased.letter).unwrap();
    line.say(&format!("delivering {} {} {job}", leased.letter.id, jobs::key(&leased.letter))).await;
}

async fn settle(queue: &RedbQueue, leased: &Leased, settlement: Settlement, line: &mut Line) {
    match queue.settle(leased.token, settlement).await {
        Ok(Settled::Removed) => {
            line.say(&format!("delivered {} {}", leased.letter.id, leased.token.fence())).await;
        }
        // The lease ran out, and somebody else may have delivered or discarded it meanwhile.
        Ok(_) | Err(SettleError::Fenced | SettleError::Gone) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Discards a letter now and then, and lets those go again that were put aside.
async fn by_hand(queue: RedbQueue, task: u64) {
    let mut line = Line::open().await;
    let mut dice = Dice::new(task);
    let by = ByHand::of("child");
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let aside = LetterFilter::new().state(LetterState::Quarantined);
        if dice.one_in(3) {
            queue.reinstate(&aside, &by).await.unwrap();
        } else if let Some(letter) = queue.peek(&LetterFilter::new().any_state(), 1).await.unwrap().first() {
            let it = LetterFilter::new().any_state().id(letter.id);
            line.say(&format!("discarding {}", letter.id)).await;
            queue.discard(&it, &by).await.unwrap();
        }
    }
}

/// Handles every letter, one at a time; one of the jobs kills the process.
async fn poison(queue: RedbQueue) {
    let mut line = Line::open().await;
    loop {
        let leased = queue.lease(&LetterFilter::new(), 1, LEASE).await.unwrap();
        let Some(leased) = leased.first() else {
            let stats = queue.stats().await.unwrap();
            if stats.ready + stats.leased == 0 {
                return queue.close().await.unwrap();
            }
            // The lease of the last process has not run out yet.
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let job = jobs::job(&leased.letter).unwrap();
        line.say(&format!(
            "leased {} {} {}",
            leased.letter.id,
            leased.token.fence(),
            leased.letter.deliveries
        ))
        .await;
        if job == 7 {
            std::process::abort();
        }
        deliver(leased, &mut line).await;
        settle(&queue, leased, Settlement::Delivered, &mut line).await;
    }
}
