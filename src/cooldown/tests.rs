use super::*;
use crate::time;

const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_millis(100);

fn cooldown(burst: u32) -> Cooldown {
    Cooldown::builder().burst(burst).build().unwrap()
}

fn at(now: Instant) -> Now {
    Now::from(now)
}

/// Waits for its turn as a call would, and says when it left.
async fn leave(cooldown: &Cooldown, first: bool) -> Result<Instant, CoolingDown> {
    let mut turn = cooldown.ask(first, &Now::unread())?;
    while let Some(waits) = turn {
        time::sleep_until(waits.at()).await;
        turn = waits.leave(&Now::unread());
    }
    Ok(time::now())
}

fn most_in_a_window(left: &mut [Instant]) -> usize {
    left.sort();
    let from_each =
        left.iter().map(|from| left.iter().filter(|at| (*from..*from + WINDOW).contains(at)).count());
    from_each.max().unwrap_or(0)
}

#[test]
fn without_a_hint_the_clock_is_not_read() {
    let cooldown = cooldown(10);
    let now = Now::unread();
    assert!(cooldown.ask(true, &now).unwrap().is_none());
    assert!(format!("{now:?}").contains("None"), "{now:?}");
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let refused = |builder: CooldownBuilder| builder.build().unwrap_err().setting;
    assert_eq!(refused(Cooldown::builder().burst(0)), "burst");
    assert_eq!(refused(Cooldown::builder().max(Duration::ZERO)), "max");
    assert!(Cooldown::try_from(Cooldown::builder().burst(u32::MAX).max(Duration::MAX)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn r10_one_hint_holds_all_twenty_back_and_lets_them_go_in_bursts() {
    for burst in [1, 3, 10, 1000] {
        let cooldown = cooldown(burst);
        let start = time::now();
        let tasks: Vec<_> = (0..20_u32)
            .map(|task| {
                let cooldown = cooldown.clone();
                tokio::spawn(async move {
                    // All are in flight; the first is told to come back in 5 s, the others fail a little later.
                    time::sleep_until(start + Duration::from_millis(10) * task).await;
                    if task == 0 {
                        cooldown.learn(5 * SECOND, time::now());
                    }
                    leave(&cooldown, task % 2 == 0).await.unwrap()
                })
            })
            .collect();
        let mut left = Vec::new();
        for task in tasks {
            left.push(task.await.unwrap());
        }
        assert_eq!(
            left.iter().min(),
            Some(&(start + 5 * SECOND)),
            "nobody before, and nobody late for nothing"
        );
        let most = most_in_a_window(&mut left);
        assert!(most <= burst as usize, "{most} in a window, of {burst}");
        assert!(most >= burst.min(20) as usize, "the burst is used: {most} of {burst}");
    }
}

#[tokio::test(start_paused = true)]
async fn further_hints_move_the_end_for_those_who_wait_already() {
    let cooldown = cooldown(2);
    let start = time::now();
    let tasks: Vec<_> = (0..20_u32)
        .map(|task| {
            let cooldown = cooldown.clone();
            tokio::spawn(async move {
                // Everyone is told 5 s, one after the other within a second.
                time::sleep_until(start + Duration::from_millis(50) * task).await;
                cooldown.learn(5 * SECOND, time::now());
                leave(&cooldown, false).await.unwrap()
            })
        })
        .collect();
    let mut left = Vec::new();
    for task in tasks {
        left.push(task.await.unwrap());
    }
    let end = start + Duration::from_millis(50) * 19 + 5 * SECOND;
    assert!(left.iter().all(|left| *left >= end), "{:?}", left.iter().min().map(|left| *left - start));
    assert!(most_in_a_window(&mut left) <= 2);
}

#[test]
fn end_moves_further_only_and_no_further_than_the_cap() {
    let cooldown = Cooldown::builder().max(10 * SECOND).build().unwrap();
    let start = time::now();
    cooldown.learn(Duration::ZERO, start);
    assert_eq!(cooldown.until(), None);
    cooldown.learn(3 * SECOND, start);
    cooldown.learn(SECOND, start);
    assert_eq!(cooldown.until(), Some(start + 3 * SECOND));
    cooldown.learn(Duration::MAX, start);
    assert_eq!(cooldown.until(), Some(start + 10 * SECOND));
    let unlimited = Cooldown::builder().max(Duration::MAX).build().unwrap();
    unlimited.learn(Duration::MAX, start);
    assert!(unlimited.ask(false, &at(start)).unwrap().is_some());
}

#[test]
fn server_that_asks_for_a_day_gets_five_minutes_unless_told_otherwise() {
    let start = time::now();
    let cooldown = Cooldown::builder().build().unwrap();
    cooldown.learn(Duration::from_secs(24 * 3600), start);
    assert_eq!(cooldown.until(), Some(start + 300 * SECOND));
}

#[test]
fn fail_fast_refuses_first_attempts_and_lets_retries_wait() {
    let cooldown = Cooldown::builder().first_attempts(FirstAttempts::FailFast).build().unwrap();
    let start = time::now();
    cooldown.learn(SECOND, start);
    let refused = cooldown.ask(true, &at(start)).unwrap_err();
    assert_eq!(refused.until, start + SECOND);
    assert_eq!(refused.to_string(), "dependency is cooling down");
    let turn = cooldown.ask(false, &at(start)).unwrap().unwrap();
    assert_eq!(turn.at(), start + SECOND, "a refusal took no turn");
    let refused = cooldown.ask(true, &at(start)).unwrap_err();
    assert_eq!(refused.until, turn.at() + WINDOW / 10);
    assert!(
        cooldown.ask(true, &at(refused.until)).unwrap().is_none(),
        "it is let in at the moment it was told"
    );
}

#[test]
fn turn_asked_too_early_stays_as_it_is() {
    let cooldown = cooldown(10);
    let start = time::now();
    cooldown.learn(SECOND, start);
    let turn = cooldown.ask(false, &at(start)).unwrap().unwrap();
    let turn = turn.leave(&at(start)).unwrap();
    assert_eq!(turn.at(), start + SECOND);
    assert!(turn.leave(&at(start + SECOND)).is_none());
}

#[test]
fn callers_right_after_the_end_are_paced_too() {
    let cooldown = cooldown(10);
    let start = time::now();
    cooldown.learn(SECOND, start);
    let end = start + SECOND;
    assert!(cooldown.ask(true, &at(end)).unwrap().is_none());
    let next = cooldown.ask(true, &at(end)).unwrap().unwrap();
    assert_eq!(next.at(), end + WINDOW / 10);
}

#[test]
fn dropped_turns_are_handed_out_again() {
    let cooldown = cooldown(10);
    let start = time::now();
    cooldown.learn(SECOND, start);
    let ask = || cooldown.ask(false, &at(start)).unwrap().unwrap();
    let mut turns: Vec<_> = (0..10).map(|_| ask()).collect();
    let third = turns.remove(3);
    let freed = third.at();
    drop(third);
    let again = ask();
    assert_eq!(again.at(), freed);
    assert!(ask().at() > turns[8].at(), "and only once");
    drop((turns, again));
    // Ten thousand who give up do not push the next one back.
    for _ in 0..10_000 {
        drop(ask());
    }
    let crowd: Vec<_> = (0..10_000).map(|_| ask()).collect();
    drop(crowd);
    assert_eq!(ask().at(), start + SECOND);
}

#[test]
fn pace_is_let_go_a_second_after_the_last_who_waited() {
    let cooldown = cooldown(10);
    let start = time::now();
    cooldown.learn(SECOND, start);
    let turn = cooldown.ask(false, &at(start)).unwrap().unwrap();
    let left = turn.at();
    assert!(turn.leave(&at(left)).is_none());
    assert!(cooldown.until().is_some());
    let over = left + WINDOW / 10 + SECOND;
    assert!(cooldown.ask(true, &at(over)).unwrap().is_none());
    assert_eq!(cooldown.until(), None, "the first who comes ends it");
    for _ in 0..1_000 {
        assert!(cooldown.ask(true, &at(over)).unwrap().is_none());
    }
}

#[test]
fn pace_is_not_let_go_while_somebody_waits_for_a_turn() {
    let cooldown = cooldown(10);
    let start = time::now();
    cooldown.learn(SECOND, start);
    let end = start + SECOND;
    let crowd: Vec<_> = (0..500).filter_map(|_| cooldown.ask(false, &at(end)).unwrap()).collect();
    let last = crowd.last().unwrap().at();
    let later = end + 2 * SECOND;
    assert!(last > later, "they are not all through by then");
    assert!(cooldown.ask(false, &at(later)).unwrap().unwrap().at() > last, "nobody passes them");
}

#[test]
fn crowd_that_comes_at_the_end_has_not_waited_and_quickens_after_a_second() {
    let cooldown = cooldown(10);
    let start = time::now();
    cooldown.learn(SECOND, start);
    let end = start + SECOND;
    let crowd: Vec<_> = (0..=120).filter_map(|_| cooldown.ask(false, &at(end)).unwrap()).collect();
    assert_eq!(crowd[99].at(), end + SECOND);
    assert_eq!(crowd[119].at(), end + SECOND + 20 * WINDOW / 20);
}

#[test]
fn steady_demand_above_the_pace_is_not_held_back_for_good() {
    let cooldown = cooldown(10);
    let start = time::now();
    cooldown.learn(SECOND, start);
    // 1,000 a second, ten times the pace, from the end of the pause on.
    let mut turns = Vec::new();
    for nth in 0..60_000 {
        let now = start + SECOND + Duration::from_millis(1) * nth;
        turns.extend(cooldown.ask(false, &at(now)).unwrap());
        turns.retain(|turn| turn.at() > now);
    }
    assert_eq!(cooldown.until(), None, "{} still wait", turns.len());
    assert!(turns.is_empty());
}

#[tokio::test(start_paused = true)]
async fn crowd_that_waited_keeps_the_pace_to_its_end() {
    let cooldown = cooldown(10);
    cooldown.learn(SECOND, time::now());
    let waits: Vec<_> = (0..500).map(|_| leave(&cooldown, false)).collect();
    let start = time::now();
    let mut left: Vec<_> = futures::future::join_all(waits).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(most_in_a_window(&mut left), 10);
    assert_eq!(time::now() - start, SECOND + 499 * WINDOW / 10);
}
