//! One call behind a cache.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{CacheEntry, CacheStore, Cached, Shelf};
use crate::nested;
use crate::time;

pin_project! {
    /// The future of [`CacheFallback::call`](super::CacheFallback::call).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::CacheFallback;
    /// let users: CacheFallback<u64, &str> = CacheFallback::builder().build().unwrap();
    /// assert_eq!(users.call(7, async || Err("down")).await, Err("down"), "nothing is known");
    /// users.put(7, "ada");
    /// assert_eq!(users.call(7, async || Err("down")).await.unwrap().value, "ada");
    /// # }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct CacheFallbackCall<K, S, F, Fut> {
        shelf: Shelf<S>,
        // Until the value is put away under it.
        key: Option<K>,
        op: Option<F>,
        #[pin]
        stage: Stage<Fut>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<Fut> {
        // The store was not asked yet.
        Looking,
        // Polling the operation: nothing is fresh.
        Calling { #[pin] operation: Fut },
        Done,
    }
}

impl<K, S, F, Fut> CacheFallbackCall<K, S, F, Fut> {
    pub(super) const fn new(shelf: Shelf<S>, key: K, op: F) -> Self {
        Self { shelf, key: Some(key), op: Some(op), stage: Stage::Looking }
    }
}

impl<K, V, S, F, Fut, E> Future for CacheFallbackCall<K, S, F, Fut>
where
    V: Clone,
    S: CacheStore<K, V>,
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<V, E>>,
{
    type Output = Result<Cached<V>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                // ## Looking => Done, with a fresh value; => Calling, without one.
                StageProj::Looking => {
                    let key = this.key.as_ref().expect("the key is put away last");
                    if let Some(fresh) = this.shelf.fresh(key) {
                        this.stage.set(Stage::Done);
                        return Poll::Ready(Ok(fresh));
                    }
                    let op = this.op.take().expect("the operation is made once, on leaving this stage");
                    let operation = op();
                    this.stage.set(Stage::Calling { operation });
                }
                // ## Calling => Done, when the operation has answered.
                StageProj::Calling { operation } => {
                    let end = ready!(operation.poll(cx));
                    this.stage.set(Stage::Done);
                    let (now, key) = (time::now(), this.key.take().expect("a call ends once"));
                    return Poll::Ready(match end {
                        Ok(value) => {
                            this.shelf.store.put(key, CacheEntry { value: value.clone(), since: now });
                            Ok(Cached::new(value))
                        }
                        Err(error) => match this.shelf.usable(&key, now) {
                            Some(known) => {
                                nested::clear(); // nobody has to know of a failure that was made good
                                Ok(known)
                            }
                            None => Err(error),
                        },
                    });
                }
                StageProj::Done => panic!("`CacheFallbackCall` polled after it ended"),
            }
        }
    }
}

impl<K, S, F, Fut> fmt::Debug for CacheFallbackCall<K, S, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheFallbackCall").finish_non_exhaustive()
    }
}
