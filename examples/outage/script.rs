//! What the server goes through, on the real clock.

use std::time::Duration;

use recoup::Instant;

/// How the server behaves for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Answers at once.
    Healthy,
    /// Answers after 600 ms.
    Slow,
    /// Fails one request in five with a 500.
    Failing,
    /// Refuses every request with a 429 and `Retry-After: 1`.
    Throttling,
    /// Does not listen: connections are refused.
    Dead,
}

/// The story, with the length of each scene in milliseconds. The healthy second in the middle keeps the death
/// apart from what was before it.
pub(crate) const SCENES: [(Phase, u64); 7] = [
    (Phase::Healthy, 1_500),
    (Phase::Slow, 1_000),
    (Phase::Failing, 2_000),
    (Phase::Throttling, 1_000),
    (Phase::Healthy, 1_000),
    (Phase::Dead, 3_000),
    (Phase::Healthy, 3_000),
];

impl Phase {
    pub(crate) const COUNT: usize = 5;

    /// The word for it on the screen.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Slow => "slow",
            Self::Failing => "failing",
            Self::Throttling => "429",
            Self::Dead => "DEAD",
        }
    }
}

/// The script, begun. Servers, clients and the screen hold copies and so agree on the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pub(crate) start: Instant,
}

impl Script {
    /// Begins now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the library reads one clock; an outage lives on the real one"
    )]
    pub(crate) fn begin() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.start.elapsed()
    }

    /// Which scene is on; the last one never ends.
    pub(crate) fn scene(self) -> usize {
        let now = self.elapsed();
        (0..SCENES.len()).rev().find(|scene| begin_of(*scene) <= now).unwrap_or(0)
    }

    pub(crate) fn phase(self) -> Phase {
        SCENES[self.scene()].0
    }

    pub(crate) fn at(self, offset: Duration) -> Instant {
        self.start + offset
    }
}

/// When a scene begins; the one after the last begins when all is over.
fn begin_of(scene: usize) -> Duration {
    SCENES[..scene].iter().map(|(_, length)| Duration::from_millis(*length)).sum()
}

/// When the server dies, and when it is back.
pub(crate) fn death() -> (Duration, Duration) {
    let scene = SCENES.iter().position(|(phase, _)| *phase == Phase::Dead).unwrap_or(SCENES.len());
    (begin_of(scene), begin_of((scene + 1).min(SCENES.len())))
}

/// For how long calls are offered.
pub(crate) fn length() -> Duration {
    begin_of(SCENES.len())
}
