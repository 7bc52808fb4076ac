//! What the errors of some providers say in their bodies.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::classification::{Category, Classification};

/// A family of APIs whose error bodies are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    Anthropic,
    OpenAi,
}

impl Provider {
    /// Whether the body could change the answer.
    pub(super) fn wants_body(self, status: StatusCode, server_says_when: bool) -> bool {
        match (self, status.as_u16()) {
            (Self::Anthropic, 400 | 402) | (Self::OpenAi, 402 | 403 | 429) => true,
            (Self::Anthropic, 429) => !server_says_when,
            _ => false,
        }
    }

    /// What the body says, if it is one that changes the answer.
    pub(super) fn judge(self, status: StatusCode, body: &Value) -> Option<Classification> {
        let spent = match self {
            Self::Anthropic => anthropic_spent(body),
            Self::OpenAi => openai_spent(body),
        };
        spent.then(|| Classification::of(Category::ResourceExhausted).status(status.as_u16()))
    }
}

/// Whether a response says when to come back, in whatever form.
pub(super) fn says_when(headers: &HeaderMap, now: std::time::SystemTime) -> bool {
    super::retry_after(headers, now).is_some()
}

/// What was agreed to be spent is spent: `error.details.error_code` of Anthropic's API says so
/// (`enforced_spend_limit_reached`), or its type is `billing_error`. Where a 400 has no code, its message tells.
fn anthropic_spent(body: &Value) -> bool {
    let error = &body["error"];
    let says = |text: &Value, fits: fn(&str) -> bool| text.as_str().is_some_and(fits);
    says(&error["details"]["error_code"], |code| code.ends_with("spend_limit_reached"))
        || says(&error["type"], |name| name == "billing_error")
        || says(&error["message"], |message| {
            message.contains("credit balance is too low")
                || message.contains("reached your specified API usage limits")
        })
}

/// The same of the API of `OpenAI`: `error.code` or `error.type` is `insufficient_quota`, or the hard limit of the
/// account is reached.
fn openai_spent(body: &Value) -> bool {
    let is = |field: &str| {
        let text = body["error"][field].as_str();
        text.is_some_and(|text| {
            matches!(text, "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active")
        })
    };
    is("code") || is("type")
}
