//! What the pipeline sends.

use recoup::Payload;
use serde_json::json;

/// How many there are.
pub(crate) const EVENTS: u32 = 240;

/// The email service dies before this one.
pub(crate) const DEATH: u32 = EVENTS / 4;

/// This one was written down by a release that put numbers into quotes. Only the warehouse minds.
pub(crate) const POISON: u32 = 99;

/// Somebody bought something.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// The same for each attempt to deliver it, now or in a redrive: who takes it twice can know.
    pub(crate) key: String,
    pub(crate) json: String,
}

impl Event {
    pub(crate) fn new(number: u32) -> Self {
        let amount = if number == POISON { json!("12.50") } else { json!(12.5) };
        let json = json!({ "event": number, "user": number % 17, "amount": amount });
        Self { key: format!("event-{number:04}"), json: json.to_string() }
    }

    pub(crate) fn payload(&self) -> Payload {
        Payload::json(self.json.clone())
    }
}

/// What the operator does to a poisoned event: the number is a number again.
pub(crate) fn mended(json: &[u8]) -> Option<Payload> {
    let mut event: serde_json::Value = serde_json::from_slice(json).ok()?;
    let amount: f64 = event.get("amount")?.as_str()?.parse().ok()?;
    *event.get_mut("amount")? = json!(amount);
    Some(Payload::json(event.to_string()))
}
