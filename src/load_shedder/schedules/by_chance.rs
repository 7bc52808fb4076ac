//! Histories that are too long to be run in every order.

use super::*;

#[test]
fn crowd_that_waits_leaves_and_comes_again_leaves_nothing_behind() {
    let came = outcomes(|| {
        let shared = Arc::new((shedder(1, 2), AtomicU64::new(0)));
        let callers = [0, 1, 2, 3].map(|nth| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (shedder, inside) = &*shared;
                let mut refused = 0;
                for turn in 0..3 {
                    let work = if (nth + turn) % 2 == 0 { LOW } else { HIGH };
                    if (nth + turn) % 3 == 0 {
                        // Lines up and goes away again, be it with a slot or a refusal on its way.
                        let mut nobody = Context::from_waker(Waker::noop());
                        drop(pin!(shedder.admit(work)).poll(&mut nobody));
                    } else if let Err(why) = ask(shedder, work, inside) {
                        assert_eq!(why, ShedReason::QueueFull);
                        refused += 1;
                    }
                }
                refused
            })
        });
        let refused: u64 = callers.map(|caller| caller.join().unwrap()).into_iter().sum();
        assert!(shared.0.snapshot().shed_in_all() >= refused);
        assert_idle(&shared.0);
        refused
    });
    assert!(came.contains(&0) && came.len() > 1, "the queue was full in some order: {came:?}");
}
