//! Passphrases, from files and from the environment. No message tells one, nor what may have been meant as one.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::problem::{Place, Report};
use super::srt::Secret;
use super::srt_url::secret_of;
use super::table::Table;

/// The keys that name a passphrase.
pub(super) const KEYS: [&str; 2] = ["passphrase_file", "passphrase_env"];
/// The key that is not taken, for a message of its own.
pub(super) const REFUSED: &str = "passphrase";

/// The longest file that is read, in bytes.
const LONGEST: u64 = 1024;
/// The bit of a file's mode that lets anybody read it.
const READ_BY_ALL: u32 = 0o004;

/// The passphrase that the keys of `table` name, and where.
pub(super) fn read(table: &Table<'_>, report: &mut Report) -> Option<(Secret, Place)> {
    let [file, env] = KEYS;
    if let Some(node) = table.node(REFUSED) {
        report.error(
            node.place,
            "a passphrase does not stand in the configuration: write it into a file that only this service can read, \
             and name that with `passphrase_file`",
        );
    }
    if let (Some(_), Some(node)) = (table.node(file), table.node(env)) {
        report.error(node.place, "`passphrase_env` and `passphrase_file` are both given: leave one out");
    }
    let mut warning = None;
    let from_file = table.value(file, |path| in_file(path, &mut warning), report);
    if let Some(warning) = warning {
        report.warning(table.at(file), warning);
    }
    let from_env = table.value(env, in_environment, report);
    match (from_file, from_env) {
        (Some(secret), _) => Some((secret, table.at(file))),
        (None, Some(secret)) => Some((secret, table.at(env))),
        (None, None) => None,
    }
}

/// The passphrase in the file at `path`.
fn in_file(path: &str, warning: &mut Option<String>) -> Result<Secret, String> {
    let path = Path::new(path);
    if !path.is_absolute() {
        return Err("this is not the whole path of a file, as in /etc/changeover/news.key".to_owned());
    }
    let name = path.display();
    // Looked at before it is opened: the opening of a pipe waits for its other end.
    let about = std::fs::metadata(path).map_err(|error| format!("{name}: {error}"))?;
    if !about.is_file() {
        return Err(format!("{name} is not a file"));
    }
    if about.len() == 0 {
        return Err(format!("{name} is empty: it holds a passphrase of 10…79 bytes"));
    }
    if about.mode() & READ_BY_ALL != 0 {
        *warning = Some(format!("{name} can be read by everybody on this host: chmod o-r {name}"));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{name}: {error}"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("{name} is not UTF-8 text"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.contains(['\n', '\r']) {
        return Err(format!("{name} has more than one line: it holds the passphrase and nothing else"));
    }
    secret_of(text).map_err(|error| format!("{name}: {error}"))
}

/// The passphrase in the environment variable `name`.
fn in_environment(name: &str) -> Result<Secret, String> {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err("this is not the name of an environment variable: letters, digits and `_`".to_owned());
    }
    let text = std::env::var(name).map_err(|error| match error {
        std::env::VarError::NotPresent => "the environment variable of this name is not set".to_owned(),
        std::env::VarError::NotUnicode(_) => "the environment variable of this name is not UTF-8 text".to_owned(),
    })?;
    secret_of(&text).map_err(|error| format!("in the environment variable of this name, {error}"))
}
