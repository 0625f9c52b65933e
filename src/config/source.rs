//! A URL of SRT by itself, as a command has it that receives one stream.

use super::ends::{self, Inherited};
use super::passphrase;
use super::plan::InputPlan;
use super::problem::{Place, Report, Severity};
use super::srt_keys::IN_URL;
use super::yaml::{Data, Entry, Node};
use crate::health::Limits;
use crate::tr101290;
use crate::units::Span;

/// A stream that is received by SRT.
#[derive(Clone, Debug)]
pub struct SrtSource {
    /// What the URL means.
    pub plan: InputPlan,
    /// The passphrase stands in the URL.
    pub is_exposed: bool,
    /// What will not be as the URL seems to want it, in sentences.
    pub warnings: Vec<String>,
}

impl SrtSource {
    /// What `url` means, with the passphrase that is in a file or in an environment variable of these names.
    ///
    /// # Errors
    /// All that is wrong with it, in sentences. None tells a passphrase.
    pub fn of(url: &str, file: Option<&str>, variable: Option<&str>) -> Result<Self, Vec<String>> {
        let [file_key, variable_key] = passphrase::KEYS;
        let given = [("name", Some("source")), ("url", Some(url)), (file_key, file), (variable_key, variable)];
        let entry = |(key, value): (&str, Option<&str>)| {
            let value = Node { place: Place::FILE, data: Data::Scalar(value?.to_owned()) };
            Some(Entry { key: key.to_owned(), place: Place::FILE, value })
        };
        let node = Node { place: Place::FILE, data: Data::Map(given.into_iter().filter_map(entry).collect()) };
        let inherited = Inherited {
            delay: Span::ZERO,
            slack: Span::ZERO,
            limits: Limits::NONE,
            analyser: tr101290::Settings::default(),
        };
        let mut report = Report::default();
        let input = ends::input(&node, &inherited, &mut Vec::new(), &mut report);
        match report.finish(input) {
            Ok((input, problems)) => {
                let (exposed, warnings): (Vec<_>, Vec<_>) =
                    problems.into_iter().map(|problem| problem.message).partition(|message| message == IN_URL);
                Ok(Self { plan: input.plan, is_exposed: !exposed.is_empty(), warnings })
            }
            Err(problems) => {
                let errors = problems.list().iter().filter(|problem| problem.severity == Severity::Error);
                Err(errors.map(|problem| problem.message.clone()).collect())
            }
        }
    }
}
