//! What is wrong with a file.

use thiserror::Error;

use super::place::Place;
use crate::setting::SettingError;

/// A file of the lab that cannot be used: which setting is wrong, where it stands, and what is allowed.
///
/// ```
/// use recoup::lab::Scenario;
///
/// let error = Scenario::from_toml("timeout = 30\n[fleet]\nclients = 50\nrate_per_client = 10.0").unwrap_err();
/// assert_eq!((error.line, error.setting.as_deref()), (Some(1), Some("timeout")));
/// assert_eq!(error.to_string(), "line 1: `timeout`: 30 has no unit; write \"30s\", \"30ms\" or the like");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{problem}", line.map_or(String::new(), |line| format!("line {line}: ")))]
#[non_exhaustive]
pub struct FileError {
    /// The line that it stands on, from 1, if it stands on one.
    pub line: Option<usize>,
    /// The setting by its key, unless the file cannot be read at all.
    pub setting: Option<String>,
    /// What is wrong with it, and what would be right, on one line. Names the setting.
    pub problem: String,
}

impl FileError {
    /// The parser's words for what stands here.
    pub(super) fn of(place: Place, said: &str) -> Self {
        let said = said.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        // The parser names what is unknown, missing or written twice, and nothing else.
        let named = ["unknown field `", "missing field `", "duplicate field `"]
            .iter()
            .find_map(|start| said.strip_prefix(start)?.split('`').next());
        let setting = named.map(str::to_owned).or(place.key);
        let problem = match &setting {
            Some(key) if named.is_none() => format!("`{key}`: {said}"),
            _ => said,
        };
        Self { line: Some(place.line), setting, problem }
    }

    /// A setting that cannot work, of a file with this text.
    pub(super) fn refused(error: &SettingError, line: Option<usize>) -> Self {
        Self { line, setting: Some(error.setting.to_owned()), problem: error.to_string() }
    }
}
