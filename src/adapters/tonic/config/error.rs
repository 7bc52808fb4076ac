//! What is wrong with a service config, and where.

use thiserror::Error;

/// A service config that cannot be meant.
///
/// ```
/// use recoup::tonic::ServiceConfig;
///
/// let error = ServiceConfig::from_json(r#"{ "retryThrottling": { "maxTokens": 0, "tokenRatio": 1 } }"#);
/// assert_eq!(error.unwrap_err().path, "retryThrottling.maxTokens");
/// let error = ServiceConfig::from_json("{").unwrap_err();
/// assert_eq!((&*error.path, error.to_string().starts_with("must be JSON: ")), ("", true));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}{colon}{must}", colon = if path.is_empty() { "" } else { ": " })]
#[non_exhaustive]
pub struct ServiceConfigError {
    /// Where in the JSON: `methodConfig[1].retryPolicy.maxAttempts`. Empty if it is the whole.
    pub path: String,
    /// What must be there: `must be at least 2`.
    pub must: String,
}

impl ServiceConfigError {
    pub(super) fn syntax(error: &serde_json::Error) -> Self {
        Self { path: String::new(), must: format!("must be JSON: {error}") }
    }
}
