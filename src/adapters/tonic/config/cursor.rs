//! A place in a service config: what stands there, and how to say where that is.

use std::time::Duration;

use super::ServiceConfigError;
use super::duration;
use super::node::Node;

/// A value, and the way to it.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'n> {
    node: &'n Node,
    path: String,
}

impl<'n> Cursor<'n> {
    pub(super) const fn root(node: &'n Node) -> Self {
        Self { node, path: String::new() }
    }

    pub(super) fn refuse(&self, must: impl Into<String>) -> ServiceConfigError {
        ServiceConfigError { path: self.path.clone(), must: must.into() }
    }

    /// Refuses what is no object, and one in which a field stands twice: one of the two would be lost.
    pub(super) fn object(&self) -> Result<(), ServiceConfigError> {
        let Node::Object(fields) = self.node else { return Err(self.refuse("must be an object")) };
        let mut names: Vec<_> = fields.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => Err(self.at(twice[0]).refuse("must not stand there twice")),
            None => Ok(()),
        }
    }

    /// A field of an object; `None` if it is not there or is `null`, which is the same in protobuf's JSON.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        let Node::Object(fields) = self.node else { return None };
        let (_, node) = fields.iter().find(|(field, _)| field == name)?;
        (!matches!(node, Node::Null)).then(|| self.below(name, node))
    }

    /// A field that must be there.
    pub(super) fn need(&self, name: &str) -> Result<Self, ServiceConfigError> {
        self.field(name).ok_or_else(|| self.at(name).refuse("must be there"))
    }

    /// The items of a field that is a list; none if it is not there.
    pub(super) fn list(&self, name: &str) -> Result<Vec<Self>, ServiceConfigError> {
        let Some(field) = self.field(name) else { return Ok(Vec::new()) };
        let Node::List(items) = field.node else { return Err(field.refuse("must be a list")) };
        let item = |(nth, node)| Self { node, path: format!("{}[{nth}]", field.path) };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The place of a field, there or not.
    pub(super) fn at(&self, name: &str) -> Self {
        self.below(name, &Node::Null)
    }

    pub(super) const fn node(&self) -> &'n Node {
        self.node
    }

    pub(super) fn flag(&self) -> Result<bool, ServiceConfigError> {
        match self.node {
            Node::Flag(flag) => Ok(*flag),
            _ => Err(self.refuse("must be `true` or `false`")),
        }
    }

    pub(super) fn text(&self) -> Result<&'n str, ServiceConfigError> {
        match self.node {
            Node::Text(text) => Ok(text),
            _ => Err(self.refuse("must be a string")),
        }
    }

    /// A number. Protobuf's JSON allows it to stand in quotes.
    pub(super) fn number(&self) -> Result<f64, ServiceConfigError> {
        let number = match self.node {
            Node::Number(number) => Some(*number),
            Node::Text(text) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| self.refuse("must be a number"))
    }

    /// A whole number that is not negative. What is larger than 32 bits hold is taken as the largest.
    pub(super) fn whole(&self) -> Result<u32, ServiceConfigError> {
        let number = self.number()?;
        if number < 0.0 || number.fract() != 0.0 {
            return Err(self.refuse("must be a whole number, and not negative"));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        let whole = number as u32;
        Ok(whole)
    }

    pub(super) fn duration(&self) -> Result<Duration, ServiceConfigError> {
        duration::parse(self.text()?)
            .ok_or_else(|| self.refuse("must be a number of seconds like \"1.5s\", and not negative"))
    }

    fn below(&self, name: &str, node: &'n Node) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { node, path: format!("{}{dot}{name}", self.path) }
    }
}
