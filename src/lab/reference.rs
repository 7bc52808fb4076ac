//! Policies to compare with.

use std::time::Duration;

use super::contender::Contender;
use crate::circuit_breaker::{CircuitBreaker, HalfOpen};
use crate::retry::{RetryBudget, RetryPolicy, RetryPolicyBuilder, Throttle};
use crate::window::Window;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

impl Contender {
    /// Every policy to compare with, and last the [default](Self::adaptive).
    #[must_use]
    pub fn references() -> Vec<Self> {
        vec![
            Self::no_retry(),
            Self::full_jitter(),
            Self::token_budget(),
            Self::finagle(),
            Self::grpc(),
            Self::aws_standard(),
            Self::envoy(),
            Self::sre(),
            Self::aws_adaptive(),
            Self::breaker_of_calls(),
            Self::breaker_of_time(),
            Self::adaptive(),
        ]
    }

    /// One attempt, and no other.
    pub fn no_retry() -> Self {
        Self::new("no retry", RetryPolicy::builder().max_attempts(1).no_budget())
    }

    /// Up to three retries after full jitter from 100 ms to 20 s, and nothing that holds them back: what most
    /// programs do.
    pub fn full_jitter() -> Self {
        Self::new("full jitter x 3", three_retries())
    }

    /// The same, with tokens of which each success earns a tenth, five at most: the rule of Brooker's "Fixing
    /// retries with token buckets and circuit breakers" (2022), in which asking earns nothing.
    #[expect(clippy::missing_panics_doc, reason = "the numbers stand here, and they build")]
    pub fn token_budget() -> Self {
        let tokens = RetryBudget::builder().share(0.1).reserve(5).capacity(5).no_trickle();
        let tokens = tokens.build().expect("a tenth is a share, and five are as many as five");
        Self::new("token budget", three_retries().budget(tokens))
    }

    /// The same as full jitter, within Finagle's budget: [`RetryBudget::finagle`].
    pub fn finagle() -> Self {
        Self::new("Finagle budget", three_retries().budget(RetryBudget::finagle()))
    }

    /// The same as full jitter, under gRPC's throttling: [`RetryBudget::grpc`].
    pub fn grpc() -> Self {
        Self::new("gRPC throttling", three_retries().budget(RetryBudget::grpc()))
    }

    /// The same as full jitter, within the quota of the AWS SDKs: [`RetryBudget::aws_standard`].
    pub fn aws_standard() -> Self {
        Self::new("AWS standard", three_retries().budget(RetryBudget::aws_standard()))
    }

    /// The same as full jitter, within Envoy's budget: [`RetryBudget::envoy`].
    pub fn envoy() -> Self {
        Self::new("Envoy budget", three_retries().budget(RetryBudget::envoy()))
    }

    /// The same as full jitter, under the client throttling of Google's SRE book with K = 2: [`Throttle::sre`].
    #[expect(clippy::missing_panics_doc, reason = "the numbers stand here, and they build")]
    pub fn sre() -> Self {
        let throttle = Throttle::sre(2.0).expect("the book's own number");
        Self::new("SRE throttling", three_retries().throttle(throttle))
    }

    /// The same as full jitter, under the adaptive mode of the AWS SDKs: [`Throttle::aws_adaptive`].
    pub fn aws_adaptive() -> Self {
        Self::new("AWS adaptive", three_retries().throttle(Throttle::aws_adaptive()))
    }

    /// The same as full jitter, under a breaker that opens for 60 s when half of the last hundred calls failed,
    /// and then probes with ten: the defaults of resilience4j.
    pub fn breaker_of_calls() -> Self {
        let breaker = CircuitBreaker::builder("last calls")
            .window(Window::last_calls(100))
            .failure_rate(0.5)
            .minimum_calls(100)
            .open_for(60 * SECOND)
            .half_open(HalfOpen::probes(10).failure_rate(0.5))
            .no_ramp();
        Self::new("breaker, 100 calls", three_retries()).circuit_breaker(breaker)
    }

    /// The same as full jitter, under a breaker that opens for 5 s when a tenth of at least a hundred calls in
    /// 30 s failed, and then probes with one: the defaults of Polly 8.
    pub fn breaker_of_time() -> Self {
        let breaker = CircuitBreaker::builder("last 30 s")
            .window(Window::last(30 * SECOND))
            .failure_rate(0.1)
            .minimum_calls(100)
            .open_for(5 * SECOND)
            .half_open(HalfOpen::probes(1))
            .no_ramp();
        Self::new("breaker, 30 s", three_retries()).circuit_breaker(breaker)
    }

    /// The default of this crate, as it is.
    pub fn adaptive() -> Self {
        Self::new("default", RetryPolicy::builder())
    }
}

fn three_retries() -> RetryPolicyBuilder {
    RetryPolicy::exponential(100 * MS).max_delay(20 * SECOND).max_attempts(4).no_budget()
}
