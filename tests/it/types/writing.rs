//! The ways in which people write an operation, each inside `tokio::spawn` where it can be.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use recoup::{
    Attempt, Bulkhead, CircuitBreaker, Recovery, RecoveryError, RetryPolicy, Transient,
    execute_with_recovery, execute_with_recovery_mut, retry, retry_mut, retry_with, timeout,
};

type Failed = RecoveryError<std::io::Error>;

fn busy() -> std::io::Error {
    std::io::ErrorKind::ConnectionReset.into()
}

/// Fails once, like the client of some service.
struct Client {
    recovery: Recovery<std::io::Error>,
    breaker: CircuitBreaker,
    asked: AtomicU32,
}

impl Client {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            recovery: Recovery::builder("client").build().unwrap(),
            breaker: CircuitBreaker::builder("client").build().unwrap(),
            asked: AtomicU32::new(0),
        })
    }

    async fn ask(&self, question: &str, attempt: Attempt) -> Result<String, std::io::Error> {
        tokio::task::yield_now().await;
        self.asked.fetch_add(1, Relaxed);
        if attempt.is_first() { Err(busy()) } else { Ok(format!("{question}!")) }
    }

    /// A method that borrows itself and an argument.
    async fn answer(&self, question: &str) -> Result<String, Failed> {
        execute_with_recovery(&self.recovery, |attempt| self.ask(question, attempt)).await
    }

    /// The same with a block, in which `?` passes errors on.
    async fn answer_in_a_block(&self, question: &str) -> Result<usize, Failed> {
        let length = execute_with_recovery(&self.recovery, |attempt| async move {
            let answer = self.ask(question, attempt).await?;
            let written = std::str::from_utf8(answer.as_bytes()).map_err(std::io::Error::other)?;
            Ok(written.len())
        })
        .await?;
        Ok(length)
    }

    /// A retry alone, with an async closure.
    async fn answer_by_retry(&self, question: &str) -> Result<String, std::io::Error> {
        retry_with(|attempt| async move { self.ask(question, attempt).await }).await
    }

    async fn answer_through_the_breaker(&self, question: &str) -> Result<String, std::io::Error> {
        retry_with(move |attempt| async move {
            let answer = self.breaker.call(|| self.ask(question, attempt)).await;
            answer.map_err(|error| error.into_operation().unwrap_or_else(busy))
        })
        .await
    }
}

#[tokio::test(start_paused = true)]
async fn t1_methods_that_borrow_self_run_in_a_task() {
    let client = Client::new();
    let tasks = [
        tokio::spawn({
            let client = Arc::clone(&client);
            async move { client.answer("why").await.unwrap().len() }
        }),
        tokio::spawn({
            let client = Arc::clone(&client);
            async move { client.answer_in_a_block(&String::from("why")).await.unwrap() }
        }),
        tokio::spawn({
            let client = Arc::clone(&client);
            async move { client.answer_by_retry("why").await.unwrap().len() }
        }),
        tokio::spawn({
            let client = Arc::clone(&client);
            async move { client.answer_through_the_breaker("why").await.unwrap().len() }
        }),
    ];
    for task in tasks {
        assert_eq!(task.await.unwrap(), 4);
    }
    assert_eq!(client.asked.load(Relaxed), 8);
}

struct Connection {
    sent: Vec<String>,
}

impl Connection {
    async fn send(&mut self, line: &str, attempt: Attempt) -> Result<usize, std::io::Error> {
        tokio::task::yield_now().await;
        self.sent.push(format!("{line} {}", attempt.number()));
        if attempt.is_first() { Err(busy()) } else { Ok(self.sent.len()) }
    }

    /// A method that borrows itself mutably, and an argument.
    async fn send_with_retries(
        &mut self,
        recovery: &Recovery<std::io::Error>,
        line: &str,
    ) -> Result<usize, Failed> {
        let op = async |connection: &mut Self, attempt: Attempt| connection.send(line, attempt).await;
        execute_with_recovery_mut(recovery, self, op).await
    }

    async fn send_by_retry(&mut self) -> Result<usize, std::io::Error> {
        let policy = RetryPolicy::default();
        let op = async |connection: &mut Self, attempt: Attempt| connection.send("line", attempt).await;
        retry_mut(&policy, &Transient, self, op).await
    }
}

#[tokio::test(start_paused = true)]
async fn t1_mutable_self_runs_in_a_task() {
    let sent = tokio::spawn(async {
        let recovery = Recovery::builder("connection").build().unwrap();
        let mut connection = Connection { sent: Vec::new() };
        connection.send_with_retries(&recovery, "line").await.unwrap();
        connection.send_by_retry().await.unwrap();
        connection.sent
    });
    assert_eq!(sent.await.unwrap(), ["line 1", "line 2", "line 1", "line 2"]);
}

#[tokio::test(start_paused = true)]
async fn t1_mutable_local_runs_in_a_task() {
    let attempts = tokio::spawn(async {
        let recovery = Recovery::<std::io::Error>::builder("r").build().unwrap();
        let (mut attempts, prefix) = (Vec::new(), String::from("attempt"));
        let op = async |attempts: &mut Vec<String>, attempt: Attempt| {
            attempts.push(format!("{prefix} {}", attempt.number()));
            tokio::task::yield_now().await;
            if attempt.is_first() { Err(busy()) } else { Ok(()) }
        };
        execute_with_recovery_mut(&recovery, &mut attempts, op).await.unwrap();
        attempts
    });
    assert_eq!(attempts.await.unwrap(), ["attempt 1", "attempt 2"]);
}

#[tokio::test(start_paused = true)]
async fn t1_closure_may_count_for_itself() {
    let mut made = 0;
    let value = retry(|| {
        made += 1;
        let nth = made;
        async move { if nth < 3 { Err(busy()) } else { Ok(nth) } }
    })
    .await;
    assert_eq!((value.unwrap(), made), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn t1_async_closures_are_operations() {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let task = tokio::spawn(async {
        let recovery = Recovery::<std::io::Error>::builder("r").build().unwrap();
        let breaker = CircuitBreaker::builder("b").build().unwrap();
        let bulkhead = Bulkhead::builder(1).build().unwrap();
        let by_retry =
            retry(async || if TRIED.fetch_add(1, Relaxed) == 0 { Err(busy()) } else { Ok(1) }).await.unwrap();
        let whole = execute_with_recovery(
            &recovery,
            async |attempt: Attempt| {
                if attempt.is_first() { Err(busy()) } else { Ok(2) }
            },
        )
        .await
        .unwrap();
        let through = breaker.call(async || Ok::<_, std::io::Error>(3)).await.unwrap();
        let inside = bulkhead.call(async || Ok::<_, std::io::Error>(4)).await.unwrap();
        let in_time = timeout(std::time::Duration::MAX, async || Ok::<_, std::io::Error>(5)).await.unwrap();
        [by_retry, whole, through, inside, in_time]
    });
    assert_eq!(task.await.unwrap(), [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn t1_function_is_an_operation() {
    async fn fetch(attempt: Attempt) -> Result<u32, std::io::Error> {
        if attempt.is_first() { Err(busy()) } else { Ok(attempt.number()) }
    }
    async fn always() -> Result<u32, std::io::Error> {
        Ok(7)
    }
    let recovery = Recovery::builder("r").build().unwrap();
    assert_eq!(execute_with_recovery(&recovery, fetch).await.unwrap(), 2);
    assert_eq!(retry_with(fetch).await.unwrap(), 2);
    assert_eq!(retry(always).await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn t1_future_that_stays_on_its_thread_runs_on_a_local_set() {
    let local = tokio::task::LocalSet::new();
    let answer = local
        .run_until(async {
            let task = tokio::task::spawn_local(async {
                let recovery = Recovery::<std::io::Error>::builder("r").build().unwrap();
                let here = Rc::new("here");
                execute_with_recovery(&recovery, |attempt| {
                    let here = Rc::clone(&here);
                    async move {
                        tokio::task::yield_now().await;
                        if attempt.is_first() { Err(busy()) } else { Ok(here.len()) }
                    }
                })
                .await
                .unwrap()
            });
            task.await.unwrap()
        })
        .await;
    assert_eq!(answer, 4);
}
