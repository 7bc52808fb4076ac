//! Histories that are too long to be run in every order.

use super::*;

#[test]
fn crowd_that_asks_leaves_and_asks_again_leaves_nothing_behind() {
    let came = outcomes(|| {
        let pages = Pages::new();
        let callers = [0, 1, 2, 3].map(|nth| {
            let pages = pages.clone();
            thread::spawn(move || {
                for turn in 0..3 {
                    if (nth + turn) % 3 == 0 {
                        // As one who waits, as the one who leads, or with the lead on its way.
                        let calls = Arc::clone(&pages.calls);
                        let _gone = polled_once(pin!(pages.coalesce.call(KEY, move || async move {
                            let _under_way = UnderWay::new(&calls);
                            pending().await
                        })));
                    } else {
                        wait_for(pages.get());
                    }
                }
            })
        });
        for caller in callers {
            caller.join().unwrap();
        }
        pages.assert_forgotten();
        pages.made()
    });
    assert!(came.len() > 1 && came.iter().all(|made| (1..=8).contains(made)), "{came:?}");
}
