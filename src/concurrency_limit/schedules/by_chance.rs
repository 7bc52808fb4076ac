//! Histories that are too long to be run in every order.

use super::*;

#[test]
fn window_that_another_has_closed_is_not_closed_again_with_the_calls_of_the_next() {
    outcomes(|| {
        let start = time::now();
        let limit = nearly_full(3, start);
        let other = limit.clone();
        let ends = thread::spawn(move || end_with_overload(&other, start));
        end_with_overload(&limit, start);
        end_with_overload(&limit, start);
        ends.join().unwrap();
        assert_idle_at(&limit, 2);
        assert_eq!(limit.snapshot().dropped, 10, "each is counted in one window");
    });
}

#[test]
fn crowd_under_a_limit_that_moves_leaves_nothing_behind() {
    let came = outcomes(|| {
        let (limit, start) = (limit(2), time::now());
        let inside = Arc::new(AtomicU64::new(0));
        let callers = [0, 1, 2].map(|nth| {
            let (limit, inside) = (limit.clone(), Arc::clone(&inside));
            thread::spawn(move || {
                let (mut answered, mut dropped) = (0, 0);
                for step in 0..5 {
                    let now = start + AFTER * step;
                    let Ok(call) = enter(&limit, now) else { continue };
                    hold(&inside, 3);
                    match (nth + step) % 3 {
                        0 => drop(call),
                        1 => {
                            call.settle_at(Outcome::Success, &now.into());
                            answered += 1;
                        }
                        _ => {
                            call.settle_at(Outcome::Failure, &now.into());
                            dropped += 1;
                        }
                    }
                }
                (answered, dropped)
            })
        });
        for max in [1, 3, 2] {
            limit.set_bounds(1, max).unwrap();
        }
        let told = callers.map(|caller| caller.join().unwrap());
        let told = told.into_iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        let seen = limit.snapshot();
        assert_eq!((seen.samples, seen.dropped), told, "each is counted in one window");
        assert!((1..=2).contains(&seen.limit), "{seen:?}");
        assert_idle_at(&limit, seen.limit);
        limit.limit()
    });
    assert_eq!(came, BTreeSet::from([1, 2]), "it falls in some order, and not in another");
}
