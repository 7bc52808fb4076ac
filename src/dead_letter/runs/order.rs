//! What a redrive is asked to do.

use crate::dead_letter::by_hand::ByHand;
use crate::dead_letter::filter::LetterFilter;
use crate::setting::{Check, SettingError};

/// What a redrive is asked to do: which letters, how fast, where to, and when to give up.
///
/// ```
/// use recoup::{ByHand, LetterFilter, RedriveOrder};
///
/// let order = RedriveOrder::builder(LetterFilter::new().destination("payments"))
///     .rate(500.0)
///     .concurrency(16)
///     .stop_after(10)
///     .by(ByHand::of("ana").because("fixed in 1.4"))
///     .build()?;
/// assert_eq!((order.rate(), order.ramp(), order.concurrency()), (Some(500.0), true, 16));
/// assert_eq!(order.destination(), Some("payments"));
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RedriveOrder {
    filter: LetterFilter,
    rate: Option<f64>,
    ramp: bool,
    concurrency: u32,
    to: Option<String>,
    dry_run: bool,
    stop_after: Option<u32>,
    by: ByHand,
}

impl RedriveOrder {
    /// Begins an order for the letters that `filter` means.
    pub fn builder(filter: LetterFilter) -> RedriveOrderBuilder {
        RedriveOrderBuilder {
            order: Self {
                filter,
                rate: None,
                ramp: true,
                concurrency: 1,
                to: None,
                dry_run: false,
                stop_after: None,
                by: ByHand::default(),
            },
        }
    }

    /// Which letters.
    #[must_use]
    pub const fn filter(&self) -> &LetterFilter {
        &self.filter
    }

    /// The destination whose letters are meant, if the filter names one. By it, recoveries that share a queue
    /// [take](crate::Redriver::takes) the runs that are theirs.
    #[must_use]
    pub fn destination(&self) -> Option<&str> {
        self.filter.destination.as_deref()
    }

    /// The most letters begun in a second. `None` is as fast as it goes.
    #[must_use]
    pub const fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Whether the rate begins at a tenth. Says nothing without a rate.
    #[must_use]
    pub const fn ramp(&self) -> bool {
        self.ramp
    }

    /// The most calls under way at once.
    #[must_use]
    pub const fn concurrency(&self) -> u32 {
        self.concurrency
    }

    /// The destination in place of the letters' own.
    #[must_use]
    pub fn to(&self) -> Option<&str> {
        self.to.as_deref()
    }

    /// Whether it is only counted what would be sent.
    #[must_use]
    pub const fn dry_run(&self) -> bool {
        self.dry_run
    }

    /// After so many failures in a row the run stops.
    #[must_use]
    pub const fn stop_after(&self) -> Option<u32> {
        self.stop_after
    }

    /// Who asks for it, and why.
    #[must_use]
    pub const fn by(&self) -> &ByHand {
        &self.by
    }
}

/// Builds a [`RedriveOrder`].
///
/// ```
/// use recoup::{LetterFilter, RedriveOrder};
/// let error = RedriveOrder::builder(LetterFilter::new()).rate(f64::NAN).build().unwrap_err();
/// assert_eq!((error.policy, error.setting), ("redrive order", "rate"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct RedriveOrderBuilder {
    order: RedriveOrder,
}

impl RedriveOrderBuilder {
    /// The most letters begun in a second, above 0 and finite. Default: as fast as it goes.
    pub const fn rate(mut self, per_second: f64) -> Self {
        self.order.rate = Some(per_second);
        self
    }

    /// Whether the rate begins at a tenth and doubles every second until it is reached, so that what was just
    /// mended is not hit with all of it at once. It begins anew after each pause. Default: it does, if a rate
    /// is set.
    pub const fn ramp(mut self, ramp: bool) -> Self {
        self.order.ramp = ramp;
        self
    }

    /// The most calls under way at once, at least 1. With more than one, the order of the letters' numbers is
    /// that in which they begin. Default: 1.
    pub const fn concurrency(mut self, calls: u32) -> Self {
        self.order.concurrency = calls;
        self
    }

    /// The destination that the letters are sent to. The stored letters keep their own. Default: each to its
    /// own.
    pub fn to(mut self, destination: impl Into<String>) -> Self {
        self.order.to = Some(destination.into());
        self
    }

    /// Only counts what would be sent: nothing is leased, called or changed. Default: off.
    pub const fn dry_run(mut self, dry_run: bool) -> Self {
        self.order.dry_run = dry_run;
        self
    }

    /// Stops the run after so many failures in a row, at least 1. Calls that are under way then are left to end.
    /// Default: never.
    pub const fn stop_after(mut self, failures: u32) -> Self {
        self.order.stop_after = Some(failures);
        self
    }

    /// Who asks for it, and why: it stands in the run and in the queue's [acts](crate::DeadLetterQueue::acts).
    /// Default: nobody named.
    pub fn by(mut self, by: ByHand) -> Self {
        self.order.by = by;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`SettingError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<RedriveOrder, SettingError> {
        const CHECK: Check = Check("redrive order");
        let Self { order } = self;
        if let Some(rate) = order.rate
            && !(rate.is_finite() && rate > 0.0)
        {
            return Err(CHECK.refuse("rate", rate, "above 0.0 and finite"));
        }
        CHECK.at_least_one("concurrency", order.concurrency)?;
        order.stop_after.map_or(Ok(()), |failures| CHECK.at_least_one("stop_after", failures))?;
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let builder = || RedriveOrder::builder(LetterFilter::new());
        for rate in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(builder().rate(rate).build().unwrap_err().setting, "rate", "{rate}");
        }
        assert_eq!(builder().concurrency(0).build().unwrap_err().setting, "concurrency");
        assert_eq!(builder().stop_after(0).build().unwrap_err().setting, "stop_after");
        for rate in [f64::MIN_POSITIVE, f64::MAX] {
            assert!(builder().rate(rate).concurrency(u32::MAX).stop_after(u32::MAX).build().is_ok());
        }
    }

    #[test]
    fn new_order_sends_each_letter_home_one_at_a_time() {
        let order = RedriveOrder::builder(LetterFilter::new()).build().unwrap();
        assert_eq!((order.rate(), order.concurrency(), order.to()), (None, 1, None));
        assert_eq!((order.dry_run(), order.stop_after(), order.by()), (false, None, &ByHand::default()));
    }
}
