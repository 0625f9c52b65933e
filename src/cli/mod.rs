//! The commands, each in a file of its own, and what they have in common: exit status and output.

mod analyse;
mod by_srt;
mod check;
mod demo;
mod live;
mod output;
mod replay;
mod run;
mod stop;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// How a command ended, as the shell and the service manager see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It was done.
    Done,
    /// The work says no.
    No,
    /// The command line cannot be understood.
    Usage,
    /// A thing that was needed is not to be had (`EX_UNAVAILABLE`, sysexits.h).
    Unavailable,
    /// The configuration is wrong (`EX_CONFIG`, sysexits.h).
    Config,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Done => 0,
            Status::No => 1,
            Status::Usage => 2,
            Status::Unavailable => 69,
            Status::Config => 78,
        })
    }
}

const LONG_ABOUT: &str = "\
A network-level MPEG transport stream switcher.

Each channel of the configuration has several inputs that carry the same programme. All of them are received and \
analysed (ETSI TR 101 290), the best healthy one feeds the outputs, and the stream that leaves stays one: continuity \
counters go on, and a receiver sees no change of address.";

const AFTER_HELP: &str = "\
Where to begin:
  changeover demo                                see it work, with nothing but this machine
  changeover check changeover.yaml --explain     what a configuration means, before it runs
  changeover run changeover.yaml                 run it; Ctrl-C ends it
  curl http://127.0.0.1:8080/api/v1/channels     see what it does (api.listen in the configuration)

Exit status:
  0   done
  1   the work says no: the result is not what was wanted
  2   the command line cannot be understood
  69  a thing that was needed is unavailable: a socket, an interface, a port, a file
  78  the configuration is wrong

`changeover help COMMAND` tells more of a command, with examples.";

#[derive(Parser)]
#[command(
    name = "changeover",
    version,
    about = "A network-level MPEG transport stream switcher",
    long_about = LONG_ABOUT,
    after_long_help = AFTER_HELP,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Arguments),
    Check(check::Arguments),
    Analyse(analyse::Arguments),
    Demo(demo::Arguments),
    Replay(replay::Arguments),
}

/// Does what the command line asks for.
pub(crate) fn main() -> Status {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A reader of the help that went away, `changeover --help | head`, is no error.
            let _ = error.print();
            return if error.use_stderr() { Status::Usage } else { Status::Done };
        }
    };
    match cli.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Analyse(arguments) => analyse::analyse(&arguments),
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Replay(arguments) => replay::replay(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_examples() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        for command in command.get_subcommands_mut() {
            let name = command.get_name().to_owned();
            let help = command.render_long_help().to_string();
            assert!(help.contains(&format!("  changeover {name} ")), "{help}");
        }
    }
}
