//! Histories that are too long to be run in every order.

use super::*;

#[test]
fn whatever_three_threads_do_the_calls_add_up() {
    let came = outcomes(|| {
        let bucket = bucket(4);
        let threads = [0, 1, 2].map(|nth| {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || {
                let mut made = 0;
                for step in 0..4 {
                    if step == nth {
                        bucket.set_interval(INTERVAL + step, NOW, |_| Ok::<_, ()>(())).unwrap();
                    }
                    match ask(&bucket, if step % 2 == 0 { u64::MAX } else { NOW }) {
                        Ok(Asked::Taken(_)) => made += 1,
                        Ok(Asked::Waits(place, told)) => {
                            assert!(bucket.look(place, told, NOW, None).is_err(), "its moment is not now");
                            bucket.go_away(place, NOW);
                        }
                        Err(due) => assert!(due.unwrap() > NOW),
                    }
                }
                made
            })
        });
        let made: usize = threads.map(|thread| thread.join().unwrap()).into_iter().sum();
        assert_eq!(drain(&bucket), 4 - made);
        made
    });
    assert_eq!(came, BTreeSet::from([4]), "all are taken in every order");
}
