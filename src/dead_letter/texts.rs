//! Every text that a letter holds.

use crate::dead_letter::letter::DeadLetter;

impl DeadLetter {
    /// Puts what `rewrite` makes of it in place of every text but the operation's name: of the error, the attempts,
    /// the headers and their names, the destination, the keys and ids, and what was said of an edit. What is
    /// longer than it may be then is cut. The payload is bytes, and is not touched.
    ///
    /// ```
    /// use recoup::{DeadLetter, ErrorChain};
    /// let mut letter = DeadLetter::new("mail").tenant("acme").error(ErrorChain::from_display(&"no ana@a.example"));
    /// letter.rewrite_texts(|text| text.replace("ana@a.example", "[mail]"));
    /// assert_eq!(letter.error.to_string(), "no [mail]");
    /// ```
    pub fn rewrite_texts(&mut self, mut rewrite: impl FnMut(&str) -> String) {
        self.error.rewrite(&mut rewrite);
        self.attempts.rewrite(&mut rewrite);
        let headers = std::mem::take(&mut self.headers);
        self.headers = headers.into_iter().map(|(name, value)| (rewrite(&name), rewrite(&value))).collect();
        let by = self.edited.as_mut().map(|edited| &mut edited.by);
        let (who, why) = by.map_or((None, None), |by| (by.who.as_mut(), by.why.as_mut()));
        let content_type = self.payload.as_mut().map(|payload| &mut payload.content_type);
        let names = [
            self.destination.as_mut(),
            self.correlation_id.as_mut(),
            self.idempotency_key.as_mut(),
            self.traceparent.as_mut(),
            self.tenant.as_mut(),
            content_type,
            who,
            why,
        ];
        for text in names.into_iter().flatten() {
            *text = rewrite(text);
        }
    }
}
