//! The words in which a filter is written down.

use serde::{Deserialize, Serialize};

use super::unreadable::Unreadable;
use super::written::{WrittenMoment, category, reason};
use crate::dead_letter::{LetterFilter, LetterId, LetterState};

/// Which letters are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WrittenFilter {
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    up_to: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    died_since: Option<WrittenMoment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    died_before: Option<WrittenMoment>,
    /// `ready`, `leased`, `quarantined` or `any`; without it, all but quarantined.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

impl WrittenFilter {
    pub(crate) fn of(filter: &LetterFilter) -> Self {
        let means = [LetterState::Ready, LetterState::Leased, LetterState::Quarantined]
            .map(|state| filter.means(state));
        let state = match means {
            [true, true, false] => None,
            [true, false, false] => Some("ready"),
            [false, true, false] => Some("leased"),
            [false, false, true] => Some("quarantined"),
            _ => Some("any"),
        };
        Self {
            destination: filter.destination.clone(),
            operation: filter.operation.clone(),
            category: filter.category.map(|category| category.name().to_owned()),
            reason: filter.reason.map(|reason| reason.name().to_owned()),
            idempotency_key: filter.idempotency_key.clone(),
            tenant: filter.tenant.clone(),
            correlation_id: filter.correlation_id.clone(),
            fingerprint: filter.fingerprint.map(|fingerprint| fingerprint.to_string()),
            id: filter.id.map(LetterId::get),
            after: filter.after.map(LetterId::get),
            up_to: filter.up_to.map(LetterId::get),
            died_since: filter.died_since.map(WrittenMoment::of),
            died_before: filter.died_before.map(WrittenMoment::of),
            state: state.map(str::to_owned),
        }
    }

    /// The filter that was written down.
    ///
    /// # Errors
    ///
    /// It names a category, a reason, a state or a fingerprint that there is not. Without it, the filter would
    /// mean more letters than was said.
    pub(crate) fn read(self) -> Result<LetterFilter, Unreadable> {
        let fingerprint = self
            .fingerprint
            .map(|text| text.parse().map_err(|_| Unreadable(format!("`{text}` is no fingerprint"))));
        let mut filter = LetterFilter::new();
        filter = match self.state.as_deref() {
            None => filter,
            Some("any") => filter.any_state(),
            Some("ready") => filter.state(LetterState::Ready),
            Some("leased") => filter.state(LetterState::Leased),
            Some("quarantined") => filter.state(LetterState::Quarantined),
            Some(other) => return Err(Unreadable(format!("`{other}` is no state"))),
        };
        filter.destination = self.destination;
        filter.operation = self.operation;
        filter.category = self.category.as_deref().map(category).transpose()?;
        filter.reason = self.reason.as_deref().map(reason).transpose()?;
        filter.idempotency_key = self.idempotency_key;
        filter.tenant = self.tenant;
        filter.correlation_id = self.correlation_id;
        filter.fingerprint = fingerprint.transpose()?;
        filter.id = self.id.map(LetterId::new);
        filter.after = self.after.map(LetterId::new);
        filter.up_to = self.up_to.map(LetterId::new);
        filter.died_since = self.died_since.map(WrittenMoment::get);
        filter.died_before = self.died_before.map(WrittenMoment::get);
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classification::Category;
    use crate::dead_letter::{DeadReason, Fingerprint};

    #[test]
    fn filter_comes_back_as_it_was_whatever_it_says_of_states() {
        let some = LetterFilter::new()
            .destination("d")
            .operation("o")
            .category(Category::Timeout)
            .reason(DeadReason::Deadline)
            .idempotency_key("k")
            .tenant("t")
            .correlation_id("c")
            .fingerprint(Fingerprint::new(7))
            .after(LetterId::new(1))
            .up_to(LetterId::new(9))
            .older_than(std::time::Duration::from_secs(60));
        let states = [LetterState::Ready, LetterState::Leased, LetterState::Quarantined];
        let mut all = vec![LetterFilter::new(), some.clone(), some.clone().any_state()];
        all.extend(states.map(|state| some.clone().state(state)));
        for filter in all {
            assert_eq!(WrittenFilter::of(&filter).read(), Ok(filter));
        }
    }
}
