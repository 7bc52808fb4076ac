//! The answer that lies somewhere down the chain of sources.

use std::error::Error;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::classification::{Category, Classification};
use crate::classify::classified::source_and_answer;
use crate::classify::{AsError, ErrorClassifier, IoErrors, Or, PlainError};

// A chain longer than this is a cycle, or nobody reads it anyway.
const MAX_LINKS: usize = 64;

type Known = Arc<dyn Fn(&(dyn Error + 'static)) -> Option<Classification> + Send + Sync>;

/// Walks an error and its [sources](Error::source), from the outside in, and gives the first answer that
/// somebody knows.
///
/// Of each link it asks, in this order:
///
/// 1. the classifiers added by [`with`](Self::with), in the order in which they were added;
/// 2. the link itself, if it is a [`Classified`](crate::Classified) of anything;
/// 3. [`IoErrors`], if it is a `std::io::Error`. If that wraps another error, the added ones are asked about
///    that one first: a kind says less than they do.
///
/// [`Category::Unknown`] is no answer: the walk goes on. If it ends without one, the first `Unknown` that was
/// given stands as it was bent. The walk ends after 64 links, so a chain that bites its tail does no harm.
/// `Box<T>` and `Arc<T>` are looked into; the sources of what a transparent error forwards to are found, but not
/// that error itself, nor a typed context of anyhow: `Error::source` does not show them.
///
/// It classifies every type that is an error, and every type that points to one. Which of both is its parameter,
/// and the compiler finds it:
///
/// ```
/// use std::{error::Error, io};
/// use recoup::{Category, ErrorClassifier, SourceChain};
///
/// let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
///
/// // an error type
/// assert_eq!(SourceChain::new().classify(&reset()).category(), Category::Network);
/// // a box, with or without `Send + Sync`
/// let boxed: Box<dyn Error> = reset().into();
/// assert_eq!(SourceChain::new().classify(&boxed).category(), Category::Network);
/// let boxed: Box<dyn Error + Send + Sync> = reset().into();
/// assert_eq!(SourceChain::new().classify(&boxed).category(), Category::Network);
/// // anyhow, through its contexts
/// let any = anyhow::Error::new(reset()).context("cannot fetch").context("cannot start");
/// assert_eq!(SourceChain::new().classify(&any).category(), Category::Network);
/// ```
///
/// Where the type has to be written, it is `SourceChain` for error types and
/// [`SourceChain<BoxedError>`](crate::BoxedError) for boxes and anyhow. A clone shares what was added.
pub struct SourceChain<By = PlainError> {
    known: Vec<Known>,
    by: PhantomData<fn() -> By>,
}

impl<By> SourceChain<By> {
    /// A chain that knows `std::io::Error` and [`Classified`](crate::Classified).
    #[must_use]
    pub const fn new() -> Self {
        Self { known: Vec::new(), by: PhantomData }
    }

    /// Adds a classifier for the links that are a `T`. The first to know a link wins, so what is added may
    /// overrule what is built in.
    ///
    /// ```
    /// use recoup::{Category, ErrorClassifier, SourceChain};
    /// use std::num::ParseIntError;
    ///
    /// let chain = SourceChain::new().with(|_: &ParseIntError| Category::Validation);
    /// let error = anyhow::Error::new("x".parse::<u8>().unwrap_err()).context("bad port");
    /// assert_eq!(chain.classify(&error).category(), Category::Validation);
    /// ```
    #[must_use]
    pub fn with<T>(mut self, classifier: impl ErrorClassifier<T> + Send + Sync + 'static) -> Self
    where
        T: Error + 'static,
    {
        self.known.push(Arc::new(move |link| held::<T>(link).map(|error| classifier.classify(error))));
        self
    }

    /// As [`ErrorClassifier::or`], without having to know yet what error it will be asked about.
    ///
    /// ```
    /// use recoup::{Advice, ErrorClassifier, Permanent, SourceChain};
    /// let careful = SourceChain::new().or(Permanent);
    /// assert_eq!(careful.classify(&anyhow::anyhow!("who knows")).advice(), Advice::Stop);
    /// ```
    #[must_use]
    pub fn or<C>(self, next: C) -> Or<Self, C> {
        Or::new(self, next)
    }

    fn added<'a>(&'a self, link: &'a (dyn Error + 'static)) -> impl Iterator<Item = Classification> + 'a {
        self.known.iter().filter_map(move |known| known(link))
    }

    fn walk(&self, error: &(dyn Error + 'static)) -> Classification {
        let mut unknown = None;
        let mut knows = |answer: &Classification| {
            let known = answer.category() != Category::Unknown;
            if !known {
                unknown.get_or_insert(*answer);
            }
            known
        };
        let mut next = Some(error);
        for _ in 0..MAX_LINKS {
            let Some(link) = next else { break };
            let (source, carried) = source_and_answer(link);
            let io = held::<io::Error>(link);
            // `io::Error::source` skips the error that it wraps.
            let wrapped = io.and_then(io::Error::get_ref).map(|error| error as &(dyn Error + 'static));
            let answer = self
                .added(link)
                .chain(carried)
                .chain(wrapped.into_iter().flat_map(|error| self.added(error)))
                .chain(io.map(|error| IoErrors.classify(error)))
                .find(&mut knows);
            if let Some(answer) = answer {
                return answer;
            }
            next = wrapped.or(source);
        }
        unknown.unwrap_or(Classification::of(Category::Unknown))
    }
}

impl<E: AsError<By> + ?Sized, By> ErrorClassifier<E> for SourceChain<By> {
    fn classify(&self, error: &E) -> Classification {
        self.walk(error.as_error())
    }
}

impl<By> Clone for SourceChain<By> {
    fn clone(&self) -> Self {
        Self { known: self.known.clone(), by: PhantomData }
    }
}

impl<By> Default for SourceChain<By> {
    fn default() -> Self {
        Self::new()
    }
}

impl<By> fmt::Debug for SourceChain<By> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceChain").field("added", &self.known.len()).finish_non_exhaustive()
    }
}

/// The `T` that a link is, or holds in a box or an arc: these pass the source on and so hide their content.
fn held<'a, T: Error + 'static>(link: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let boxed = || link.downcast_ref::<Box<T>>().map(|error| &**error);
    let shared = || link.downcast_ref::<Arc<T>>().map(|error| &**error);
    link.downcast_ref().or_else(boxed).or_else(shared)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::classification::Advice;
    use crate::classify::{BoxedError, Classified, ClassifyError, Permanent};

    #[derive(Debug, thiserror::Error)]
    #[error("link")]
    struct Link(#[source] Box<dyn Error + Send + Sync>);

    #[derive(Debug, thiserror::Error)]
    #[error("leaf")]
    struct Leaf;

    #[derive(Debug, thiserror::Error)]
    enum Transparent {
        #[error(transparent)]
        Leaf(#[from] Classified<Leaf>),
    }

    #[derive(Debug, thiserror::Error)]
    #[error("ring")]
    struct Ring(Classification);

    #[derive(Debug)]
    struct Ouroboros;

    impl fmt::Display for Ouroboros {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("ouroboros")
        }
    }

    impl Error for Ouroboros {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }

    fn link(error: impl Into<Box<dyn Error + Send + Sync>>) -> Link {
        Link(error.into())
    }

    fn deep(links: usize, leaf: impl Into<Box<dyn Error + Send + Sync>>) -> Box<dyn Error + Send + Sync> {
        (0..links).fold(leaf.into(), |error, _| link(error).into())
    }

    fn reset() -> io::Error {
        ErrorKind::ConnectionReset.into()
    }

    fn category<By, E: AsError<By> + ?Sized>(error: &E) -> Category {
        SourceChain::new().with(|_: &Leaf| Category::Database).classify(error).category()
    }

    #[test]
    fn every_kind_of_error_type_is_served() {
        let local: Box<dyn Error> = Leaf.into();
        let sendable: Box<dyn Error + Send> = Box::new(Leaf);
        let sent: Box<dyn Error + Send + Sync> = Leaf.into();
        let borrowed: &(dyn Error + 'static) = &Leaf;
        assert_eq!(category(&Leaf), Category::Database);
        assert_eq!(category(&link(Leaf)), Category::Database);
        assert_eq!(category(&local), Category::Database);
        assert_eq!(category(&sendable), Category::Database);
        assert_eq!(category(&sent), Category::Database);
        assert_eq!(category(borrowed), Category::Database);
        assert_eq!(category(&anyhow::Error::new(Leaf)), Category::Database);
        assert_eq!(category(&Box::new(local)), Category::Database);
        assert_eq!(category(&Box::new(Leaf)), Category::Database);
        assert_eq!(category(&Arc::new(Leaf)), Category::Database);
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(Leaf);
        assert_eq!(category::<BoxedError, _>(&shared), Category::Database);
    }

    #[test]
    fn chain_is_a_shared_classifier_of_any_error() {
        let any: Arc<dyn ErrorClassifier<anyhow::Error> + Send + Sync> = Arc::new(SourceChain::new());
        let boxed: Arc<dyn ErrorClassifier<Box<dyn Error>> + Send + Sync> = Arc::new(SourceChain::new());
        let plain: Arc<dyn ErrorClassifier<Link> + Send + Sync> = Arc::new(SourceChain::new());
        assert_eq!(any.classify(&reset().into()).category(), Category::Network);
        assert_eq!(boxed.classify(&reset().into()).category(), Category::Network);
        assert_eq!(plain.classify(&link(reset())).category(), Category::Network);
        let careful = SourceChain::new().or(Permanent);
        assert_eq!(careful.classify(&anyhow::anyhow!("who knows")).advice(), Advice::Stop);
    }

    #[test]
    fn contexts_of_anyhow_are_walked_through() {
        let error = anyhow::Error::new(link(Leaf)).context("one").context(String::from("two"));
        assert_eq!(category(&error), Category::Database);
        let error = anyhow::Error::new(reset().classified(Category::Conflict)).context("one").context("two");
        assert_eq!(category(&error), Category::Conflict);
        assert_eq!(category(&anyhow::anyhow!("nothing known").context("three")), Category::Unknown);
    }

    #[test]
    fn outermost_link_that_is_known_wins() {
        let chain = SourceChain::new()
            .with(|_: &Leaf| Category::Database)
            .with(|_: &Link| Category::Conflict)
            .with(|_: &Link| Category::Security);
        assert_eq!(chain.classify(&link(Leaf)).category(), Category::Conflict);
        let timeout = io::Error::from(ErrorKind::TimedOut);
        assert_eq!(SourceChain::new().classify(&link(timeout)).category(), Category::Timeout);
    }

    #[test]
    fn added_classifiers_overrule_the_built_in_one() {
        let chain = SourceChain::new().with(|error: &io::Error| {
            (error.kind() == ErrorKind::NotFound).then_some(Category::ServiceUnavailable)
        });
        let missing = io::Error::from(ErrorKind::NotFound);
        assert_eq!(chain.classify(&link(missing)).category(), Category::ServiceUnavailable);
        assert_eq!(chain.classify(&link(reset())).category(), Category::Network, "it had nothing to say");
    }

    #[test]
    fn types_can_be_added_as_well_as_closures() {
        struct Rings;
        impl ErrorClassifier<Ring> for Rings {
            fn classify(&self, error: &Ring) -> Classification {
                error.0
            }
        }
        let answer = Classification::of(Category::RateLimited).status(429);
        assert_eq!(SourceChain::new().with(Rings).classify(&link(Ring(answer))), answer);
    }

    #[test]
    fn unknown_is_walked_past_and_stands_only_if_nothing_better_comes() {
        let stop = Classification::of(Category::Unknown).stop();
        let chain = SourceChain::new().with(|error: &Ring| error.0).with(move |_: &Link| stop);
        assert_eq!(chain.classify(&link(reset())).category(), Category::Network);
        assert_eq!(chain.classify(&link(Leaf)), stop);
        assert_eq!(chain.classify(&Leaf), Classification::of(Category::Unknown));
    }

    #[test]
    fn errors_within_an_io_error_are_found_and_added_ones_beat_its_kind() {
        assert_eq!(category(&io::Error::other(Leaf)), Category::Database);
        assert_eq!(category(&io::Error::new(ErrorKind::TimedOut, Leaf)), Category::Database);
        assert_eq!(category(&io::Error::new(ErrorKind::TimedOut, link(Leaf))), Category::Timeout);
        assert_eq!(category(&io::Error::other(link(Leaf))), Category::Database);
        assert_eq!(category(&io::Error::other(io::Error::other(reset()))), Category::Network);
        assert_eq!(category(&link(Arc::new(reset()))), Category::Network);
        let carried = io::Error::new(ErrorKind::TimedOut, reset().classified(Category::Conflict));
        assert_eq!(category(&carried), Category::Conflict);
    }

    #[test]
    fn classified_links_are_found_whatever_they_wrap() {
        let boxed: Box<dyn Error + Send + Sync> = Leaf.into();
        assert_eq!(category(&boxed.classified(Category::Conflict)), Category::Conflict);
        assert_eq!(category(&link(Leaf.classified(Category::Conflict))), Category::Conflict);
        assert_eq!(category(&link(anyhow::anyhow!("x").classified(Category::Security))), Category::Security);
        let transparent = Transparent::from(Leaf.classified(Category::Conflict));
        assert_eq!(category(&link(transparent)), Category::Conflict);
        let twice = Leaf.classified(Category::Conflict).classified(Category::Security);
        assert_eq!(category(&twice), Category::Security);
    }

    #[test]
    fn classified_as_unknown_passes_the_question_to_its_sources() {
        let error = link(reset()).classified(Classification::of(Category::Unknown).stop());
        assert_eq!(category(&error), Category::Network);
    }

    #[test]
    fn chain_that_bites_its_tail_ends() {
        assert_eq!(category(&Ouroboros), Category::Unknown);
        assert_eq!(category(&link(Ouroboros)), Category::Unknown);
    }

    #[test]
    fn sixty_four_links_are_looked_at_and_no_more() {
        assert_eq!(category(&deep(MAX_LINKS - 1, Leaf)), Category::Database);
        assert_eq!(category(&deep(MAX_LINKS, Leaf)), Category::Unknown);
        assert_eq!(category(&deep(2_000, Leaf)), Category::Unknown);
    }

    #[test]
    fn clone_shares_what_was_added_and_grows_alone() {
        let chain = SourceChain::<PlainError>::new().with(|_: &Leaf| Category::Database);
        let more = chain.clone().with(|_: &Link| Category::Conflict);
        assert_eq!(more.classify(&Leaf).category(), Category::Database);
        assert_eq!(more.classify(&link(reset())).category(), Category::Conflict);
        assert_eq!(chain.classify(&link(reset())).category(), Category::Network);
        assert_eq!(format!("{chain:?}"), "SourceChain { added: 1, .. }");
    }
}
