//! Where the log goes, and in which form.
//!
//! A person at a terminal reads lines, the journal gets fields, and whatever else collects standard error gets one
//! JSON object a line.

use std::io::IsTerminal;
use std::os::linux::fs::MetadataExt;

use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

/// The environment variable that holds a filter where the command line gives none.
pub const VARIABLE: &str = "CHANGEOVER_LOG";

/// The filter where nobody gives one.
const DEFAULT: &str = "info";

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Lines for a person.
    Lines,
    /// A JSON object a line.
    Json,
    /// The journal's own protocol.
    Journal,
}

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error(
        "the log filter `{filter}` cannot be read: {problem}. It is a level (error, warn, info, debug, trace), or \
         levels by part of the program, like `warn,changeover::control=debug`"
    )]
    Filter {
        /// The filter as it was given.
        filter: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Somebody in this process started a log before.
    #[error("the log runs already")]
    Running,
}

/// Starts the log of the process on standard error. `filter` goes before the variable `CHANGEOVER_LOG`, and without
/// either it is `info`.
pub fn start(filter: Option<&str>) -> Result<(), LogError> {
    let variable = std::env::var(VARIABLE).ok().filter(|text| !text.trim().is_empty());
    let filter = parse(filter.or(variable.as_deref()).unwrap_or(DEFAULT))?;
    let registry = tracing_subscriber::registry().with(filter);
    let started = match form() {
        Form::Lines => {
            let lines = fmt::layer().with_target(false).with_ansi(colours()).with_writer(std::io::stderr);
            registry.with(lines.fmt_fields(fields())).try_init()
        }
        Form::Journal => match tracing_journald::layer() {
            Ok(journal) => registry
                .with(journal.with_syslog_identifier("changeover".into()).with_field_prefix(Some("CHANGEOVER".into())))
                .try_init(),
            Err(_) => registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init(),
        },
        Form::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init(),
    };
    started.map_err(|_| LogError::Running)
}

/// The fields of a line for a person: without the event as JSON, which the message says in words.
fn fields() -> impl for<'writer> FormatFields<'writer> + 'static {
    let field = |writer: &mut Writer<'_>, field: &Field, value: &dyn std::fmt::Debug| match field.name() {
        "message" => write!(writer, "{value:?}"),
        super::events::FIELD => Ok(()),
        name => write!(writer, "{name}={value:?}"),
    };
    fmt::format::debug_fn(field).delimited(" ")
}

fn parse(text: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder()
        .parse(text)
        .map_err(|problem| LogError::Filter { filter: text.to_owned(), problem: problem.to_string() })
}

fn form() -> Form {
    if std::io::stderr().is_terminal() {
        Form::Lines
    } else if std::env::var("JOURNAL_STREAM").is_ok_and(|stream| is_standard_error(&stream)) {
        Form::Journal
    } else {
        Form::Json
    }
}

/// Whether the user wants colours (<https://no-color.org>).
fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether `stream`, the value of `JOURNAL_STREAM` (systemd.exec(5)), is the device and inode of standard error: a
/// child that inherits the variable but has its standard error elsewhere is not to write into the journal.
fn is_standard_error(stream: &str) -> bool {
    let Some((device, inode)) = stream.split_once(':') else { return false };
    let (Ok(device), Ok(inode)) = (device.parse::<u64>(), inode.parse::<u64>()) else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|it| it.st_dev() == device && it.st_ino() == inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_error_is_known_by_its_device_and_inode() {
        let it = std::fs::metadata("/proc/self/fd/2").unwrap();
        assert!(is_standard_error(&format!("{}:{}", it.st_dev(), it.st_ino())));
        assert!(!is_standard_error(&format!("{}:{}", it.st_dev(), it.st_ino() + 1)));
        for nonsense in ["", ":", "8", "8:", "a:b", "8:9:10"] {
            assert!(!is_standard_error(nonsense), "{nonsense}");
        }
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_shown_with_what_it_may_be() {
        assert!(parse("warn,changeover::control=debug").is_ok());
        let message = parse("changeover=loud").unwrap_err().to_string();
        assert!(message.contains("changeover=loud") && message.contains("debug"), "{message}");
    }
}
