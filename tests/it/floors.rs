//! The house stands: imports only go down, files stay readable, and what may be named where is named there.

#![expect(clippy::unwrap_used, reason = "sources that cannot be read fail the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which floor each module is on. A new module finds its place here, or the test fails.
const FLOORS: &[(&str, u8)] = &[
    // Floor 0: words that everyone shares.
    ("time", 0),
    ("random", 0),
    ("sync", 0),
    ("setting", 0),
    ("attempt", 0),
    ("classification", 0),
    ("backoff", 0),
    ("window", 0),
    ("event", 0),
    ("nested", 0),
    ("priority", 0),
    ("rejection", 0),
    ("shutdown", 0),
    ("timer", 0),
    // Floor 1: one question each.
    ("bulkhead", 1),
    ("circuit_breaker", 1),
    ("classify", 1),
    ("concurrency_limit", 1),
    ("cooldown", 1),
    ("dead_letter", 1),
    ("hedge", 1),
    ("load_shedder", 1),
    ("rate_limit", 1),
    ("retry", 1),
    ("timeout", 1),
    // Floor 2: the call.
    ("call", 2),
    ("error", 2),
    // Floor 3: front doors.
    ("coalesce", 3),
    ("fallback", 3),
    ("hedging", 3),
    ("reconnect", 3),
    ("recovery", 3),
    ("redrive", 3),
    ("retrying", 3),
    ("spill", 3),
    ("statistics", 3),
    // Floor 4: leaves.
    ("adapters", 4),
    ("archive", 4),
    ("bin", 4),
    ("envelope", 4),
    ("edit", 4),
    ("lab", 4),
    ("testing", 4),
];

/// Lines that a file may have before its tests.
const LONGEST_FILE: usize = 400;

struct Source {
    path: PathBuf,
    /// The module of `src/` that the file belongs to; `lib` for the root.
    module: String,
    /// What stands before the tests, without comments.
    code: Vec<String>,
    lines_before_tests: usize,
    whole: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let whole = fs::read_to_string(&path).unwrap();
                let first = path.strip_prefix(&root).unwrap().components().next().unwrap();
                let module = Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned();
                let only_tests = is_test_only(&root, &path);
                let before: Vec<&str> = if only_tests {
                    Vec::new()
                } else {
                    whole.lines().take_while(|line| line.trim() != "#[cfg(test)]").collect()
                };
                let code = before
                    .iter()
                    .map(|line| line.split("//").next().unwrap().to_owned())
                    .filter(|line| !line.trim().is_empty())
                    .collect();
                found.push(Source { module, code, lines_before_tests: before.len(), whole, path });
            }
        }
    }
    assert!(found.len() > 30, "the sources are where they were");
    found
}

/// Whether the file is a module that its parent declares for tests only, or for tests under a checker.
fn is_test_only(root: &Path, path: &Path) -> bool {
    let parent = path.parent().unwrap();
    if parent == root {
        return false;
    }
    let name = path.file_stem().unwrap().to_str().unwrap();
    let declaration = fs::read_to_string(parent.with_extension("rs")).unwrap_or_default();
    let mut lines = declaration.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        let for_tests = line == "#[cfg(test)]" || line.starts_with("#[cfg(all(test, ");
        if for_tests && lines.peek().is_some_and(|next| next.ends_with(&format!("mod {name};"))) {
            return true;
        }
    }
    false
}

fn floor(module: &str) -> u8 {
    let known = FLOORS.iter().find(|(name, _)| *name == module);
    known.unwrap_or_else(|| panic!("`{module}` has no floor: give it one in tests/it/floors.rs")).1
}

/// The command is a crate of its own: it sees of the library what any user sees, and `crate` is itself.
fn is_the_library(source: &Source) -> bool {
    source.module != "bin"
}

/// The modules that a line names by `crate::`.
fn named(line: &str) -> Vec<String> {
    line.match_indices("crate::")
        .map(|(at, _)| line[at + "crate::".len()..].chars())
        .map(|rest| rest.take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        .collect()
}

#[test]
fn imports_only_go_down() {
    let mut wrong = Vec::new();
    for source in
        sources().iter().filter(|source| source.module != "lib").filter(|source| is_the_library(source))
    {
        let here = floor(&source.module);
        for line in &source.code {
            for module in named(line) {
                if module == source.module {
                    continue;
                }
                let there = floor(&module);
                let sideways = here == 1 && there == 1;
                if there > here || sideways || (here < 4 && there == 4) {
                    wrong.push(format!("{}: {}", source.path.display(), line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not go down:\n{}", wrong.join("\n"));
}

#[test]
fn no_two_modules_import_each_other() {
    let mut arrows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in
        sources().iter().filter(|source| source.module != "lib").filter(|source| is_the_library(source))
    {
        let from = arrows.entry(source.module.clone()).or_default();
        from.extend(source.code.iter().flat_map(|line| named(line)).filter(|to| *to != source.module));
    }
    for (from, targets) in &arrows {
        for to in targets {
            let back = arrows.get(to).is_some_and(|back| back.contains(from));
            // The call's hooks show its error, and the error is made by the call: one idea on one floor.
            let one_floor = floor(from) == 2 && floor(to) == 2;
            assert!(!back || one_floor, "`{from}` and `{to}` import each other");
        }
    }
}

#[test]
fn foreign_crates_are_named_where_they_belong() {
    for source in sources() {
        for line in &source.code {
            let at = |file: &str| source.path.ends_with(file);
            // The tests that the kit's macro makes are their user's, and so is the tokio that they name.
            let made = at("testing/conformance/cases.rs") && line.contains("#[tokio::test(");
            if line.contains("tokio::") && !made {
                assert!(
                    at("src/time.rs") || ["bin", "sync"].contains(&source.module.as_str()),
                    "{}: {line}",
                    source.path.display()
                );
            }
            if ["std::sync::atomic", "loom::", "shuttle::"].iter().any(|word| line.contains(word)) {
                let elsewhere = source.module == "bin" && line.contains("std::");
                assert!(source.module == "sync" || elsewhere, "{}: {line}", source.path.display());
            }
            if ["serde::", "serde(", "serde_json::", "toml::", "humantime::"]
                .iter()
                .any(|word| line.contains(word))
            {
                let lab =
                    source.path.components().any(|part| part.as_os_str() == "files") || at("lab/files.rs");
                let writes = ["archive", "bin", "envelope"].contains(&source.module.as_str());
                // What stands in bodies of HTTP and in a service config.
                let wire = ["http", "tonic", "axum"].iter().any(|leaf| {
                    let folder = Path::new("src/adapters").join(leaf);
                    let path = source.path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
                    path.starts_with(&folder) || path == folder.with_extension("rs")
                });
                assert!(writes || lab || wire, "{}: {line}", source.path.display());
            }
            if line.contains("lexopt") {
                assert!(source.module == "bin", "{}: {line}", source.path.display());
            }
            if line.contains("moka::") {
                assert!(source.module == "adapters", "{}: {line}", source.path.display());
            }
            if line.contains("redb::") && !line.contains("adapters::redb::") {
                assert!(source.module == "adapters", "{}: {line}", source.path.display());
            }
            if line.contains("tracing::") {
                let module = &source.module;
                assert!(module == "adapters" || !line.contains("use tracing"), "{}", source.path.display());
            }
        }
    }
}

#[test]
fn files_are_short_enough_to_be_one_idea() {
    for source in sources() {
        let lines = source.lines_before_tests;
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines before its tests", source.path.display());
    }
}

#[test]
fn cfg_stands_on_mod_lines_and_derives_only() {
    for source in sources() {
        let lines: Vec<&str> = source.whole.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            // An attribute that a checker's `cfg` turns on stands where its file is chosen.
            if line.trim().starts_with("#[cfg(") || line.trim().starts_with("#[cfg_attr(recoup_") {
                let mut after = lines[at + 1..].iter().map(|next| next.trim());
                let next = after.find(|next| !next.starts_with("#[")).unwrap_or_default();
                let on_mod =
                    next.starts_with("mod ") || next.starts_with("pub mod ") || next.contains(" mod ");
                // What a leaf of a feature exports stands at the root; what a part of it exports, in the leaf.
                let exports = source.module == "lib" && next.starts_with("pub use crate::adapters::")
                    || source.module == "adapters" && next.starts_with("pub use self::");
                assert!(on_mod || exports, "{}:{}: {line}", source.path.display(), at + 1);
            }
        }
    }
}

#[test]
fn core_does_not_print_spawn_or_sleep() {
    // A store in a file has threads of its own, all started in one place: tasks must not wait for disks.
    // The lab and its command are no core: they simulate on as many threads as there are cores, and wait for them.
    let simulates = |source: &Source| ["bin", "lab"].contains(&source.module.as_str());
    for source in sources() {
        for line in &source.code {
            for word in
                ["println!", "eprintln!", "dbg!", "todo!", "unimplemented!", "thread::sleep", "spawn("]
            {
                let opens = word == "spawn(" && source.path.ends_with("src/adapters/redb/opening.rs");
                let joined = word == "spawn(" && simulates(&source) && line.contains("scope.spawn(");
                assert!(!line.contains(word) || joined || opens, "{}: {line}", source.path.display());
            }
        }
    }
}
