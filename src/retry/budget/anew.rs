//! A budget like another, in a time of its own.

use std::sync::Arc;

use super::bucket::Bucket;
use super::finagle::Finagle;
use super::level::Level;
use super::{Kind, RetryBudget};
use crate::retry::recent::Recent;
use crate::sync::Lock;
use crate::sync::atomic::AtomicU64;
use crate::time::Instant;

impl RetryBudget {
    /// A budget with the same settings, and with as much in it as this one has, whose time starts at `start`.
    pub(crate) fn anew(&self, start: Instant) -> Self {
        match &self.0 {
            Kind::Unlimited => Self::unlimited(),
            Kind::Bucket(bucket) => Self(Kind::Bucket(Arc::new(Bucket {
                level: Level::new(bucket.level.units(), bucket.level.capacity()),
                paid_until: AtomicU64::new(0),
                start,
                share: bucket.share,
                period: bucket.period,
            }))),
            Kind::Finagle(_) => {
                Self(Kind::Finagle(Arc::new(Finagle { start, recent: Lock::new(Recent::new()) })))
            }
            Kind::Aws(_) => Self::aws_standard(),
            Kind::Grpc(_) => Self::grpc(),
            Kind::Envoy(_) => Self::envoy(),
        }
    }
}
