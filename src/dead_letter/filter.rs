//! Which letters are meant.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use crate::classification::Category;
use crate::dead_letter::fingerprint::Fingerprint;
use crate::dead_letter::letter::{DeadLetter, LetterId, LetterState};
use crate::dead_letter::reason::DeadReason;
use crate::time;

/// Which letters are meant: those to which everything applies that was set.
///
/// A new filter means every letter that is not quarantined.
///
/// ```
/// use recoup::{Category, DeadLetter, DeadReason, LetterFilter};
///
/// let timeouts = LetterFilter::new().destination("payments").category(Category::Timeout);
/// let letter = DeadLetter::new("charge").destination("payments").category(Category::Timeout);
/// assert!(timeouts.matches(&letter));
/// assert!(!timeouts.reason(DeadReason::Deadline).matches(&letter));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    pub(crate) destination: Option<String>,
    pub(crate) operation: Option<String>,
    pub(crate) category: Option<Category>,
    pub(crate) reason: Option<DeadReason>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) correlation_id: Option<String>,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) id: Option<LetterId>,
    pub(crate) after: Option<LetterId>,
    pub(crate) up_to: Option<LetterId>,
    pub(crate) died_since: Option<SystemTime>,
    pub(crate) died_before: Option<SystemTime>,
    states: States,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum States {
    #[default]
    NotQuarantined,
    Any,
    Only(LetterState),
}

impl LetterFilter {
    /// Means every letter that is not quarantined.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only letters to exactly this destination.
    #[must_use]
    pub fn destination(mut self, destination: impl Into<String>) -> Self {
        self.destination = Some(destination.into());
        self
    }

    /// Only letters of exactly this operation.
    #[must_use]
    pub fn operation(mut self, operation: impl Into<String>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// Only letters whose error is of this category.
    #[must_use]
    pub const fn category(mut self, category: Category) -> Self {
        self.category = Some(category);
        self
    }

    /// Only letters that died for this reason.
    #[must_use]
    pub const fn reason(mut self, reason: DeadReason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Only letters with exactly this idempotency key.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Only letters of exactly this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Only letters with exactly this correlation id: those of one batch, or of one request.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// Only letters that died of the same thing: one [group](crate::LetterGroup).
    #[must_use]
    pub const fn fingerprint(mut self, fingerprint: Fingerprint) -> Self {
        self.fingerprint = Some(fingerprint);
        self
    }

    /// Only this letter. It still has to be in a state that is meant.
    #[must_use]
    pub const fn id(mut self, id: LetterId) -> Self {
        self.id = Some(id);
        self
    }

    /// Only letters with a greater number: the next page after this letter.
    #[must_use]
    pub const fn after(mut self, id: LetterId) -> Self {
        self.after = Some(id);
        self
    }

    /// Only letters with this number or a smaller one: none that comes in later.
    #[must_use]
    pub const fn up_to(mut self, id: LetterId) -> Self {
        self.up_to = Some(id);
        self
    }

    /// Only letters that died at this moment of the wall clock or later.
    #[must_use]
    pub const fn died_since(mut self, moment: SystemTime) -> Self {
        self.died_since = Some(moment);
        self
    }

    /// Only letters that died before this moment of the wall clock.
    #[must_use]
    pub const fn died_before(mut self, moment: SystemTime) -> Self {
        self.died_before = Some(moment);
        self
    }

    /// Only letters that have been dead for longer than `age`, seen from now: the moment is fixed by this
    /// call, so that a filter used again means the same letters. Replaces [`died_before`](Self::died_before).
    #[must_use]
    pub fn older_than(mut self, age: Duration) -> Self {
        // An age beyond the clock's beginning means that no letter is old enough.
        self.died_before = Some(ago(age).unwrap_or(SystemTime::UNIX_EPOCH));
        self
    }

    /// Only letters that have been dead for at most `age`, seen from now, as with
    /// [`older_than`](Self::older_than). Replaces [`died_since`](Self::died_since).
    #[must_use]
    pub fn younger_than(mut self, age: Duration) -> Self {
        self.died_since = ago(age);
        self
    }

    /// Letters in any state, quarantined ones too.
    #[must_use]
    pub const fn any_state(mut self) -> Self {
        self.states = States::Any;
        self
    }

    /// Only letters in this state.
    #[must_use]
    pub const fn state(mut self, state: LetterState) -> Self {
        self.states = States::Only(state);
        self
    }

    /// Whether this letter is meant.
    #[must_use]
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        fn same<T: PartialEq + ?Sized>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        self.means(letter.state)
            && self.ids().is_some_and(|ids| ids.contains(&letter.id))
            && same(self.category.as_ref(), letter.category.as_ref())
            && same(self.reason.as_ref(), Some(&letter.reason))
            && self.died_since.is_none_or(|since| letter.died_at >= since)
            && self.died_before.is_none_or(|before| letter.died_at < before)
            && same(self.operation.as_deref(), Some(&letter.operation))
            && same(self.destination.as_deref(), letter.destination.as_deref())
            && same(self.idempotency_key.as_deref(), letter.idempotency_key.as_deref())
            && same(self.tenant.as_deref(), letter.tenant.as_deref())
            && same(self.correlation_id.as_deref(), letter.correlation_id.as_deref())
            && self.fingerprint.is_none_or(|wanted| wanted == letter.fingerprint())
    }

    /// Whether letters in this state can be meant.
    #[must_use]
    pub fn means(&self, state: LetterState) -> bool {
        match self.states {
            States::NotQuarantined => state != LetterState::Quarantined,
            States::Any => true,
            States::Only(only) => state == only,
        }
    }

    /// The numbers that can be meant, so that a queue need not look at others. `None` if no number can.
    #[must_use]
    pub fn ids(&self) -> Option<RangeInclusive<LetterId>> {
        let after = match self.after {
            Some(id) => id.get().checked_add(1)?,
            None => 0,
        };
        let up_to = self.up_to.map_or(u64::MAX, LetterId::get);
        let (from, to) = match self.id {
            Some(id) => (after.max(id.get()), up_to.min(id.get())),
            None => (after, up_to),
        };
        (from <= to).then(|| LetterId::new(from)..=LetterId::new(to))
    }
}

/// In words, as an audit shows it. Moments are seconds since 1970.
///
/// ```
/// use recoup::{Category, LetterFilter, LetterId};
///
/// let timeouts = LetterFilter::new().destination("payments").category(Category::Timeout);
/// assert_eq!(timeouts.to_string(), "destination payments, category timeout");
/// assert_eq!(LetterFilter::new().to_string(), "not quarantined");
/// assert_eq!(LetterFilter::new().any_state().id(LetterId::new(7)).to_string(), "id 7, any state");
/// ```
impl fmt::Display for LetterFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |at: SystemTime| match at.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => since.as_secs().to_string(),
            Err(before) => format!("-{}", before.duration().as_secs()),
        };
        let said = [
            ("destination", self.destination.clone()),
            ("operation", self.operation.clone()),
            ("category", self.category.map(|it| it.name().to_owned())),
            ("reason", self.reason.map(|it| it.name().to_owned())),
            ("key", self.idempotency_key.clone()),
            ("tenant", self.tenant.clone()),
            ("correlation", self.correlation_id.clone()),
            ("fingerprint", self.fingerprint.map(|it| it.to_string())),
            ("id", self.id.map(|it| it.to_string())),
            ("after", self.after.map(|it| it.to_string())),
            ("up to", self.up_to.map(|it| it.to_string())),
            ("since", self.died_since.map(seconds)),
            ("before", self.died_before.map(seconds)),
        ];
        let mut words: Vec<String> = said
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| format!("{name} {value}")))
            .collect();
        let state = match self.states {
            States::NotQuarantined if words.is_empty() => Some("not quarantined"),
            States::NotQuarantined => None,
            States::Any => Some("any state"),
            States::Only(LetterState::Ready) => Some("ready"),
            States::Only(LetterState::Leased) => Some("leased"),
            States::Only(LetterState::Quarantined) => Some("quarantined"),
        };
        words.extend(state.map(str::to_owned));
        f.write_str(&words.join(", "))
    }
}

/// The moment `age` before now, unless the clock does not go back that far.
fn ago(age: Duration) -> Option<SystemTime> {
    time::wall(time::now()).checked_sub(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn letter() -> DeadLetter {
        let mut letter = DeadLetter::new("charge")
            .destination("payments")
            .category(Category::Timeout)
            .reason(DeadReason::Exhausted)
            .idempotency_key("order-7")
            .died_at(at(100));
        letter.id = LetterId::new(5);
        letter
    }

    #[test]
    fn new_filter_means_everything_that_is_not_quarantined() {
        for (state, meant) in
            [(LetterState::Ready, true), (LetterState::Leased, true), (LetterState::Quarantined, false)]
        {
            let mut letter = letter();
            letter.state = state;
            assert_eq!(LetterFilter::new().matches(&letter), meant, "{state:?}");
            assert!(LetterFilter::new().any_state().matches(&letter));
            assert!(LetterFilter::new().state(state).matches(&letter));
        }
        assert!(!LetterFilter::new().state(LetterState::Quarantined).matches(&letter()));
        assert!(LetterFilter::new().matches(&DeadLetter::new("never stored")));
    }

    #[test]
    fn each_setting_lets_its_own_through_and_no_other() {
        let new = LetterFilter::new;
        let id = LetterId::new;
        let yes_and_no = [
            (new().destination("payments"), new().destination("payment")),
            (new().operation("charge"), new().operation("refund")),
            (new().category(Category::Timeout), new().category(Category::Network)),
            (new().reason(DeadReason::Exhausted), new().reason(DeadReason::Permanent)),
            (new().idempotency_key("order-7"), new().idempotency_key("order-8")),
            (new().id(id(5)), new().id(id(6))),
            (new().after(id(4)), new().after(id(5))),
            (new().up_to(id(5)), new().up_to(id(4))),
            (new().died_since(at(100)), new().died_since(at(101))),
            (new().died_before(at(101)), new().died_before(at(100))),
            (new().older_than(Duration::from_secs(3600)), new().younger_than(Duration::from_secs(3600))),
            (new().younger_than(Duration::MAX), new().older_than(Duration::MAX)),
        ];
        for (yes, no) in yes_and_no {
            assert!(yes.matches(&letter()), "{yes:?}");
            assert!(!no.matches(&letter()), "{no:?}");
        }
    }

    #[test]
    fn letter_without_the_field_is_not_meant_by_it() {
        let bare = DeadLetter::new("charge");
        assert!(!LetterFilter::new().destination("").matches(&bare));
        assert!(!LetterFilter::new().category(Category::Unknown).matches(&bare));
    }

    #[test]
    fn numbers_that_contradict_each_other_mean_none() {
        let id = LetterId::new;
        assert_eq!(LetterFilter::new().id(id(3)).after(id(3)).ids(), None);
        assert_eq!(LetterFilter::new().after(id(u64::MAX)).ids(), None);
        assert_eq!(LetterFilter::new().after(id(3)).up_to(id(4)).ids(), Some(id(4)..=id(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn age_is_fixed_when_it_is_set() {
        let hour = Duration::from_secs(3600);
        let young = DeadLetter::new("op");
        let old = LetterFilter::new().older_than(hour);
        tokio::time::advance(2 * hour).await;
        assert!(!old.matches(&young));
        assert!(LetterFilter::new().older_than(hour).matches(&young));
        assert!(LetterFilter::new().younger_than(3 * hour).matches(&young));
    }
}
