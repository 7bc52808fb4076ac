//! The bulkhead against a naive reference, over random settings and random histories.
#![expect(clippy::unwrap_used, reason = "what helps a test panics for it")]

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use proptest::prelude::*;
use recoup::testing::{Happened, Recorder};
use recoup::{Bulkhead, CallError, Full, FullReason, Slot};

#[derive(Clone, Debug)]
struct Settings {
    slots: usize,
    queue: usize,
    max_wait: Option<u64>,
}

#[derive(Clone, Debug)]
enum Step {
    /// Asks, and does not wait.
    Try,
    /// Asks for a slot, or for a call in one; polled for the first time.
    Acquire,
    Call,
    /// The one who came in so many ago is polled, whether it was woken or not.
    Poll(usize),
    /// Its operation ends; its future does not know yet.
    End(usize),
    /// What it has is dropped: its place in the queue, a slot that it does not know of yet, its call.
    Drop(usize),
    /// The slot that was taken so many ago comes back.
    Release(usize),
    Advance(u64),
    SetSlots(usize),
    Close,
}

fn settings() -> impl Strategy<Value = Settings> {
    let max_wait = proptest::option::of(1_u64..60);
    (1_usize..5, 0_usize..6, max_wait).prop_map(|(slots, queue, max_wait)| Settings {
        slots,
        queue,
        max_wait,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Try),
        12 => Just(Step::Acquire),
        8 => Just(Step::Call),
        16 => (0_usize..8).prop_map(Step::Poll),
        6 => (0_usize..8).prop_map(Step::End),
        6 => (0_usize..8).prop_map(Step::Drop),
        12 => (0_usize..6).prop_map(Step::Release),
        6 => prop_oneof![1_u64..20, Just(30), Just(60)].prop_map(Step::Advance),
        3 => (0_usize..6).prop_map(Step::SetSlots),
        1 => prop_oneof![19 => Just(Step::Try), 1 => Just(Step::Close)],
    ]
}

/// A bulkhead as plain as can be, written from the documentation: a count and a list of who waits.
struct Reference {
    settings: Settings,
    now: u64,
    in_use: usize,
    waiting: VecDeque<u64>,
    callers: BTreeMap<u64, Caller>,
    closed: bool,
    refused: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Caller {
    Waits { until: Option<u64> },
    Granted,
    Closed,
}

/// What a poll must give.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Slot,
    Pending,
    Full(FullReason),
}

impl Reference {
    fn new(settings: Settings) -> Self {
        let (waiting, callers, refused) = (VecDeque::new(), BTreeMap::new(), Vec::new());
        Self { settings, now: 0, in_use: 0, waiting, callers, closed: false, refused }
    }

    /// Takes a slot, or says why there is none for one who does not wait.
    fn take(&mut self) -> Result<(), FullReason> {
        if self.closed {
            Err(FullReason::Closed)
        } else if self.in_use < self.settings.slots && self.waiting.is_empty() {
            self.in_use += 1;
            Ok(())
        } else {
            Err(FullReason::QueueFull)
        }
    }

    fn try_acquire(&mut self) -> Expected {
        match self.take() {
            Ok(()) => Expected::Slot,
            Err(reason) => self.refuse(reason),
        }
    }

    fn poll(&mut self, caller: u64) -> Expected {
        let now = self.now;
        match self.callers.get(&caller) {
            None => match self.take() {
                Ok(()) => Expected::Slot,
                Err(FullReason::QueueFull) if self.waiting.len() < self.settings.queue => {
                    let until = self.settings.max_wait.map(|wait| now + wait);
                    self.waiting.push_back(caller);
                    self.callers.insert(caller, Caller::Waits { until });
                    Expected::Pending
                }
                Err(reason) => self.refuse(reason),
            },
            Some(Caller::Granted) => {
                self.callers.remove(&caller);
                Expected::Slot
            }
            Some(Caller::Closed) => {
                self.callers.remove(&caller);
                self.refuse(FullReason::Closed)
            }
            Some(Caller::Waits { until: Some(until) }) if now >= *until => {
                self.leave(caller);
                self.refuse(FullReason::WaitedTooLong)
            }
            Some(Caller::Waits { .. }) => Expected::Pending,
        }
    }

    fn refuse(&mut self, reason: FullReason) -> Expected {
        self.refused.push(if reason == FullReason::Closed { "closed" } else { "full" });
        Expected::Full(reason)
    }

    /// A caller is dropped before it has a slot of its own.
    fn leave(&mut self, caller: u64) {
        self.waiting.retain(|waiting| *waiting != caller);
        if self.callers.remove(&caller) == Some(Caller::Granted) {
            self.release();
        }
    }

    fn release(&mut self) {
        self.in_use -= 1;
        self.let_in();
    }

    fn let_in(&mut self) {
        while self.in_use < self.settings.slots
            && let Some(next) = self.waiting.pop_front()
        {
            self.in_use += 1;
            self.callers.insert(next, Caller::Granted);
        }
    }

    fn set_slots(&mut self, slots: usize) {
        self.settings.slots = slots;
        self.let_in();
    }

    fn close(&mut self) {
        self.closed = true;
        for caller in self.waiting.drain(..) {
            self.callers.insert(caller, Caller::Closed);
        }
    }

    /// Those who would get an answer if they were polled now.
    fn have_an_answer(&self) -> impl Iterator<Item = u64> + '_ {
        let answered = |caller: &Caller| match caller {
            Caller::Granted | Caller::Closed => true,
            Caller::Waits { until } => until.is_some_and(|until| self.now >= until),
        };
        self.callers.iter().filter(move |(_, caller)| answered(caller)).map(|(number, _)| *number)
    }
}

/// Whether a future was told to come back since it was last polled.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type CallResult = Result<(), CallError<Full, ()>>;

enum Asked<'b> {
    Slot(Pin<Box<dyn Future<Output = Result<Slot<'b>, Full>> + 'b>>),
    Call(Pin<Box<dyn Future<Output = CallResult> + 'b>>),
}

struct Entry<'b> {
    number: u64,
    asked: Asked<'b>,
    woken: Arc<Woken>,
    /// Of a call: whether its operation may end, and whether it runs.
    ends: Rc<Cell<bool>>,
    runs: Rc<Cell<bool>>,
}

fn entry(bulkhead: &Bulkhead, number: u64, call: bool) -> Entry<'_> {
    let (ends, runs) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let asked = if call {
        let (ends, runs) = (Rc::clone(&ends), Rc::clone(&runs));
        Asked::Call(Box::pin(bulkhead.call(move || {
            runs.set(true);
            poll_fn(move |_| if ends.get() { Poll::Ready(Ok(())) } else { Poll::Pending })
        })))
    } else {
        Asked::Slot(Box::pin(bulkhead.acquire()))
    };
    Entry { number, asked, woken: Arc::default(), ends, runs }
}

/// Polls it and compares. Whether it stays: one that got its answer is dropped, as an `await` would.
fn poll<'b>(
    entry: &mut Entry<'b>,
    reference: &mut Reference,
    slots: &mut Vec<Slot<'b>>,
) -> Result<bool, TestCaseError> {
    entry.woken.0.store(false, Ordering::Relaxed);
    let waker = Waker::from(Arc::clone(&entry.woken));
    let mut cx = Context::from_waker(&waker);
    let ran = entry.runs.get();
    match &mut entry.asked {
        Asked::Slot(acquire) => {
            let expected = reference.poll(entry.number);
            match (acquire.as_mut().poll(&mut cx), expected) {
                (Poll::Pending, Expected::Pending) => return Ok(true),
                (Poll::Ready(Ok(slot)), Expected::Slot) => slots.push(slot),
                (Poll::Ready(Err(full)), Expected::Full(reason)) => prop_assert_eq!(full.reason, reason),
                (answer, expected) => prop_assert!(false, "{:?} is not {:?}", answer, expected),
            }
        }
        Asked::Call(call) => {
            let expected = if ran { Expected::Slot } else { reference.poll(entry.number) };
            let ends = entry.ends.get();
            match (call.as_mut().poll(&mut cx), expected) {
                (Poll::Pending, Expected::Pending) => {
                    prop_assert!(!entry.runs.get(), "it runs without a slot");
                    return Ok(true);
                }
                (Poll::Pending, Expected::Slot) => {
                    prop_assert!(entry.runs.get() && !ends);
                    return Ok(true);
                }
                (Poll::Ready(Ok(())), Expected::Slot) => {
                    prop_assert!(ends);
                    reference.release();
                }
                (Poll::Ready(Err(CallError::Rejected(full))), Expected::Full(reason)) => {
                    prop_assert!(!entry.runs.get(), "refused, and made");
                    prop_assert_eq!(full.reason, reason);
                }
                (answer, expected) => prop_assert!(false, "{:?} is not {:?}", answer, expected),
            }
        }
    }
    Ok(false)
}

async fn run(settings: Settings, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let recorder = Recorder::new();
    let mut builder =
        Bulkhead::builder(settings.slots).queue(settings.queue).name("model").observer(recorder.observer());
    if let Some(wait) = settings.max_wait {
        builder = builder.max_wait(Duration::from_millis(wait));
    }
    let bulkhead = builder.build().unwrap();
    let mut reference = Reference::new(settings);
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut slots: Vec<Slot<'_>> = Vec::new();
    let mut came = 0;
    for step in steps {
        match step {
            Step::Try => match (bulkhead.try_acquire(), reference.try_acquire()) {
                (Ok(slot), Expected::Slot) => slots.push(slot),
                (Err(full), Expected::Full(reason)) => prop_assert_eq!(full.reason, reason),
                (answer, expected) => prop_assert!(false, "{:?} is not {:?}", answer, expected),
            },
            Step::Acquire | Step::Call => {
                came += 1;
                let mut entry = entry(&bulkhead, came, matches!(step, Step::Call));
                if poll(&mut entry, &mut reference, &mut slots)? {
                    entries.push(entry);
                }
            }
            Step::Poll(which) if which < entries.len() => {
                let index = entries.len() - 1 - which;
                if !poll(&mut entries[index], &mut reference, &mut slots)? {
                    entries.remove(index);
                }
            }
            Step::End(which) if which < entries.len() => entries[which].ends.set(true),
            Step::Drop(which) if which < entries.len() => {
                let entry = entries.remove(entries.len() - 1 - which);
                if entry.runs.get() {
                    reference.release();
                } else {
                    reference.leave(entry.number);
                }
            }
            Step::Release(which) if which < slots.len() => {
                drop(slots.remove(which));
                reference.release();
            }
            Step::Poll(_) | Step::End(_) | Step::Drop(_) | Step::Release(_) => {}
            Step::Advance(millis) => {
                tokio::time::advance(Duration::from_millis(millis)).await;
                reference.now += millis;
            }
            Step::SetSlots(slots) => {
                prop_assert_eq!(bulkhead.set_slots(slots).is_ok(), slots > 0);
                if slots > 0 {
                    reference.set_slots(slots);
                }
            }
            Step::Close => {
                bulkhead.close();
                reference.close();
            }
        }
        let (in_use, waiting) = (reference.in_use, reference.waiting.len());
        prop_assert_eq!((bulkhead.in_use(), bulkhead.queued()), (in_use, waiting), "{:?}", step);
        prop_assert_eq!(bulkhead.slots(), reference.settings.slots);
        prop_assert_eq!(bulkhead.is_closed(), reference.closed);
        for number in reference.have_an_answer() {
            let entry = entries.iter().find(|entry| entry.number == number).unwrap();
            prop_assert!(entry.woken.0.load(Ordering::Relaxed), "{} sleeps on its answer", number);
        }
    }
    // Nothing is left behind by whatever is dropped, in whatever order.
    drop(entries);
    drop(slots);
    prop_assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
    let told = recorder.events().into_iter().map(|event| match event.what {
        Happened::Rejected { reason, .. } => reason,
        other => panic!("{other}"),
    });
    prop_assert_eq!(told.collect::<Vec<_>>(), reference.refused);
    Ok(())
}

proptest! {
    #[test]
    fn bulkhead_does_what_a_naive_reference_does(
        settings in settings(),
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(run(settings, steps))?;
    }
}
