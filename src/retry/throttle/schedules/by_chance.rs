//! Histories that are too long to be run in every order.

use super::*;

#[test]
fn whatever_three_threads_see_the_throttle_adds_up() {
    let came = outcomes(|| {
        let (throttle, start) = open(builder(100));
        (0..20).for_each(|_| assert!(spend(&throttle, start)));
        let threads = [1, 2, 3].map(|nth| {
            let throttle = throttle.clone();
            thread::spawn(move || {
                let mut spent = 0;
                for step in 0..4 {
                    let now = start + LATER * step;
                    if step % nth == 0 {
                        throttle.succeeded(&waited(), &now.into());
                    } else {
                        throttle.failed(&quick(), &now.into());
                    }
                    match reserve(&throttle, now) {
                        Ok(leave) if step % 2 == 0 => drop(leave),
                        Ok(leave) => {
                            leave.spend();
                            spent += 1;
                        }
                        Err(why) => assert_eq!(why, Withheld::Failing),
                    }
                    tokens(&throttle);
                }
                spent
            })
        });
        let spent: i32 = threads.map(|thread| thread.join().unwrap()).into_iter().sum();
        // Four, two and two successes earn half a token each.
        assert_eq!(tokens(&throttle), 800 + 8 * 5 - spent * 10);
        assert!(!throttle.is_calm(), "tokens are missing");
        assert_eq!(parts(&throttle).0.state().seen, 12, "nothing that was seen is lost");
        spent
    });
    assert!(came.len() > 1, "a run of failures ends retries in some order: {came:?}");
}

#[test]
fn cell_that_is_calm_now_and_then_forgets_no_failure() {
    outcomes(|| {
        let (throttle, start) = calm(builder(1));
        let threads = [1, 2, 3].map(|nth| {
            let throttle = throttle.clone();
            thread::spawn(move || {
                for step in 0..4 {
                    let now = start + LATER * step;
                    match (nth + step) % 3 {
                        0 => throttle.failed(&quick(), &now.into()),
                        1 => throttle.succeeded(&quick(), &now.into()),
                        _ => throttle.succeeded(&waited(), &now.into()),
                    }
                    drop(reserve(&throttle, now));
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(tokens(&throttle), 10);
        assert_calm_only_if_it_is(&throttle);
        throttle.failed(&quick(), &start.into());
        assert!(!throttle.is_calm());
    });
}
