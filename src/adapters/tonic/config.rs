//! A gRPC service config, read from JSON.

mod cursor;
mod duration;
mod error;
mod method;
mod node;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::str::FromStr;

use self::cursor::Cursor;
pub use self::error::ServiceConfigError;
use self::node::Node;
use super::policy::{MethodPolicy, Throttling};

/// The rules for the calls to one server, as a gRPC service config says them: a [`MethodPolicy`] for each method,
/// each service or all of them, and the [`Throttling`] that they share.
///
/// It is read from JSON, in the form that gRPC has everywhere (`grpc/service_config/service_config.proto`, and
/// proposals A2 and A6). Read are `methodConfig` (`name`, `timeout`, `waitForReady`, `retryPolicy`,
/// `hedgingPolicy`) and `retryThrottling`. Other fields are ignored, as gRPC ignores what it does not know: a
/// name with a typing error is such a field.
///
/// ```
/// use std::time::Duration;
/// use recoup::tonic::ServiceConfig;
///
/// let config: ServiceConfig = r#"{
///     "methodConfig": [
///         { "name": [{ "service": "shop.v1.Orders" }],
///           "timeout": "1.5s",
///           "retryPolicy": {
///               "maxAttempts": 4,
///               "initialBackoff": "0.1s",
///               "maxBackoff": "2s",
///               "backoffMultiplier": 2,
///               "retryableStatusCodes": ["UNAVAILABLE"] } },
///         { "name": [{ "service": "shop.v1.Orders", "method": "Pay" }] }
///     ],
///     "retryThrottling": { "maxTokens": 10, "tokenRatio": 0.1 }
/// }"#
/// .parse()?;
///
/// let list = config.method("/shop.v1.Orders/List").unwrap();
/// assert_eq!(list.limit(), Some(Duration::from_millis(1500)));
/// assert_eq!(list.retries().unwrap().max_attempts(), 4);
/// assert!(config.method("/shop.v1.Orders/Pay").unwrap().retries().is_none(), "it has rules of its own");
/// assert!(config.method("/mail.v1.Mail/Send").is_none());
///
/// let wrong = r#"{ "methodConfig": [{}, { "retryPolicy": { "maxAttempts": 1 } }] }"#;
/// let error = wrong.parse::<ServiceConfig>().unwrap_err();
/// assert_eq!(error.to_string(), "methodConfig[1].retryPolicy.maxAttempts: must be at least 2");
/// # Ok::<(), recoup::tonic::ServiceConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceConfig {
    services: BTreeMap<String, Service>,
    default: Option<MethodPolicy>,
    throttling: Option<Throttling>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Service {
    methods: BTreeMap<String, MethodPolicy>,
    others: Option<MethodPolicy>,
}

impl ServiceConfig {
    /// Reads a service config.
    ///
    /// What gRPC refuses is refused: a retry policy or a hedging policy without all that it needs, or both at
    /// once; numbers out of their ranges; a method that is named twice. `maxAttempts` above 5 counts as 5.
    /// Stricter than gRPC are a `timeout` of zero and a field that stands twice in one object, which are refused
    /// too.
    ///
    /// # Errors
    ///
    /// [`ServiceConfigError`], which says where in the JSON and what must be there.
    pub fn from_json(text: &str) -> Result<Self, ServiceConfigError> {
        let root: Node = serde_json::from_str(text).map_err(|error| ServiceConfigError::syntax(&error))?;
        let root = Cursor::root(&root);
        let mut config = Self::default();
        root.object()?;
        for method in root.list("methodConfig")? {
            let policy = method::policy(&method)?;
            for name in method.list("name")? {
                config.name(&name, &policy)?;
            }
        }
        config.throttling = root.field("retryThrottling").map(|said| throttling(&said)).transpose()?;
        Ok(config)
    }

    /// The policy of a method by its path, `/package.Service/Method`: the one that names the method, or else the
    /// one that names its service, or else the one that is for all. They are not mixed.
    #[must_use]
    pub fn method(&self, path: &str) -> Option<&MethodPolicy> {
        let (service, method) = path.strip_prefix('/').unwrap_or(path).rsplit_once('/').unwrap_or((path, ""));
        let named = self.services.get(service);
        named
            .and_then(|service| service.methods.get(method).or(service.others.as_ref()))
            .or(self.default.as_ref())
    }

    /// The throttling of all calls to one server, if there is one.
    #[must_use]
    pub const fn throttling(&self) -> Option<Throttling> {
        self.throttling
    }

    /// Puts the policy under one name. No two may have the same.
    fn name(&mut self, name: &Cursor<'_>, policy: &MethodPolicy) -> Result<(), ServiceConfigError> {
        name.object()?;
        let part = |field: &str| match name.field(field) {
            Some(text) => text.text().map(str::to_owned),
            None => Ok(String::new()),
        };
        let (service, method) = (part("service")?, part("method")?);
        let place = match (&*service, &*method) {
            ("", "") => &mut self.default,
            ("", _) => return Err(name.refuse("must say a `service` beside its `method`")),
            (_, "") => &mut self.services.entry(service).or_default().others,
            _ => {
                let methods = &mut self.services.entry(service).or_default().methods;
                if methods.contains_key(&method) {
                    return Err(name.refuse("must be a name that does not stand before"));
                }
                methods.insert(method, policy.clone());
                return Ok(());
            }
        };
        match place {
            Some(_) => Err(name.refuse("must be a name that does not stand before")),
            empty => {
                *empty = Some(policy.clone());
                Ok(())
            }
        }
    }
}

impl FromStr for ServiceConfig {
    type Err = ServiceConfigError;

    /// As [`from_json`](Self::from_json).
    fn from_str(text: &str) -> Result<Self, ServiceConfigError> {
        Self::from_json(text)
    }
}

fn throttling(said: &Cursor<'_>) -> Result<Throttling, ServiceConfigError> {
    said.object()?;
    let (most, ratio) = (said.need("maxTokens")?, said.need("tokenRatio")?);
    Throttling::new(most.number()?, ratio.number()?).map_err(|error| {
        let at = if error.setting == "max_tokens" { &most } else { &ratio };
        at.refuse(format!("must be {}", error.allowed))
    })
}
