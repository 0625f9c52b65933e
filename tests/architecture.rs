//! The order of the modules and what may stand where, read off the source text.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The modules, each of which uses only what stands above it.
const ORDER: [&str; 14] = [
    "units",
    "ts",
    "synth",
    "transport",
    "measure",
    "tr101290",
    "health",
    "switch",
    "engine",
    FIRST_BELOW,
    "replay",
    "plane",
    "control",
    "demo",
];
/// The first module below the line, above which there is no clock, socket, thread, log, lock or file.
const FIRST_BELOW: &str = "config";
/// A module, and one above it that it must not use all the same: a shard and a replay both drive the engine, neither
/// the other.
const APART: (&str, &str) = ("plane", "replay");
/// What is used above the line of the standard library and the dependencies.
const ABOVE: [&str; 6] = ["core", "hdrhistogram", "std::collections", "mpeg2ts_reader", "serde", "thiserror"];
/// What of that is not.
const NOT_ABOVE: [&str; 3] = ["core::net", "core::sync", "core::time"];
/// Macros that write to somebody.
const TELLING: [&str; 5] = ["dbg", "eprint", "eprintln", "print", "println"];
/// The lines that a file may have.
const LONGEST: usize = 600;

/// A file of the source tree.
struct Source {
    path: PathBuf,
    /// The module of [`ORDER`] that it is in; none for the binary and the root.
    module: Option<String>,
    /// How many modules deep its own is: 1 for `src/ts/mod.rs`.
    depth: usize,
    words: Vec<String>,
}

impl Source {
    fn read(path: &Path) -> Self {
        let below_src = path.strip_prefix(root().join("src")).unwrap().with_extension("");
        let mut names: Vec<_> = below_src.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        names.retain(|name| name != "mod");
        let module = names.first().filter(|name| !["main", "lib", "cli"].contains(&name.as_str()));
        Self {
            path: path.to_owned(),
            module: module.cloned(),
            depth: names.len(),
            words: words(&std::fs::read_to_string(path).unwrap()),
        }
    }

    /// The modules of the crate that it names.
    fn uses(&self) -> BTreeSet<String> {
        let named = |path: &String| {
            let parts: Vec<_> = path.split("::").collect();
            let supers = parts.iter().take_while(|part| **part == "super").count();
            match parts[0] {
                "crate" => parts.get(1).copied(),
                _ if supers > 0 && supers >= self.depth => {
                    parts.get(supers).copied().filter(|name| place(name).is_some())
                }
                _ => None,
            }
            .map(str::to_owned)
        };
        paths(&self.words).iter().filter_map(named).collect()
    }

    fn is_above_the_line(&self) -> bool {
        self.module.as_ref().is_some_and(|module| place(module) < place(FIRST_BELOW))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn place(module: &str) -> Option<usize> {
    ORDER.iter().position(|it| *it == module)
}

/// Every Rust file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    files(&root().join("src")).iter().map(|path| Source::read(path)).collect()
}

/// The words and signs of a program, without comments, strings and characters.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(len) = raw_string(rest) {
            len
        } else if first == '"' || rest.starts_with("b\"") {
            quoted(rest, '"')
        } else if first == '\'' && is_character(rest) {
            quoted(rest, '\'')
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            end
        } else if rest.starts_with("::") {
            words.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                words.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[len..];
    }
    words
}

/// The length of the raw string that `text` begins with.
fn raw_string(text: &str) -> Option<usize> {
    let open = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = open.len() - open.trim_start_matches('#').len();
    let body = open[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(text.len(), |at| at + close.len());
    Some(text.len() - body.len() + end)
}

/// A character, not a lifetime.
fn is_character(text: &str) -> bool {
    let mut characters = text.chars().skip(1);
    characters.next() == Some('\\') || characters.next() == Some('\'')
}

/// The length of the string or character that `text` begins with.
fn quoted(text: &str, quote: char) -> usize {
    let from = text.find(quote).unwrap() + 1;
    let mut escaped = false;
    for (at, c) in text[from..].char_indices() {
        if !escaped && c == quote {
            return from + at + 1;
        }
        escaped = !escaped && c == '\\';
    }
    text.len()
}

/// Every path of at least two names, with the groups of `use` taken apart.
fn paths(words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        at = path(words, at, "", &mut found);
    }
    found
}

/// Reads the path that begins at `at`, behind `before`; where the words go on.
fn path(words: &[String], mut at: usize, before: &str, found: &mut Vec<String>) -> usize {
    let mut whole = before.to_owned();
    while words.get(at).is_some_and(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_')) {
        if !whole.is_empty() {
            whole.push_str("::");
        }
        whole.push_str(&words[at]);
        at += 1;
        if words.get(at).is_none_or(|word| word != "::") {
            found.extend(whole.contains("::").then_some(whole));
            return at;
        }
        at += 1;
    }
    if words.get(at).is_some_and(|word| word == "{") && !whole.is_empty() {
        at += 1;
        while words.get(at).is_some_and(|word| word != "}") {
            at = match words[at].as_str() {
                "," => at + 1,
                "as" => at + 2,
                _ => path(words, at, &whole, found),
            };
        }
    } else if whole.contains("::") {
        found.push(whole);
    }
    at + 1
}

/// The names by which the program knows its dependencies.
fn dependencies() -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("[dependencies]\n").unwrap();
    let lines = rest.lines().take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_"))).collect()
}

/// Fails with all of them at once.
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_module_uses_only_what_stands_above_it() {
    let mut wrong = Vec::new();
    for source in sources() {
        let file = source.path.display();
        let Some(module) = &source.module else { continue };
        let Some(own) = place(module) else {
            wrong.push(format!("{file}: the order does not have {module}"));
            continue;
        };
        for used in source.uses() {
            if place(&used).is_none_or(|used| used > own) || APART == (module, &used) {
                wrong.push(format!("{file}: {module} uses {used}"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn above_the_line_there_is_no_clock_socket_thread_log_lock_or_file() {
    let outside: BTreeSet<_> = dependencies().into_iter().chain(["std", "core", "alloc"].map(str::to_owned)).collect();
    let begins = |path: &str, with: &[&str]| {
        with.iter().any(|with| path.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
    };
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.is_above_the_line()) {
        let file = source.path.display();
        for path in paths(&source.words) {
            let from_outside = outside.contains(path.split("::").next().unwrap());
            if from_outside && (!begins(&path, &ABOVE) || begins(&path, &NOT_ABOVE)) {
                wrong.push(format!("{file}: {path}"));
            }
            if path == "clippy::disallowed_methods" {
                wrong.push(format!("{file}: reads a clock"));
            }
        }
        for pair in source.words.windows(2) {
            if TELLING.contains(&pair[0].as_str()) && pair[1] == "!" {
                wrong.push(format!("{file}: {}!", pair[0]));
            }
        }
    }
    none(&wrong);
}

#[test]
fn unsafe_code_stands_only_where_the_plane_meets_the_system() {
    let wrong: Vec<_> = sources()
        .iter()
        .filter(|source| source.words.iter().any(|word| word == "unsafe" || word == "unsafe_code"))
        .filter(|source| source.module.as_deref() != Some("plane") || !source.path.ends_with("sys.rs"))
        .map(|source| source.path.display().to_string())
        .collect();
    none(&wrong);
}

#[test]
fn no_file_is_too_long_to_read() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests"] {
        for path in files(&root().join(folder)) {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            if lines > LONGEST {
                wrong.push(format!("{}: {lines} lines, at most {LONGEST}", path.display()));
            }
        }
    }
    none(&wrong);
}

#[test]
fn the_reader_of_these_tests_sees_what_is_there() {
    let text = r##"
        // use crate::a; "
        /* crate::b */
        use std::{fs::{self, File}, io::Read as _, net::*};
        const C: &[&str] = &["crate::c \"", r#"crate::d" "#, "\\"];
        fn f<'a>(x: &'a str) -> crate::e::F { if x == '"' || x == '\'' { super::super::g::h() } else { todo } }
    "##;
    let found = paths(&words(text));
    assert_eq!(
        found,
        ["std::fs::self", "std::fs::File", "std::io::Read", "std::net", "crate::e::F", "super::super::g::h"]
    );
    assert!(dependencies().contains("crossbeam_channel"));
    assert!(sources().iter().any(|source| source.module.as_deref() == Some("engine") && !source.uses().is_empty()));
}
