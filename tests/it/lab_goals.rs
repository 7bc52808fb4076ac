//! What the lab says of the default in trouble of every kind, of shards, and of the server's half.

#![expect(clippy::unwrap_used, reason = "a run that fails, fails the test")]

use std::time::Duration;

use recoup::lab::{
    Backend, Contender, Discipline, Fault, FaultKind, Figures, Fleet, QueueBound, Recovered, Scenario, run,
};
use recoup::{CircuitBreaker, Jitter, RetryPolicy, RetryPolicyBuilder, Window};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn figures(scenario: &Scenario, contenders: &[Contender], seed: u64) -> Vec<Figures> {
    run(scenario, contenders, seed).unwrap().runs.into_iter().map(|run| run.figures).collect()
}

/// As the ready one, that nothing but a bound on tries keeps from retrying.
fn three_retries() -> RetryPolicyBuilder {
    RetryPolicy::exponential(100 * MS).max_delay(20 * SECOND).max_attempts(4).no_budget()
}

#[test]
fn server_that_sheds_answers_nearly_all_it_can_whatever_its_clients_do() {
    let mut scenario = Scenario::spike(Fleet::new(300, 1.0));
    scenario.backend.discipline = Discipline::shedder(scenario.timeout);
    let bound = Contender::new("bound", three_retries().deadline(2 * SECOND));
    let contenders = [Contender::no_retry(), Contender::full_jitter(), bound];
    let [none, jitter, bound] = &figures(&scenario, &contenders, 1)[..] else { panic!("three") };
    // All that it can do is to answer 100 of the 120 that come, which is 83 %.
    assert!(none.goodput_in_fault > Some(0.78) && none.goodput_after > Some(0.99), "{none:?}");
    assert_eq!(none.recovery, Recovered::After(0.0));
    assert!(none.wasted < none.offered / 1_000, "whose caller has gone is not served: {none:?}");
    // Who comes back when told to, for as long as it takes, is served in the end. What was put off keeps the
    // servers busy for a while after the spike, and that is all.
    assert!(jitter.goodput_in_fault > Some(0.9) && jitter.goodput_after > Some(0.98), "{jitter:?}");
    assert!(jitter.amplification < Some(1.6) && !jitter.recovery.is_stuck(), "{jitter:?}");
    // Who does not wait for so long loses no more than without retries, and nothing is put off.
    assert!(bound.goodput_in_fault > Some(0.78) && bound.goodput_after > Some(0.99), "{bound:?}");
    assert!(bound.recovery.seconds() <= Some(0.5), "{bound:?}");
}

#[test]
fn shedder_says_when_to_come_back_and_the_plain_queue_does_not() {
    // Longer than any hint would be: who is told when to come back waits less than the backoff.
    let policy = || RetryPolicy::fixed(300 * SECOND).jitter(Jitter::None).max_attempts(2).no_budget();
    let mut scenario = Scenario::spike(Fleet::new(50, 1.0));
    scenario.backend.queue = QueueBound::Calls(4);
    let patient = |scenario: &Scenario| figures(scenario, &[Contender::new("it", policy())], 1).remove(0);
    let plain = patient(&scenario);
    scenario.backend.discipline = Discipline::shedder(scenario.timeout);
    let shedder = patient(&scenario);
    assert_eq!(plain.backend_calls, plain.offered, "nobody is back before the run is over");
    assert!(shedder.backend_calls > shedder.offered + 100, "{shedder:?}");
    assert!(shedder.succeeded > plain.succeeded + 100, "{plain:?} {shedder:?}");
    scenario.backend.shards = 2;
    assert_eq!(patient(&scenario), patient(&scenario), "of one seed each shard draws the same in each run");
}

/// Ten shards of which the first so many are dead for a minute.
fn shards(dead: u32) -> Scenario {
    let mut scenario = Scenario::quiet(Fleet::new(5, 40.0));
    scenario.backend = Backend::new(100, 20 * MS);
    scenario.backend.shards = 10;
    scenario.faults = vec![Fault::new(FaultKind::DeadShards { shards: dead }, 20 * SECOND, 60 * SECOND)];
    (scenario.warm_up, scenario.after) = (10 * SECOND, 20 * SECOND);
    scenario
}

#[test]
fn fleet_that_knows_each_shard_keeps_every_healthy_call_and_one_breaker_is_blind_or_deaf_to_them() {
    let breaker =
        |rate: f64| CircuitBreaker::builder("calls").window(Window::last_calls(100)).failure_rate(rate);
    let half = || Contender::new("half of the last hundred", three_retries()).circuit_breaker(breaker(0.5));
    let tenth = Contender::new("a tenth of them", three_retries()).circuit_breaker(breaker(0.1));
    let contenders =
        [Contender::no_retry(), Contender::adaptive().per_shard(), half().per_shard(), half(), tenth];
    let kept_and_load = |dead| {
        let of_all = figures(&shards(dead), &contenders, 1);
        // Without retries, and nothing that holds back, it is all the healthy calls that end well, and no other.
        let healthy = of_all[0].goodput_in_fault.unwrap();
        let kept =
            |figures: &Figures| (figures.goodput_in_fault.unwrap() / healthy, figures.amplification.unwrap());
        of_all.iter().skip(1).map(kept).collect::<Vec<_>>()
    };
    let [adaptive, apart, one, quick] = kept_and_load(1)[..] else { panic!("four") };
    assert!(adaptive.0 >= 0.99 && apart.0 >= 0.99, "{adaptive:?} {apart:?}");
    assert!(adaptive.1 < 0.95 && apart.1 < 0.95, "and they leave the dead one alone: {adaptive:?} {apart:?}");
    // One breaker that waits for half of all calls to fail never learns of one shard in ten.
    assert!(one.0 >= 0.99 && one.1 > 1.2, "{one:?}");
    // One that is quick enough to learn of it takes the healthy ones along.
    assert!(quick.0 < 0.5, "{quick:?}");

    // With three dead, retries make half of all calls: now that one takes the others along too.
    let [adaptive, apart, one, _] = kept_and_load(3)[..] else { panic!("four") };
    assert!(adaptive.0 >= 0.99 && apart.0 >= 0.99, "{adaptive:?} {apart:?}");
    assert!(one.0 < 0.5, "{one:?}");
}

#[test]
fn goals_of_the_default_hold_for_many_small_clients_and_for_a_few_large_ones() {
    for fleet in [Fleet::new(400, 1.0), Fleet::new(20, 20.0)] {
        let default = |scenario: Scenario| figures(&scenario, &[Contender::adaptive()], 1).remove(0);
        let outage = default(Scenario::outage(fleet));
        assert!(outage.amplification <= Some(1.05), "{fleet:?} {outage:?}");
        assert!(outage.recovery.seconds().unwrap() <= 0.5, "{fleet:?} {outage:?}");

        let errors = default(Scenario::errors(fleet));
        assert!(errors.goodput_in_fault >= Some(0.999), "{fleet:?} {errors:?}");
        assert!(errors.amplification <= Some(1.15), "{fleet:?} {errors:?}");

        let brownout = default(Scenario::brownout(fleet));
        assert!(brownout.amplification <= Some(0.5), "{fleet:?} {brownout:?}");
        assert!(brownout.recovery.seconds().unwrap() <= 6.0, "{fleet:?} {brownout:?}");

        // So small a backend is at times late by chance, so it is the middle of five that is asked.
        let mut spikes: Vec<Figures> = (1..=5)
            .map(|seed| figures(&Scenario::spike(fleet), &[Contender::adaptive()], seed).remove(0))
            .collect();
        assert!(spikes.iter().all(|spike| spike.goodput_in_fault >= Some(0.35)), "{fleet:?} {spikes:?}");
        assert!(spikes.iter().all(|spike| spike.recovery.seconds().is_some_and(|after| after <= 8.0)));
        spikes.sort_by(|a, b| a.goodput_after.partial_cmp(&b.goodput_after).unwrap());
        assert!(spikes[2].goodput_after >= Some(0.99), "{fleet:?} {spikes:?}");
    }
}
