//! The list of cases, and how they are run.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::report::{CaseResult, Report, Verdict};
use super::under_test::QueueUnderTest;
use super::world::{Proof, Stop, World};
use super::{
    by_hand, dropped, expiry, faults, filters, leases, letters, limits, quarantine, restarts, series,
    waiting, workers,
};
use crate::sync::atomic::AtomicU32;
use crate::time;
use crate::timer::Timer;

/// So long a case may take, by the clock that the queue goes by: more than any of them lets pass.
const PATIENCE: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// Every case, in one list: for the table of functions below, and for the tests that the macro makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __queue_cases {
    ($make:path, $($with:tt)*) => {
        $make! { [$($with)*]
            letters d1_pushed_letter_is_held,
            restarts d1_stored_letters_survive_restart_and_crash,
            letters d2_letter_comes_out_as_it_went_in,
            letters d2_largest_payload_is_kept_byte_for_byte,
            letters d2_push_starts_the_counts_of_the_queue_anew,
            letters d3_numbers_change_with_the_letters,
            series d3_restart_after_each_step_changes_nothing,
            series d3_crash_after_each_step_changes_nothing,
            letters d4_ids_only_grow,
            workers d4_pushes_at_once_get_ids_of_their_own_and_none_is_lost,
            restarts d4_ids_are_not_used_again_after_a_restart,
            leases d5_letter_has_one_holder,
            leases d5_letters_are_leased_in_order_up_to_the_limit,
            workers d5_workers_at_once_deliver_each_letter_once,
            leases d6_token_of_an_old_lease_changes_nothing,
            leases d6_settled_lease_cannot_be_settled_again,
            leases d6_invented_token_changes_nothing,
            restarts d6_leases_of_before_hold_after_a_restart_or_are_fenced,
            leases d7_lease_runs_out_and_its_letter_comes_back,
            leases d7_delivery_is_counted_before_the_letter_is_given_out,
            leases d7_extended_lease_lasts_from_the_extension_on,
            leases d7_lease_of_no_time_is_refused_and_the_longest_is_not,
            restarts d7_delivery_count_survives_a_crash,
            letters d8_delivered_letter_is_never_seen_again,
            restarts d8_delivered_letter_stays_gone_after_restart_and_crash,
            letters d9_only_a_delivered_letter_is_removed,
            letters d9_every_delivery_carries_the_same_key,
            quarantine d10_letter_redriven_too_often_is_quarantined,
            quarantine d10_letter_whose_leases_run_out_is_quarantined,
            quarantine d10_quarantined_letter_is_left_alone_unless_asked_for,
            quarantine d10_leased_letter_cannot_be_quarantined_by_others,
            quarantine d10_reinstated_letter_starts_afresh,
            quarantine d10_quarantined_letter_leased_on_request_goes_back_there,
            restarts d10_quarantine_survives_restart_and_crash,
            expiry d11_letter_expires_at_its_time_and_is_counted,
            expiry d11_letter_without_a_time_does_not_expire,
            expiry d11_live_lease_puts_expiry_off,
            expiry d11_released_letter_that_outlived_its_time_expires,
            expiry d11_quarantined_letter_does_not_expire_and_lives_anew,
            restarts d11_time_goes_on_over_a_restart,
            limits d12_full_queue_hands_the_letter_back_and_changes_nothing,
            limits d12_bytes_are_capped_too,
            limits d12_letter_that_never_fits_is_told_apart,
            limits d12_oldest_ready_letters_are_dropped_and_named,
            limits d12_large_letter_pushes_out_as_many_as_it_takes,
            limits d12_nothing_is_dropped_where_that_would_not_do,
            waiting d12_wait_for_room_is_bounded,
            waiting d12_waiting_push_takes_the_room_that_comes,
            workers d12_caps_hold_whoever_pushes_at_once,
            faults d13_failed_push_is_not_reported_as_stored,
            faults d13_failed_settlement_is_not_reported_as_done,
            faults d13_failed_lease_gives_nothing_out,
            faults d14_damaged_letter_hides_no_other_and_is_not_given_out,
            series d15_numbers_hold_over_a_random_series,
            dropped d18_dropped_push_stores_the_whole_letter_or_nothing,
            dropped d18_dropped_lease_comes_back_when_it_runs_out,
            dropped d18_dropped_settlement_has_happened_or_not,
            dropped d18_dropped_deeds_and_looks_leave_the_numbers_right,
            letters d19_failed_redrive_changes_its_letter_and_makes_no_second,
            filters filter_finds_what_it_means_by_each_criterion,
            filters filter_criteria_hold_together,
            filters filter_of_an_action_spares_all_others,
            filters filter_that_means_nothing_does_nothing,
            filters peek_pages_in_order_of_id,
            filters groups_are_counted_and_the_largest_come_first,
            filters groups_follow_what_redrives_tell,
            by_hand discarded_letter_is_gone_and_its_holder_is_told,
            by_hand replacing_is_one_change,
            by_hand replacing_what_is_not_free_hands_the_letter_back,
            by_hand deeds_are_written_down_newest_first,
            restarts deeds_survive_restart_and_crash,
            by_hand push_all_answers_in_order,
            by_hand settle_all_answers_in_order,
            by_hand close_can_be_said_twice_and_means_one_thing,
        }
    };
}

/// One `#[tokio::test]` for each case.
#[doc(hidden)]
#[macro_export]
macro_rules! __queue_tests {
    ([$under_test:expr] $($module:ident $case:ident,)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $case() {
                $crate::testing::conformance::prove(&$under_test, stringify!($case)).await;
            }
        )*
    };
}

/// Makes a module of tests, one for each promise of a queue of dead letters, each named after it.
///
/// `queue_suite!(name, how)`: the name of the module, and how a queue is opened, a
/// [`QueueUnderTest`](crate::testing::conformance::QueueUnderTest). See
/// [`conformance`](crate::testing::conformance) for an example. A case that does not apply passes here; who wants
/// to know which ones do calls [`run`](crate::testing::conformance::run).
#[doc(hidden)]
#[macro_export]
macro_rules! __queue_suite {
    ($name:ident, $under_test:expr) => {
        #[cfg(test)]
        mod $name {
            #[allow(
                unused_imports,
                reason = "what says how a queue is opened may need nothing from outside"
            )]
            use super::*;

            $crate::testing::__queue_cases! { $crate::testing::__queue_tests, $under_test }
        }
    };
}

type Case = for<'a> fn(&'a World<'a>) -> BoxFuture<'a, Proof>;

macro_rules! table {
    ([] $($module:ident $case:ident,)*) => {
        const CASES: &[(&str, Case)] = &[$((stringify!($case), |world| $module::$case(world).boxed())),*];
    };
}

__queue_cases! { table, }

/// The names of all cases.
///
/// ```
/// use recoup::testing::conformance;
/// assert!(conformance::names().any(|name| name == "d5_letter_has_one_holder"));
/// ```
pub fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(name, _)| *name)
}

/// Runs every case, each with queues of its own, one after the other.
///
/// # Cancel safety
///
/// Dropped, it leaves behind what the case under way has made.
pub async fn run(under_test: &dyn QueueUnderTest) -> Report {
    let mut results = Vec::with_capacity(CASES.len());
    for &(name, case) in CASES {
        results.push(CaseResult::new(name, verdict(under_test, name, case).await));
    }
    results.into_iter().collect()
}

/// Runs one case. A name that no case has fails.
///
/// # Cancel safety
///
/// Dropped, it leaves behind what the case has made.
pub async fn check(under_test: &dyn QueueUnderTest, case: &str) -> Verdict {
    match CASES.iter().find(|(name, _)| *name == case) {
        Some(&(name, case)) => verdict(under_test, name, case).await,
        None => Verdict::Failed(format!("there is no case `{case}`")),
    }
}

/// Runs one case and asserts that it does not fail: what each test of
/// [`queue_suite!`](crate::testing::queue_suite) does.
///
/// # Panics
///
/// If the queue does not keep the promise: it is an assertion.
///
/// # Cancel safety
///
/// Dropped, it leaves behind what the case has made.
pub async fn prove(under_test: &dyn QueueUnderTest, case: &str) -> Verdict {
    let verdict = check(under_test, case).await;
    assert!(!matches!(verdict, Verdict::Failed(_)), "{case}: {verdict}");
    verdict
}

async fn verdict(under_test: &dyn QueueUnderTest, name: &'static str, case: Case) -> Verdict {
    let world = World { under_test, case: name, made: AtomicU32::new(0) };
    let until = time::later_or_far(time::now(), PATIENCE);
    let mut run = pin!(AssertUnwindSafe(case(&world)).catch_unwind());
    let mut timer = pin!(Timer::idle());
    poll_fn(|cx| match run.as_mut().poll(cx) {
        Poll::Ready(Ok(Ok(()))) => Poll::Ready(Verdict::Passed),
        Poll::Ready(Ok(Err(Stop::Broken(how)))) => Poll::Ready(Verdict::Failed(how)),
        Poll::Ready(Ok(Err(Stop::DoesNotApply(why)))) => Poll::Ready(Verdict::DoesNotApply(why)),
        Poll::Ready(Err(_)) => Poll::Ready(Verdict::Failed("it panicked".to_owned())),
        Poll::Pending => timer.as_mut().poll_until(until, cx).map(|()| {
            let how = "it hangs, or a paused clock ran on while the queue was at work in a thread of its own";
            Verdict::Failed(how.to_owned())
        }),
    })
    .await
}
