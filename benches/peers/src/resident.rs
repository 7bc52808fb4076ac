//! What calls under way take of the machine's memory: each kind in a process of its own, which has no past.

use std::env;
use std::fs;
use std::process::Command;
use std::sync::atomic::Ordering;

use tokio::runtime::Runtime;

use crate::door::Door;
use crate::operation::HANGING;

/// How many calls are under way.
pub const CALLS: usize = 100_000;

/// Resident bytes of a spawned call, of so many that hang. To be asked once in a process.
pub fn per_call(door: &Door, runtime: &Runtime) -> f64 {
    let before = resident();
    door.spawn(runtime, CALLS);
    runtime.block_on(async {
        while HANGING.load(Ordering::Relaxed) < CALLS {
            tokio::task::yield_now().await;
        }
    });
    (resident() - before) / CALLS as f64
}

/// The bytes that the system says this process has.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kilobytes| kilobytes * 1024.0)
}

/// As [`per_call`], of this subject, in a new process.
pub fn of(subject: &str) -> Option<f64> {
    let program = env::current_exe().ok()?;
    let output = Command::new(program).args(["--in-flight", "--subject", subject]).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|bytes: &f64| bytes.is_finite())
}
