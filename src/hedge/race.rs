//! The attempts under way, and what became of those that failed.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Shared;
use super::latency::Stopwatch;
use super::snapshot::Ventured;
use crate::nested;
use crate::time::Now;

/// Whether no other attempt will do better after this error.
pub(super) type Fatal<'h, E> = dyn Fn(&E) -> bool + Send + 'h;

/// What races, but for the first attempt, which its future holds in place.
pub(super) struct Race<'h, Fut, E> {
    hedges: Vec<Pin<Box<Fut>>>,
    ventured: Ventured<'h>,
    /// What the first attempt failed with, and which call of ours had given up in it.
    first: Option<(E, Option<Arc<str>>)>,
    /// What hedges failed with.
    others: Vec<E>,
}

impl<'h, Fut, E> Race<'h, Fut, E> {
    #[inline]
    pub(super) const fn new(hedge: &'h Shared) -> Self {
        Self { hedges: Vec::new(), ventured: Ventured::none(&hedge.counts), first: None, others: Vec::new() }
    }

    /// Whether no hedge is under way.
    pub(super) const fn is_empty(&self) -> bool {
        self.hedges.is_empty()
    }

    /// One more is made by `op`, and is to be polled.
    pub(super) fn launch(&mut self, op: impl FnOnce() -> Fut) {
        self.ventured.launched(); // also if `op` panics
        self.hedges.push(Box::pin(op()));
    }

    /// Nobody is under way any more: the first attempt's error.
    pub(super) fn end(&mut self) -> E {
        let (error, who) = self.first.take().expect("polled after it was ready");
        // Whoever gave up in the first attempt gave up in this call; who did in the others is not told of.
        nested::clear();
        if let Some(who) = who {
            nested::note(&who);
        }
        error
    }

    /// The errors that the call does not end with go to whoever wants them.
    pub(super) fn hand_over(&mut self, siblings: Option<&mut Vec<E>>) {
        if let Some(siblings) = siblings {
            siblings.append(&mut self.others);
            siblings.extend(self.first.take().map(|(error, _)| error));
        }
    }
}

impl<Fut, T, E> Race<'_, Fut, E>
where
    Fut: Future<Output = Result<T, E>>,
{
    /// Polls everyone: what the race ends with, or how many failed.
    pub(super) fn turn(
        &mut self,
        first: Pin<&mut Option<Fut>>,
        watch: &mut Stopwatch<'_>,
        fatal: Option<&Fatal<'_, E>>,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Result<T, E>, u32> {
        let mut failed = self.poll_first(first, watch, fatal, cx)?;
        let mut at = 0;
        while let Some(hedge) = self.hedges.get_mut(at) {
            nested::clear();
            match hedge.as_mut().poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(Ok(value)) => {
                    self.ventured.won();
                    watch.overtaken(&Now::unread());
                    return ControlFlow::Break(Ok(value));
                }
                Poll::Ready(Err(error)) => {
                    drop(self.hedges.remove(at));
                    if fatal.is_some_and(|fatal| fatal(&error)) {
                        return ControlFlow::Break(Err(error));
                    }
                    self.others.push(error);
                    failed += 1;
                }
            }
        }
        ControlFlow::Continue(failed)
    }

    fn poll_first(
        &mut self,
        mut first: Pin<&mut Option<Fut>>,
        watch: &mut Stopwatch<'_>,
        fatal: Option<&Fatal<'_, E>>,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Result<T, E>, u32> {
        let Some(attempt) = first.as_mut().as_pin_mut() else { return ControlFlow::Continue(0) };
        nested::clear(); // what was refused before this call is not why this one fails
        match attempt.poll(cx) {
            Poll::Pending => ControlFlow::Continue(0),
            Poll::Ready(Ok(value)) => {
                watch.succeeded(&Now::unread());
                ControlFlow::Break(Ok(value))
            }
            Poll::Ready(Err(error)) => {
                watch.cut_short(&Now::unread());
                first.set(None);
                if fatal.is_some_and(|fatal| fatal(&error)) {
                    return ControlFlow::Break(Err(error));
                }
                self.first = Some((error, nested::take()));
                ControlFlow::Continue(1)
            }
        }
    }
}
