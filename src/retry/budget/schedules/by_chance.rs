//! Histories that are too long to be run in every order.

use super::*;

#[test]
fn whatever_three_threads_do_with_it_the_budget_adds_up() {
    let came = outcomes(|| {
        let (budget, start) = open(budget(2, 1_000).share(0.5).trickle(PERIOD));
        let threads = [1, 2, 3].map(|nth| {
            let budget = budget.clone();
            thread::spawn(move || {
                let mut spent = 0;
                for step in 0..4 {
                    let now = start + PERIOD * step;
                    if step % nth == 0 {
                        budget.deposit(false);
                    }
                    match budget.reserve(ANY, now) {
                        Some(token) if step % 2 == 0 => drop(token),
                        Some(token) => {
                            token.spend();
                            spent += 1;
                        }
                        None => {}
                    }
                }
                spent
            })
        });
        let spent: u64 = threads.map(|thread| thread.join().unwrap()).into_iter().sum();
        // Two at first, three that trickled in, and half a one for each of the eight deposits.
        assert_eq!(level(&budget) + spent * TOKEN, (2 + 3 + 4) * TOKEN);
        spent
    });
    assert_eq!(came, BTreeSet::from([6]), "each finds a token in every order");
}
