//! How far the work on an archive has come.

/// How far the work on an archive has come: told after each letter, and after each batch that was stored.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::archive::{Step, export};
/// use recoup::{DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue};
///
/// let queue = MemoryQueue::default();
/// queue.push(DeadLetter::new("charge")).await?;
/// let mut told = Vec::new();
/// export(&queue, &LetterFilter::new(), std::io::sink(), |progress| told.push(progress)).await?;
/// assert_eq!((told[0].step, told[0].letters), (Step::Exporting, 1));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// With how many letters it was done.
    pub letters: u64,
    /// The bytes of the archive that are done with.
    pub bytes: u64,
}

/// What is being done with an archive.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use recoup::archive::Step;
/// assert_ne!(Step::Verifying, Step::Importing);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// It is written.
    Exporting,
    /// It is read, and nothing is stored.
    Verifying,
    /// Its letters are stored.
    Importing,
}
