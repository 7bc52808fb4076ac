//! What is counted for hedges in whatever order threads count it.

#[cfg(all(test, recoup_shuttle))]
mod by_chance;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::allowance::Extra;
use crate::sync::model::{outcomes, thread};

/// How many hedges may be launched now.
fn rest(extra: &Extra) -> usize {
    std::iter::repeat_with(|| extra.take()).take_while(|taken| *taken).count()
}

#[test]
fn hedge_that_two_calls_have_saved_up_is_launched_once() {
    let taken = outcomes(|| {
        let extra = Arc::new(Extra::new(0.5));
        let callers = [0, 1].map(|_| {
            let extra = Arc::clone(&extra);
            thread::spawn(move || {
                extra.earn();
                extra.take()
            })
        });
        let taken = callers.map(|caller| caller.join().unwrap());
        assert_eq!(rest(&extra), usize::from(taken == [false, false]), "it is not lost either");
        taken
    });
    // Whoever of the two earns last finds a whole one, or the other has taken it.
    assert_eq!(taken, BTreeSet::from([[false, true], [true, false]]));
}

#[test]
fn token_that_was_not_used_goes_back_whoever_asks_meanwhile() {
    let came = outcomes(|| {
        let extra = Arc::new(Extra::new(1.0));
        extra.earn();
        let other = Arc::clone(&extra);
        let gives_back = thread::spawn(move || {
            let taken = other.take();
            if taken {
                other.give_back();
            }
            taken
        });
        let launched = extra.take();
        let had = gives_back.join().unwrap();
        assert!(launched || had, "a token that nobody has can be taken");
        assert_eq!(rest(&extra), usize::from(!launched));
        (had, launched)
    });
    assert_eq!(came, BTreeSet::from([(true, true), (true, false), (false, true)]));
}
