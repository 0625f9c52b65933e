//! The command line: what is asked for, and how it ended.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main().into()
}
