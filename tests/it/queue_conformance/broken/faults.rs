//! The faults, each with promises that it breaks.

macro_rules! faults {
    ($($fault:ident: $($case:ident)+,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::queue_conformance) enum Fault {
            None,
            Hangs,
            Panics,
            $($fault,)*
        }

        impl Fault {
            /// Each fault, and the cases that must fail by it.
            pub(in crate::queue_conformance) const ALL: &[(Self, &[&str])] =
                &[$((Self::$fault, &[$(stringify!($case)),+])),*];
        }
    };
}

faults! {
    SaysBeforeItStores: d4_pushes_at_once_get_ids_of_their_own_and_none_is_lost,
    LosesAtRestart: d1_stored_letters_survive_restart_and_crash d3_restart_after_each_step_changes_nothing,
    LosesAtCrash: d3_crash_after_each_step_changes_nothing,
    ReusesIds: d4_ids_only_grow,
    ReusesIdsAfterRestart: d4_ids_are_not_used_again_after_a_restart,
    ChangesAByte: d2_largest_payload_is_kept_byte_for_byte,
    ForgetsHeaders: d2_letter_comes_out_as_it_went_in,
    BelievesTheCountsGiven: d2_push_starts_the_counts_of_the_queue_anew,
    CountsBytesWrong: d3_numbers_change_with_the_letters,
    LeasesTwice: d5_letter_has_one_holder,
    LeasesTooShort: d5_letter_has_one_holder,
    LooksThenLeases: d5_workers_at_once_deliver_each_letter_once,
    ForgetsTheFence: d6_token_of_an_old_lease_changes_nothing,
    SettlesTwice: d6_settled_lease_cannot_be_settled_again,
    GoneIsFenced: d6_invented_token_changes_nothing d8_delivered_letter_is_never_seen_again,
    FencesStartAnewAtRestart: d6_leases_of_before_hold_after_a_restart_or_are_fenced,
    LeasesTooLong: d7_lease_runs_out_and_its_letter_comes_back,
    CountsLate: d7_delivery_is_counted_before_the_letter_is_given_out,
    ForgetsExtensions: d7_extended_lease_lasts_from_the_extension_on,
    LeasesForNoTime: d7_lease_of_no_time_is_refused_and_the_longest_is_not,
    ForgetsDeliveriesInCrash: d7_delivery_count_survives_a_crash,
    BringsBackTheDelivered: d8_delivered_letter_stays_gone_after_restart_and_crash,
    LosesTheReleased: d9_only_a_delivered_letter_is_removed,
    ChangesTheKey: d9_every_delivery_carries_the_same_key,
    NeverQuarantines: d10_letter_redriven_too_often_is_quarantined d15_numbers_hold_over_a_random_series,
    QuarantinesEarly: d10_letter_redriven_too_often_is_quarantined,
    ForgivesLostLeases: d10_letter_whose_leases_run_out_is_quarantined,
    IgnoresQuarantine: d10_quarantined_letter_is_left_alone_unless_asked_for filter_that_means_nothing_does_nothing,
    QuarantinesTheLeased: d10_leased_letter_cannot_be_quarantined_by_others,
    ReinstatesHalf: d10_reinstated_letter_starts_afresh,
    ReleasesTheQuarantined: d10_quarantined_letter_leased_on_request_goes_back_there,
    ForgetsQuarantineAtRestart: d10_quarantine_survives_restart_and_crash,
    ExpiresLate: d11_letter_expires_at_its_time_and_is_counted d11_quarantined_letter_does_not_expire_and_lives_anew,
    ExpiresEarly: d11_letter_expires_at_its_time_and_is_counted,
    ExpiresAlways: d11_letter_without_a_time_does_not_expire d1_pushed_letter_is_held,
    ForgetsToCountExpiry: d11_live_lease_puts_expiry_off d11_released_letter_that_outlived_its_time_expires,
    TimeStartsAnewAtRestart: d11_time_goes_on_over_a_restart,
    DropsInSilence: d12_full_queue_hands_the_letter_back_and_changes_nothing,
    KeepsWhatItRefuses: d12_full_queue_hands_the_letter_back_and_changes_nothing,
    CountUncapped: d12_full_queue_hands_the_letter_back_and_changes_nothing,
    BytesUncapped: d12_bytes_are_capped_too,
    TooLargeIsFull: d12_letter_that_never_fits_is_told_apart,
    NamesNobodyDropped: d12_oldest_ready_letters_are_dropped_and_named,
    RefusesInsteadOfDropping: d12_large_letter_pushes_out_as_many_as_it_takes,
    DropsForNothing: d12_nothing_is_dropped_where_that_would_not_do,
    WaitsForEver: d12_wait_for_room_is_bounded,
    DoesNotWait: d12_waiting_push_takes_the_room_that_comes,
    LooksThenStores: d12_caps_hold_whoever_pushes_at_once,
    BelievesFailedWrites: d13_failed_push_is_not_reported_as_stored d13_failed_settlement_is_not_reported_as_done d13_failed_lease_gives_nothing_out,
    GivesOutTheDamaged: d14_damaged_letter_hides_no_other_and_is_not_given_out,
    StoresInTwoSteps: d18_dropped_push_stores_the_whole_letter_or_nothing,
    SettlesInTwoSteps: d18_dropped_settlement_has_happened_or_not,
    LeasesInTwoSteps: d18_dropped_lease_comes_back_when_it_runs_out,
    LooksCount: d18_dropped_deeds_and_looks_leave_the_numbers_right,
    BuriesTheRedriven: d19_failed_redrive_changes_its_letter_and_makes_no_second,
    FindsByPrefix: filter_finds_what_it_means_by_each_criterion,
    OverlooksTheLast: filter_criteria_hold_together,
    DiscardsTheOthersToo: filter_of_an_action_spares_all_others,
    FingerprintsOnce: groups_follow_what_redrives_tell,
    LooksBackwards: peek_pages_in_order_of_id,
    IgnoresLimits: peek_pages_in_order_of_id d5_letters_are_leased_in_order_up_to_the_limit,
    GroupsByHalf: groups_are_counted_and_the_largest_come_first,
    SparesTheLeased: discarded_letter_is_gone_and_its_holder_is_told,
    ReplacesInTwoSteps: replacing_is_one_change,
    ReplacesWhatIsLeased: replacing_what_is_not_free_hands_the_letter_back,
    ForgetsDeeds: deeds_are_written_down_newest_first,
    ForgetsDeedsAtRestart: deeds_survive_restart_and_crash,
    AnswersBackwards: push_all_answers_in_order settle_all_answers_in_order,
    ClosesHalf: close_can_be_said_twice_and_means_one_thing,
}
