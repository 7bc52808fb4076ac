//! What was done by hand, as text.

use serde::{Deserialize, Serialize};

use super::damaged::Damaged;
use super::filter::WrittenFilter;
use super::written::WrittenMoment;
use crate::dead_letter::{Act, ByHand, Deed};

/// What was done by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct WrittenAct {
    at: WrittenMoment,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    deed: String,
    filter: WrittenFilter,
    letters: u64,
}

/// An act as JSON.
pub(crate) fn act(act: &Act) -> Vec<u8> {
    let written = WrittenAct {
        at: WrittenMoment::of(act.at),
        who: act.by.who.clone(),
        why: act.by.why.clone(),
        deed: act.deed.name().to_owned(),
        filter: WrittenFilter::of(&act.filter),
        letters: act.letters,
    };
    // Strings, numbers and lists of them: there is nothing in it that JSON cannot say.
    serde_json::to_vec(&written).unwrap_or_default()
}

/// The act that was written down.
///
/// # Errors
///
/// It is no JSON, or names what there is not.
pub(crate) fn read_act(json: &[u8]) -> Result<Act, Damaged> {
    let written: WrittenAct =
        serde_json::from_slice(json).map_err(|error| Damaged::Unreadable(error.to_string()))?;
    let deed = Deed::ALL.into_iter().find(|deed| deed.name() == written.deed);
    let deed = deed.ok_or_else(|| Damaged::Unreadable(format!("`{}` is no deed", written.deed)))?;
    let mut by = ByHand::default();
    (by.who, by.why) = (written.who, written.why);
    Ok(Act::new(written.at.get(), by, deed, written.filter.read()?, written.letters))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::dead_letter::LetterFilter;

    #[test]
    fn act_comes_back_as_it_was() {
        for deed in Deed::ALL {
            let filter = LetterFilter::new().destination("payments").any_state();
            let by = ByHand::of("ana").because("fixed");
            let done = Act::new(SystemTime::UNIX_EPOCH, by, deed, filter, 7);
            assert_eq!(read_act(&act(&done)), Ok(done));
        }
        assert!(read_act(b"{}").is_err());
    }
}
