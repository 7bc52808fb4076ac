//! The way of a run through its letters.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

use super::course::{Course, Next, Turn};
use super::lease::Hold;
use super::operation::Operation;
use super::record::{Gate, Record};
use super::report::Stopped;
use crate::attempt::Attempt;
use crate::dead_letter::{
    DeadLetter, DeadLetterQueue, LetterId, LetterState, QueueError, RedriveOrder, RedriveRun,
};
use crate::error::Reason;
use crate::recovery::Recovery;
use crate::shutdown::Shutdown;
use crate::time;
use crate::timer::Timer;

/// What a run works with.
pub(super) struct Errand<'r, E, F> {
    pub(super) recovery: &'r Recovery<E>,
    pub(super) queue: &'r dyn DeadLetterQueue,
    pub(super) op: &'r Operation<F>,
    pub(super) order: &'r RedriveOrder,
    pub(super) lease: Duration,
}

/// The run as it was saved, and why it must not go on, if that is so.
type Saved = Result<(RedriveRun, Option<Stopped>), QueueError>;

/// Something happened while the run waited.
enum Event<E> {
    Turn(LetterId, Turn<E>),
    Saved(Box<Saved>),
    ShutDown,
    Time,
}

impl<E, F> Errand<'_, E, F> {
    /// Gives every letter of `course` its turn, and saves how far it came if there is a record.
    pub(super) async fn carry_out<Fut, T>(&self, course: &mut Course, mut record: Option<Record<'_>>)
    where
        F: FnMut(Arc<DeadLetter>, Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let gate = record.as_ref().map(Record::gate);
        let mut under_way = FuturesUnordered::new();
        let mut saving: Option<(u64, BoxFuture<'_, _>)> = None;
        let mut shutdown = self.recovery.shutdown().map(Shutdown::triggered);
        let mut timer = pin!(Timer::idle());
        loop {
            if course.has_some_left() && self.recovery.shutdown().is_some_and(Shutdown::is_triggered) {
                course.stop(Stopped::Call(Reason::ShutDown));
            }
            let now = time::now();
            let next = course.next(now);
            if let Next::Begin(id) = next {
                let gate = gate.clone();
                under_way.push(async move { (id, self.turn(id, gate).await) });
                continue;
            }
            let Next::Wait(mut wake) = next else { break };
            if let (Some(record), None) = (&record, &saving) {
                let due = record.due(course);
                if due <= now {
                    saving = Some((course.ended(), record.save(record.now(course)).boxed()));
                } else {
                    wake = Some(wake.map_or(due, |wake| wake.min(due)));
                }
            }
            let event = poll_fn(|cx| {
                if let Poll::Ready(Some((id, turn))) = under_way.poll_next_unpin(cx) {
                    return Poll::Ready(Event::Turn(id, turn));
                }
                if let Some((_, save)) = &mut saving
                    && let Poll::Ready(saved) = save.as_mut().poll(cx)
                {
                    return Poll::Ready(Event::Saved(Box::new(saved)));
                }
                if shutdown.as_mut().is_some_and(|switch| switch.as_mut().poll(cx).is_ready()) {
                    return Poll::Ready(Event::ShutDown);
                }
                let Some(wake) = wake else { return Poll::Pending };
                ready!(timer.as_mut().poll_until(wake, cx));
                Poll::Ready(Event::Time)
            });
            match event.await {
                Event::Turn(id, turn) => {
                    course.end(id, turn, time::now());
                    let_others_run().await;
                }
                Event::Saved(saved) => {
                    let ended = saving.take().map_or(0, |(ended, _)| ended);
                    note(*saved, ended, course, record.as_mut());
                }
                // What that means is asked at the top; it must not be polled again.
                Event::ShutDown => shutdown = None,
                Event::Time => {}
            }
        }
        drop(under_way);
        if let Some((ended, save)) = saving {
            note(save.await, ended, course, record.as_mut());
        }
        if let Some(mut record) = record {
            let saved = record.save(record.last(course)).await;
            note(saved, course.ended(), course, Some(&mut record));
        }
    }

    /// One letter: asked for, called for, settled.
    async fn turn<Fut, T>(&self, id: LetterId, gate: Option<Gate<'_>>) -> Turn<E>
    where
        F: FnMut(Arc<DeadLetter>, Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        if let Some(gate) = gate {
            match gate.ask().await {
                Ok(None) => {}
                Ok(Some(halted)) => return Turn::Halted(halted),
                Err(error) => return Turn::Refused(error),
            }
        }
        // Only if it is still meant: it may have changed since.
        let filter = self.order.filter().clone().id(id);
        match Hold::take(self.queue, &filter, self.lease).await {
            Ok(Some(hold)) => {
                let op = |letter, attempt| self.op.lend(|op| op(letter, attempt));
                let redriven = hold.call(self.recovery, self.queue, self.order.to(), op).await;
                Turn::Had { result: redriven.result.map(drop), settled: redriven.settled }
            }
            Ok(None) => match self.queue.peek(&filter, 1).await {
                Ok(found) if found.iter().any(|letter| letter.state == LetterState::Leased) => Turn::Busy,
                Ok(_) => Turn::NotThere,
                Err(error) => Turn::Refused(error),
            },
            Err(error) => Turn::Refused(error),
        }
    }
}

/// Takes in how a save went.
fn note(saved: Saved, ended: u64, course: &mut Course, record: Option<&mut Record<'_>>) {
    match saved {
        Ok((run, halted)) => {
            course.was_saved(ended);
            if let Some(halted) = halted {
                course.stop(halted);
            }
            if let Some(record) = record {
                record.was_saved(run, time::now());
            }
        }
        Err(error) => course.stop(Stopped::Queue(error)),
    }
}

/// A run whose calls never wait must not keep its thread to itself.
async fn let_others_run() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
