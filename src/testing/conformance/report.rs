//! What came out.

use std::fmt;

/// What came of one case.
///
/// ```
/// use recoup::testing::conformance::Verdict;
/// assert_eq!(Verdict::Failed("id 3 twice".to_owned()).to_string(), "FAILED: id 3 twice");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The promise was kept.
    Passed,
    /// The promise was broken, like this.
    Failed(String),
    /// The queue does not promise this, or nobody can make the fault that it takes.
    DoesNotApply(&'static str),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("ok"),
            Self::Failed(how) => write!(f, "FAILED: {how}"),
            Self::DoesNotApply(why) => write!(f, "does not apply: {why}"),
        }
    }
}

/// One case, by the name of its promise, and what came of it.
///
/// ```
/// use recoup::testing::conformance::{CaseResult, Verdict};
/// let result = CaseResult::new("d4_ids_only_grow", Verdict::Passed);
/// assert_eq!(result.to_string(), "d4_ids_only_grow: ok");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaseResult {
    /// The case.
    pub name: &'static str,
    /// What came of it.
    pub verdict: Verdict,
}

impl CaseResult {
    /// This came of this case.
    #[must_use]
    pub const fn new(name: &'static str, verdict: Verdict) -> Self {
        Self { name, verdict }
    }
}

impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.verdict)
    }
}

/// What came of all cases. `Display` lists them, a line each.
///
/// ```
/// use recoup::testing::conformance::{CaseResult, Report, Verdict};
/// let lost = CaseResult::new("d1_x", Verdict::Failed("lost".to_owned()));
/// let report: Report = [lost, CaseResult::new("d2_y", Verdict::Passed)].into_iter().collect();
/// assert!(!report.is_proof());
/// assert_eq!(report.failed().collect::<Vec<_>>(), ["d1_x"]);
/// assert!(report.to_string().ends_with("1 passed, 1 failed, 0 do not apply"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a report that nobody reads proves nothing"]
pub struct Report {
    cases: Vec<CaseResult>,
}

impl Report {
    /// Every case.
    #[must_use]
    pub fn cases(&self) -> &[CaseResult] {
        &self.cases
    }

    /// Whether there were cases and none of them failed.
    #[must_use]
    pub fn is_proof(&self) -> bool {
        self.passed().next().is_some() && self.failed().next().is_none()
    }

    /// The names of those that passed.
    pub fn passed(&self) -> impl Iterator<Item = &'static str> {
        self.that(|verdict| matches!(verdict, Verdict::Passed))
    }

    /// The names of those that failed.
    pub fn failed(&self) -> impl Iterator<Item = &'static str> {
        self.that(|verdict| matches!(verdict, Verdict::Failed(_)))
    }

    /// The names of those that say nothing about this queue.
    pub fn not_applying(&self) -> impl Iterator<Item = &'static str> {
        self.that(|verdict| matches!(verdict, Verdict::DoesNotApply(_)))
    }

    fn that(&self, is: fn(&Verdict) -> bool) -> impl Iterator<Item = &'static str> {
        self.cases.iter().filter(move |case| is(&case.verdict)).map(|case| case.name)
    }
}

impl FromIterator<CaseResult> for Report {
    fn from_iter<I: IntoIterator<Item = CaseResult>>(cases: I) -> Self {
        Self { cases: cases.into_iter().collect() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            writeln!(f, "{case}")?;
        }
        let [passed, failed, rest] =
            [self.passed().count(), self.failed().count(), self.not_applying().count()];
        write!(f, "{passed} passed, {failed} failed, {rest} do not apply")
    }
}
