//! The operation that the calls of a run share.

use crate::sync::Lock;

/// An operation that is lent to whichever call begins an attempt. The calls of one run are polled by one task,
/// one after the other, so no two of them ever want it at once; that it may be `FnMut` all the same is what
/// this is for. The lock is not held while the operation runs.
pub(super) struct Operation<F>(Lock<Option<F>>);

impl<F> Operation<F> {
    pub(super) fn new(op: F) -> Self {
        Self(Lock::new(Some(op)))
    }

    /// Lends it for as long as `begin` takes.
    pub(super) fn lend<R>(&self, begin: impl FnOnce(&mut F) -> R) -> R {
        let mut lent = Lent { home: &self.0, op: self.0.lock().take() };
        begin(lent.op.as_mut().expect("calls of one run are polled one after the other"))
    }
}

/// The operation on loan. It goes back also if it panics.
struct Lent<'o, F> {
    home: &'o Lock<Option<F>>,
    op: Option<F>,
}

impl<F> Drop for Lent<'_, F> {
    fn drop(&mut self) {
        *self.home.lock() = self.op.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_that_panics_comes_back() {
        let operation = Operation::new(1);
        let panics = || operation.lend(|_| panic!("in the operation"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert_eq!(operation.lend(|op| std::mem::replace(op, 2)), 1);
        assert_eq!(operation.lend(|op| *op), 2);
    }
}
