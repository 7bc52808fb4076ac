//! Which letters are meant, in what order, and how they are grouped.

use crate::classification::Category;
use crate::dead_letter::{
    DeadLetter, DeadReason, ErrorFrame, LetterFilter, LetterId, LetterState, Settlement,
};
use crate::testing::conformance::world::{
    ALL, Bed, LEASE, Proof, World, any, at, by, holds, id, ids_of, letter, nth, same, says,
};

/// Letters that differ in everything that a filter can ask for, in each state.
async fn mixed(bed: &Bed<'_>) -> Proof<Vec<DeadLetter>> {
    let categories = [None, Some(Category::Timeout), Some(Category::Network)];
    let reasons = [DeadReason::ByHand, DeadReason::Exhausted, DeadReason::Deadline];
    for number in 0..54_usize {
        let name = |every: usize| format!("n{}", number / every % 3);
        let mut one = DeadLetter::new(name(1))
            .reason(reasons[number / 2 % 3])
            .died_at(at(u64::try_from(number * 7 % 20).unwrap_or(0)))
            .error(says(["refused", "no answer after 3 s"][number % 2]));
        one.category = categories[number / 3 % 3];
        one.destination = (number % 4 > 0).then(|| name(9));
        one.tenant = (number % 7 > 1).then(|| name(5));
        one.idempotency_key = (number % 7 > 0).then(|| name(4));
        bed.put(one).await?;
    }
    bed.quarantine(&any().tenant("n1"), &by()).await?;
    bed.lease(&LetterFilter::new().tenant("n2"), ALL, LEASE * 1000).await?;
    bed.all().await
}

/// A filter for each thing that can be asked for, with the names that the letters have.
fn criteria(held: &[DeadLetter]) -> Vec<LetterFilter> {
    let (new, number) = (LetterFilter::new, |nth: usize| held.get(nth).map_or(id(1), |letter| letter.id));
    vec![
        new(),
        any(),
        new().state(LetterState::Ready),
        new().state(LetterState::Leased),
        new().state(LetterState::Quarantined),
        any().operation("n1"),
        any().destination("n2"),
        any().destination(""),
        any().category(Category::Timeout),
        any().reason(DeadReason::Exhausted),
        any().idempotency_key("n0"),
        any().tenant("n1"),
        any().correlation_id("n1"),
        any().correlation_id("request-1"),
        any().fingerprint(held.first().map_or_else(|| letter().fingerprint(), DeadLetter::fingerprint)),
        any().id(number(20)),
        any().after(number(30)),
        any().up_to(number(10)),
        any().after(number(10)).up_to(number(12)),
        any().died_since(at(12)),
        any().died_before(at(12)),
        any().died_since(at(5)).died_before(at(6)),
    ]
}

/// What the queue must find: what [`LetterFilter::matches`] says of all letters.
fn meant(held: &[DeadLetter], filter: &LetterFilter) -> Vec<LetterId> {
    held.iter().filter(|letter| filter.matches(letter)).map(|letter| letter.id).collect()
}

pub(super) async fn filter_finds_what_it_means_by_each_criterion(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let held = mixed(&bed).await?;
    same("letters", held.len(), 54)?;
    for filter in criteria(&held) {
        let found = bed.peek(&filter, ALL).await?;
        same(format!("{filter:?}"), ids_of(&found), meant(&held, &filter))?;
        holds(format!("{filter:?} gives the letters that are held"), {
            found.iter().all(|letter| held.contains(letter))
        })?;
    }
    Ok(())
}

pub(super) async fn filter_criteria_hold_together(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let held = mixed(&bed).await?;
    let mut several = 0;
    for state in [LetterState::Ready, LetterState::Quarantined] {
        for destination in ["n0", "n1", "n2"] {
            for category in [Category::Timeout, Category::Network] {
                let filter = LetterFilter::new()
                    .state(state)
                    .destination(destination)
                    .category(category)
                    .died_since(at(3))
                    .after(id(2));
                let expected = meant(&held, &filter);
                several += expected.len();
                same(format!("{filter:?}"), ids_of(&bed.peek(&filter, ALL).await?), expected)?;
            }
        }
    }
    holds("some letters are meant by these", several > 0)
}

pub(super) async fn filter_of_an_action_spares_all_others(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    let held = mixed(&bed).await?;
    let filter = any().operation("n1");
    let of = |state| meant(&held, &filter.clone().state(state)).len() as u64;
    let (ready, leased, aside) =
        (of(LetterState::Ready), of(LetterState::Leased), of(LetterState::Quarantined));
    holds("each state is meant", ready > 0 && leased > 0 && aside > 0)?;
    same("reinstated", bed.reinstate(&filter, &by()).await?, aside)?;
    let given = bed.lease(&filter, 2, LEASE).await?;
    holds("the leased are meant", given.iter().all(|leased| leased.letter.operation == "n1"))?;
    same("leased", given.len(), 2)?;
    same("quarantined", bed.quarantine(&filter, &by()).await?, ready + aside - 2)?;
    same("removed", bed.discard(&filter, &by()).await?, ready + leased + aside)?;
    let left: Vec<_> = held.iter().filter(|letter| letter.operation != "n1").cloned().collect();
    same("the others, untouched", bed.all().await?, left)?;
    bed.counts().await.map(drop)
}

pub(super) async fn filter_that_means_nothing_does_nothing(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    for number in 0..3 {
        bed.put(nth(number)).await?;
    }
    let before = (bed.all().await?, bed.counts().await?);
    let last = before.0.last().map_or(id(1), |letter| letter.id);
    for filter in [
        any().destination("nowhere"),
        any().id(id(last.get() + 1)),
        any().after(last),
        any().after(id(u64::MAX)),
        any().up_to(id(0)),
        any().after(last).up_to(id(1)),
        LetterFilter::new().state(LetterState::Quarantined),
    ] {
        same(format!("found by {filter:?}"), bed.peek(&filter, ALL).await?.len(), 0)?;
        same(format!("leased by {filter:?}"), bed.lease(&filter, ALL, LEASE).await?.len(), 0)?;
        same(format!("quarantined by {filter:?}"), bed.quarantine(&filter, &by()).await?, 0)?;
        same(format!("removed by {filter:?}"), bed.discard(&filter, &by()).await?, 0)?;
        same(format!("groups of {filter:?}"), bed.groups(&filter, ALL).await?.len(), 0)?;
    }
    same("what is held", (bed.all().await?, bed.counts().await?), before)
}

pub(super) async fn peek_pages_in_order_of_id(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    for number in 0..25 {
        // The order of their deaths is another.
        bed.put(nth(number).died_at(at(100 - number))).await?;
    }
    let (mut seen, mut filter, mut pages) = (Vec::new(), any(), 0);
    loop {
        let page = bed.peek(&filter, 10).await?;
        let Some(last) = page.last() else { break };
        holds("no page is longer than its limit", page.len() <= 10)?;
        filter = filter.after(last.id);
        seen.extend(page);
        pages += 1;
        holds("the pages come to an end", pages < 10)?;
    }
    same("pages", pages, 3)?;
    let keys: Vec<_> = seen.iter().filter_map(|letter| letter.idempotency_key.clone()).collect();
    same("the order", keys, (0..25).map(|number| format!("key-{number}")).collect())?;
    same("a limit of zero", bed.peek(&any(), 0).await?.len(), 0)?;
    same("what looking changed", seen, bed.all().await?)
}

pub(super) async fn groups_are_counted_and_the_largest_come_first(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    for number in 0..300_u64 {
        let text = if number % 3 == 0 { "refused" } else { "timed out" };
        let error = says(&format!("order {number} {text}"));
        bed.put(letter().error(error).died_at(at(number * 7 % 300))).await?;
    }
    let coded = [ErrorFrame::new("refused").code("E1")].into_iter().collect();
    bed.put(letter().error(coded).destination("b")).await?;
    let held = bed.all().await?;
    let groups = bed.groups(&LetterFilter::new(), ALL).await?;
    let counts: Vec<_> = groups.iter().map(|group| group.letters).collect();
    same("letters in each group", counts, vec![200, 100, 1])?;
    for group in &groups {
        let of: Vec<_> = held.iter().filter(|letter| letter.fingerprint() == group.fingerprint).collect();
        let deaths = || of.iter().map(|letter| letter.died_at);
        let expected = (of.len() as u64, deaths().min(), deaths().max(), of.last().map(|letter| letter.id));
        let found = (group.letters, Some(group.first), Some(group.last), Some(group.sample.id));
        same("letters, first, last, sample", found, expected)?;
        let filter = LetterFilter::new().fingerprint(group.fingerprint);
        same("found by fingerprint", bed.peek(&filter, ALL).await?.len(), of.len())?;
    }
    same("the two largest", bed.groups(&LetterFilter::new(), 2).await?, groups[..2].to_vec())?;
    same("none", bed.groups(&LetterFilter::new(), 0).await?.len(), 0)?;
    let to_b = bed.groups(&LetterFilter::new().destination("b"), ALL).await?;
    same("of a filter", to_b, groups[2..].to_vec())
}

pub(super) async fn groups_follow_what_redrives_tell(world: &World<'_>) -> Proof {
    let bed = world.queue().await;
    bed.put(letter().error(says("refused"))).await?;
    let before = bed.only().await?.fingerprint();
    let token = bed.lease_one().await?.token;
    let failed = crate::dead_letter::Failed::default().error(says("timed out"));
    bed.settle(token, Settlement::redrive_failed(failed)).await?;
    let after = bed.only().await?.fingerprint();
    holds("another error is another group", before != after)?;
    same("found by the old one", bed.peek(&any().fingerprint(before), ALL).await?.len(), 0)?;
    same("found by the new one", bed.peek(&any().fingerprint(after), ALL).await?.len(), 1)?;
    let groups = bed.groups(&any(), ALL).await?;
    same("the groups", groups.iter().map(|group| group.fingerprint).collect(), vec![after])
}
