//! The errors that ended a call, as text, and how much text is kept.

use std::error::Error;
use std::fmt::{self, Write as _};

/// The most bytes kept of one message.
pub(super) const MAX_TEXT: usize = 4096;

/// An error and what caused it, as text: the outermost first.
///
/// At most [`MAX_FRAMES`](Self::MAX_FRAMES) frames are kept, the outermost ones, and at most 4 KiB of each
/// message, cut between characters.
///
/// ```
/// use recoup::ErrorChain;
///
/// let refused = std::io::Error::other("connection refused");
/// let chain = ErrorChain::of(&refused).type_name("std::io::Error");
/// assert_eq!(chain.to_string(), "connection refused");
/// assert_eq!(chain.frames()[0].type_name.as_deref(), Some("std::io::Error"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ErrorChain {
    frames: Vec<ErrorFrame>,
}

/// One error of an [`ErrorChain`].
///
/// ```
/// use recoup::{ErrorChain, ErrorFrame};
/// let chain: ErrorChain = [ErrorFrame::new("no answer"), ErrorFrame::new("broken pipe")].into_iter().collect();
/// assert_eq!(chain.to_string(), "no answer: broken pipe");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ErrorFrame {
    /// What the error said.
    pub message: String,
    /// The name of its type, where that is known.
    pub type_name: Option<String>,
    /// The code that it carries, where it has one: what the other side calls this trouble.
    pub code: Option<String>,
}

impl ErrorFrame {
    /// A frame whose type is not known. The message is cut at 4 KiB.
    #[must_use]
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: text(&message), type_name: None, code: None }
    }

    /// The name of its type, cut at 4 KiB. Default: not known.
    #[must_use]
    pub fn type_name(mut self, name: impl Into<String>) -> Self {
        self.type_name = Some(cut(name.into()));
        self
    }

    /// The code that it carries, cut at 4 KiB. Default: none.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(cut(code.into()));
        self
    }
}

impl ErrorChain {
    /// The most frames kept.
    pub const MAX_FRAMES: usize = 16;

    /// This error and its sources.
    #[must_use]
    pub fn of(error: &dyn Error) -> Self {
        // The bound also ends a chain that runs in a circle.
        std::iter::successors(Some(error), |&error| error.source()).map(ErrorFrame::new).collect()
    }

    /// One frame with this text.
    #[must_use]
    pub fn from_display(error: &impl fmt::Display) -> Self {
        Self { frames: vec![ErrorFrame::new(error)] }
    }

    /// Names the type of the outermost error. An empty chain stays empty.
    #[must_use]
    pub fn type_name(mut self, name: impl Into<String>) -> Self {
        if let Some(frame) = self.frames.first_mut() {
            frame.type_name = Some(cut(name.into()));
        }
        self
    }

    /// The errors, the outermost first.
    #[must_use]
    pub fn frames(&self) -> &[ErrorFrame] {
        &self.frames
    }

    /// Whether nothing is known of the error.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Puts what `rewrite` makes of it in place of every text.
    pub(super) fn rewrite(&mut self, rewrite: &mut impl FnMut(&str) -> String) {
        for frame in &mut self.frames {
            let texts = [Some(&mut frame.message), frame.type_name.as_mut(), frame.code.as_mut()];
            for text in texts.into_iter().flatten() {
                *text = cut(rewrite(text));
            }
        }
    }

    /// The bytes of text it holds.
    pub(super) fn size(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let of = |frame: &ErrorFrame| frame.message.len() + length(&frame.type_name) + length(&frame.code);
        self.frames.iter().map(of).sum()
    }
}

impl FromIterator<ErrorFrame> for ErrorChain {
    fn from_iter<I: IntoIterator<Item = ErrorFrame>>(frames: I) -> Self {
        let bounded = |frame: ErrorFrame| ErrorFrame {
            message: cut(frame.message),
            type_name: frame.type_name.map(cut),
            code: frame.code.map(cut),
        };
        Self { frames: frames.into_iter().take(Self::MAX_FRAMES).map(bounded).collect() }
    }
}

impl fmt::Display for ErrorChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, frame) in self.frames.iter().enumerate() {
            let separator = if nth == 0 { "" } else { ": " };
            write!(f, "{separator}{}", frame.message)?;
        }
        Ok(())
    }
}

/// What `shown` says, up to the bound. An error that says a lot is not written out in full first.
pub(super) fn text(shown: &impl fmt::Display) -> String {
    let mut bounded = Bounded(String::new());
    // An error here is the bound, or a `Display` that failed: what was written until then is kept.
    let _ended_early = write!(bounded, "{shown}");
    bounded.0
}

/// The text up to the bound.
pub(super) fn cut(mut text: String) -> String {
    let end = boundary(&text, MAX_TEXT);
    if end < text.len() {
        text.truncate(end);
        text.shrink_to_fit();
    }
    text
}

/// The last place at or before `most` where `text` may be cut.
fn boundary(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let end = boundary(more, MAX_TEXT.saturating_sub(self.0.len()));
        self.0.push_str(&more[..end]);
        if end < more.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error that is its own source.
    #[derive(Debug)]
    struct Circle;

    impl fmt::Display for Circle {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("round")
        }
    }

    impl Error for Circle {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Circle)
        }
    }

    #[test]
    fn chain_follows_sources_from_the_outside_in() {
        let inner = std::io::Error::other("disk on fire");
        let outer = anyhow::Error::new(inner).context("cannot save");
        let messages: Vec<_> =
            ErrorChain::of(outer.as_ref()).frames().iter().map(|frame| frame.message.clone()).collect();
        assert_eq!(messages, ["cannot save", "disk on fire"]);
    }

    #[test]
    fn type_is_named_on_the_outermost_error_and_counts_as_text() {
        let two: ErrorChain = ["no answer", "broken pipe"].into_iter().map(ErrorFrame::new).collect();
        assert_eq!(two.size(), 9 + 11);
        let chain = two.type_name("Lost");
        let names: Vec<_> = chain.frames().iter().map(|frame| frame.type_name.as_deref()).collect();
        assert_eq!(names, [Some("Lost"), None]);
        assert_eq!(chain.size(), 9 + 4 + 11);
        assert!(!chain.is_empty());
        assert!(ErrorChain::default().type_name("Lost").is_empty(), "there is nothing to name");
    }

    #[test]
    fn chain_in_a_circle_ends() {
        assert_eq!(ErrorChain::of(&Circle).frames().len(), 16);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let long = format!("a{}", "é".repeat(4000));
        for chain in [
            ErrorChain::from_display(&long),
            [ErrorFrame { message: long.clone(), type_name: Some(long.clone()), code: Some(long.clone()) }]
                .into_iter()
                .collect(),
        ] {
            let frame = &chain.frames()[0];
            assert_eq!(frame.message.len(), 4095, "4096 would cut a character in two");
            assert!(long.starts_with(&frame.message));
            assert!(frame.type_name.as_ref().is_none_or(|name| name.len() == 4095));
        }
    }

    #[test]
    fn text_of_exactly_the_bound_is_whole() {
        let whole = "x".repeat(MAX_TEXT);
        assert_eq!(text(&whole), whole);
        assert_eq!(cut(whole.clone()), whole);
    }

    #[test]
    fn writing_stops_at_the_bound() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("more ")?;
                }
            }
        }
        assert_eq!(text(&Endless).len(), MAX_TEXT);
    }
}
