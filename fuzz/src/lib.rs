//! What the targets share: values that lie at the edges more often than chance would put them there.

use std::future::Future;
use std::time::Duration;

use arbitrary::Arbitrary;
use recoup::{Backoff, Jitter, SettingError};

/// A span of time.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Span {
    Zero,
    Nanos(u64),
    Micros(u32),
    Millis(u16),
    Seconds(u64),
    Any(Duration),
    Max,
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        match span {
            Span::Zero => Self::ZERO,
            Span::Nanos(nanos) => Self::from_nanos(nanos),
            Span::Micros(micros) => Self::from_micros(micros.into()),
            Span::Millis(millis) => Self::from_millis(millis.into()),
            Span::Seconds(seconds) => Self::from_secs(seconds),
            Span::Any(any) => any,
            Span::Max => Self::MAX,
        }
    }
}

/// A share of a whole, or anything else that a float can be.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Share {
    Percent(u8),
    Any(f64),
    Edge(Edge),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Edge {
    NaN,
    Infinite,
    MinusInfinite,
    MinusZero,
    Smallest,
    AlmostOne,
    JustAboveOne,
    Largest,
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        match share {
            Share::Percent(percent) => Self::from(percent) / 100.0,
            Share::Any(any) => any,
            Share::Edge(Edge::NaN) => Self::NAN,
            Share::Edge(Edge::Infinite) => Self::INFINITY,
            Share::Edge(Edge::MinusInfinite) => Self::NEG_INFINITY,
            Share::Edge(Edge::MinusZero) => -0.0,
            Share::Edge(Edge::Smallest) => Self::from_bits(1),
            Share::Edge(Edge::AlmostOne) => 1.0_f64.next_down(),
            Share::Edge(Edge::JustAboveOne) => 1.0_f64.next_up(),
            Share::Edge(Edge::Largest) => Self::MAX,
        }
    }
}

/// A number that counts something.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Count {
    Zero,
    Few(u8),
    Many(u32),
    Max,
}

impl From<Count> for u32 {
    fn from(count: Count) -> Self {
        match count {
            Count::Zero => 0,
            Count::Few(few) => few.into(),
            Count::Many(many) => many,
            Count::Max => Self::MAX,
        }
    }
}

impl Count {
    /// One that a table or a list can be made of.
    pub fn small(self) -> usize {
        u32::from(self).min(1_000) as usize
    }
}

#[derive(Arbitrary, Clone, Debug)]
pub enum Schedule {
    Zero,
    Fixed(Span),
    Linear(Span),
    Exponential(Span),
    Fibonacci(Span),
    Decorrelated(Span),
    Delays(Vec<Span>),
    Own(Vec<Span>),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Chance {
    None,
    Full,
    Equal,
    Proportional(Share),
}

/// A backoff, whether it can work or not.
#[derive(Arbitrary, Clone, Debug)]
pub struct Waits {
    pub schedule: Schedule,
    pub factor: Option<Share>,
    pub max_delay: Option<Span>,
    pub jitter: Option<Chance>,
}

impl Waits {
    pub fn backoff(&self) -> Backoff {
        let spans = |spans: &[Span]| spans.iter().map(|span| (*span).into()).collect::<Vec<Duration>>();
        let mut backoff = match &self.schedule {
            Schedule::Zero => Backoff::none(),
            Schedule::Fixed(span) => Backoff::fixed((*span).into()),
            Schedule::Linear(span) => Backoff::linear((*span).into()),
            Schedule::Exponential(span) => Backoff::exponential((*span).into()),
            Schedule::Fibonacci(span) => Backoff::fibonacci((*span).into()),
            Schedule::Decorrelated(span) => Backoff::decorrelated((*span).into()),
            Schedule::Delays(list) => Backoff::delays(spans(list)),
            Schedule::Own(list) => {
                let list = spans(list);
                Backoff::from_fn(move |n| {
                    list.get(n as usize % list.len().max(1)).copied().unwrap_or_default()
                })
            }
        };
        if let Some(factor) = self.factor {
            backoff = backoff.factor(factor.into());
        }
        if let Some(longest) = self.max_delay {
            backoff = backoff.max_delay(longest.into());
        }
        match self.jitter {
            None => backoff,
            Some(jitter) => backoff.jitter(match jitter {
                Chance::None => Jitter::None,
                Chance::Full => Jitter::Full,
                Chance::Equal => Jitter::Equal,
                Chance::Proportional(share) => Jitter::Proportional(share.into()),
            }),
        }
    }

    /// Whether each wait is at least as long as the one before.
    pub fn grows(&self) -> bool {
        !matches!(self.schedule, Schedule::Delays(_) | Schedule::Own(_))
    }
}

/// A refusal names the setting by its setter, and says what would do.
///
/// # Panics
///
/// If it does not.
pub fn names_a_setting(error: &SettingError, settings: &[&str]) {
    assert!(settings.contains(&error.setting), "who knows `{}`? {error}", error.setting);
    assert!(!error.policy.is_empty() && !error.value.is_empty() && !error.allowed.is_empty(), "{error:?}");
}

/// Runs it on a paused clock of its own.
///
/// # Panics
///
/// If there is no runtime to be had.
pub fn on_a_paused_clock<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(run)
}
