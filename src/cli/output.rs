//! Words to standard output and error, to somebody who may have gone away.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use changeover::config::Plan;

use super::Status;

/// Puts `text` out. A reader that went away wants no more of it, which is no error; that it cannot be written for
/// another reason is told.
pub(super) fn print(text: &str) -> Result<(), Status> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(format_args!("changeover: standard output cannot be written: {error}"));
            Err(Status::Unavailable)
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// One line, or several, to standard error; there is nobody to tell when that fails.
pub(super) fn complain(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The plan of a configuration file. What is wrong with it, and what is only odd, goes to standard error.
pub(super) fn load(path: &Path) -> Result<Plan, Status> {
    match Plan::load(path) {
        Ok((plan, warnings)) => {
            for warning in warnings {
                complain(warning);
            }
            Ok(plan)
        }
        Err(problems) => {
            complain(&problems);
            Err(Status::Config)
        }
    }
}
