//! A closure that is lent its state needs both of its arguments annotated.

async fn send(recovery: &recoup::Recovery<std::io::Error>, lines: &mut Vec<u32>) {
    let sent = recoup::execute_with_recovery_mut(recovery, lines, async |lines, attempt| {
        lines.push(attempt.number());
        Ok::<_, std::io::Error>(())
    });
    let _ = sent.await;
}

fn main() {}
