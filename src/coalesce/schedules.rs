//! What coalesced calls promise in whatever order callers come, answer and go away.

#[cfg(all(test, recoup_shuttle))]
mod by_chance;

use std::collections::BTreeSet;
use std::future::pending;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use super::*;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::model::{outcomes, thread, wait_for};

const KEY: u8 = 7;

/// The calls of one key, which are never two at a time.
#[derive(Default)]
struct Calls {
    under_way: AtomicU64,
    made: AtomicU64,
}

/// One of them, for as long as it lasts.
struct UnderWay(Arc<Calls>);

impl UnderWay {
    fn new(calls: &Arc<Calls>) -> Self {
        let already = calls.under_way.fetch_add(1, Ordering::Relaxed);
        assert_eq!(already, 0, "a call was under way");
        Self(Arc::clone(calls))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Pages {
    coalesce: Coalesce<u8, u64>,
    calls: Arc<Calls>,
}

impl Pages {
    fn new() -> Self {
        Self { coalesce: Coalesce::new(), calls: Arc::default() }
    }

    /// A call that tells how many were made before it.
    fn get(&self) -> impl Future<Output = u64> + Send + use<> {
        let calls = Arc::clone(&self.calls);
        self.coalesce.call(KEY, move || async move {
            let _under_way = UnderWay::new(&calls);
            calls.made.fetch_add(1, Ordering::Relaxed)
        })
    }

    /// A caller who has asked, and whose own call would never end.
    fn ask_for_ever(&self) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        let calls = Arc::clone(&self.calls);
        let mut asked = Box::pin(self.coalesce.call(KEY, move || async move {
            let _under_way = UnderWay::new(&calls);
            pending().await
        }));
        assert!(polled_once(asked.as_mut()).is_none());
        asked
    }

    fn made(&self) -> u64 {
        self.calls.made.load(Ordering::Relaxed)
    }

    fn assert_forgotten(&self) {
        assert_eq!((self.coalesce.len(), self.coalesce.waiting()), (0, 0));
        assert_eq!(self.calls.under_way.load(Ordering::Relaxed), 0);
    }
}

/// The answer, if it is there without waiting. Nobody is woken later.
fn polled_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(answer) => Some(answer),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn one_of_those_who_ask_at_once_makes_the_call() {
    let answers = outcomes(|| {
        let pages = Pages::new();
        let other = pages.clone();
        let asks = thread::spawn(move || wait_for(other.get()));
        let mine = wait_for(pages.get());
        let answers = (asks.join().unwrap(), mine);
        assert_eq!(pages.made(), answers.0.max(answers.1) + 1, "somebody got each answer");
        pages.assert_forgotten();
        answers
    });
    assert_eq!(answers, BTreeSet::from([(0, 0), (0, 1), (1, 0)]));
}

#[test]
fn three_who_ask_are_answered_by_one_call_or_more_and_never_by_two_at_a_time() {
    let answers = outcomes(|| {
        let pages = Pages::new();
        let others = [0, 1].map(|_| {
            let pages = pages.clone();
            thread::spawn(move || wait_for(pages.get()))
        });
        let mine = wait_for(pages.get());
        let [first, second] = others.map(|other| other.join().unwrap());
        pages.assert_forgotten();
        assert_eq!(pages.made(), first.max(second).max(mine) + 1);
        (first, second, mine)
    });
    assert!(answers.contains(&(0, 0, 0)) && answers.contains(&(0, 1, 2)), "{answers:?}");
}

#[test]
fn leader_who_goes_is_followed_by_exactly_one() {
    let answers = outcomes(|| {
        let pages = Pages::new();
        let leader = pages.ask_for_ever();
        let others = [0, 1].map(|_| {
            let pages = pages.clone();
            thread::spawn(move || wait_for(pages.get()))
        });
        drop(leader);
        let [first, second] = others.map(|other| other.join().unwrap());
        assert_eq!(pages.made(), first.max(second) + 1);
        pages.assert_forgotten();
        (first, second)
    });
    assert_eq!(answers, BTreeSet::from([(0, 0), (0, 1), (1, 0)]));
}

#[test]
fn heir_who_goes_as_the_lead_reaches_them_passes_it_on() {
    outcomes(|| {
        let pages = Pages::new();
        let (leader, heir) = (pages.ask_for_ever(), pages.ask_for_ever());
        let goes = thread::spawn(move || drop(heir));
        let other = pages.clone();
        let stays = thread::spawn(move || wait_for(other.get()));
        drop(leader);
        goes.join().unwrap();
        assert_eq!(stays.join().unwrap(), 0);
        pages.assert_forgotten();
    });
}

#[test]
fn heir_who_is_told_to_lead_and_goes_hands_the_lead_to_who_is_in_line() {
    outcomes(|| {
        let pages = Pages::new();
        let (leader, heir) = (pages.ask_for_ever(), pages.ask_for_ever());
        let last = pages.ask_for_ever();
        let goes = thread::spawn(move || drop(heir));
        let goes_too = thread::spawn(move || drop(leader));
        drop(last);
        goes.join().unwrap();
        goes_too.join().unwrap();
        pages.assert_forgotten();
        assert_eq!(wait_for(pages.get()), 0, "nobody holds up who comes next");
    });
}

#[test]
fn waiter_who_leaves_as_the_answer_comes_takes_it_from_nobody() {
    let came = outcomes(|| {
        let pages = Pages::new();
        let other = pages.clone();
        let leads = thread::spawn(move || wait_for(other.get()));
        let other = pages.clone();
        let stays = thread::spawn(move || wait_for(other.get()));
        let mine = polled_once(pin!(pages.get()));
        let answers = (leads.join().unwrap(), stays.join().unwrap(), mine);
        pages.assert_forgotten();
        answers
    });
    assert!(came.contains(&(0, 0, None)), "it left while another's call was under way: {came:?}");
    assert!(came.contains(&(1, 1, Some(0))), "it was first: {came:?}");
}

#[test]
fn caller_for_whose_key_there_is_no_room_waits_for_nobody() {
    let came = outcomes(|| {
        let pages = Coalesce::builder().capacity(1).build::<u8, u8>().unwrap();
        let other = pages.clone();
        let asks = thread::spawn(move || wait_for(other.call(1, || async { 1 })));
        let mine = polled_once(pin!(pages.call(2, || async { 2 })));
        let answers = (asks.join().unwrap(), mine);
        assert_eq!((pages.len(), pages.waiting()), (0, 0));
        answers
    });
    assert_eq!(came, BTreeSet::from([(1, Some(2))]));
}
