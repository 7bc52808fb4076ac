//! What a layer for gRPC asks of a budget.

use super::{Kind, RetryBudget};

impl RetryBudget {
    /// Whether it is one of [`grpc`](Self::grpc), which minds every attempt that fails.
    pub(crate) const fn is_grpc(&self) -> bool {
        matches!(self.0, Kind::Grpc(_))
    }
}
