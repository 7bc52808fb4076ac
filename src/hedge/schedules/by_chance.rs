//! What is made of more numbers than can be counted in every order.

use std::time::Duration;

use super::*;
use crate::hedge::latency::Latencies;
use crate::time;

const MS: Duration = Duration::from_millis(1);

#[test]
fn quantile_that_is_known_stays_known_while_two_turn_over_at_once() {
    let told = outcomes(|| {
        let start = time::now();
        let latencies = Arc::new(Latencies::new(0.5, 1, MS, start));
        latencies.record(8 * MS, start);
        let known = latencies.quantile();
        let threads = [2, 4].map(|turn| {
            let latencies = Arc::clone(&latencies);
            thread::spawn(move || latencies.record(8 * MS, start + turn * MS))
        });
        assert_eq!(latencies.quantile(), known);
        for thread in threads {
            thread.join().unwrap();
        }
        latencies.record(8 * MS, start + 9 * MS);
        assert_eq!(latencies.quantile(), known);
        known
    });
    assert!(matches!(told.first(), Some(Some(known)) if *known >= 8 * MS), "{told:?}");
}
