//! A closure that is lent its state may change nothing besides.

use recoup::Attempt;

async fn send(recovery: &recoup::Recovery<std::io::Error>, lines: &mut Vec<u32>) {
    let mut tries = 0;
    let sent =
        recoup::execute_with_recovery_mut(recovery, lines, async |lines: &mut Vec<u32>, attempt: Attempt| {
            tries += 1;
            lines.push(attempt.number());
            Ok::<_, std::io::Error>(())
        });
    let _ = sent.await;
}

fn main() {}
