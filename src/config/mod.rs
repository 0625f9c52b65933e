//! The YAML file and what it means.
//!
//! Text → `yaml` (a tree with places) → the readers of each part, which go on after a problem so that all problems
//! are told together → [`Plan`], which there is only without an error. Nothing here panics, hangs or overflows on
//! any text.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

mod build;
mod channel;
mod cross;
mod ends;
mod explain;
mod file;
mod limits;
mod passphrase;
mod plan;
mod problem;
mod quantity;
mod source;
mod srt;
mod srt_bond;
mod srt_keys;
mod srt_url;
mod table;
mod url;
mod yaml;

pub use explain::explain;
pub use plan::{ChannelPlan, InputPlan, Interface, NodePlan, OutputPlan, Plan};
pub use problem::{Problem, Problems, Severity};
pub use source::SrtSource;
pub use srt::{Access, Backend, Bond, BondMode, Network, Role, Second, Secret, SrtPlan, Way};
pub use url::{Endpoint, Scheme, UrlError};

impl Plan {
    /// What `text` means, with its warnings.
    ///
    /// # Errors
    /// When there is an error in it: then all problems, errors and warnings, in the order of the text.
    pub fn parse(text: &str) -> Result<(Self, Vec<Problem>), Problems> {
        let mut report = problem::Report::default();
        let plan = file::plan(text, &mut report);
        report.finish(plan)
    }

    /// What the file at `path` means, with its warnings; every problem names the file.
    ///
    /// # Errors
    /// As [`Plan::parse`], and when the file cannot be read or is longer than 1 MiB.
    pub fn load(path: &Path) -> Result<(Self, Vec<Problem>), Problems> {
        let file: Arc<str> = path.display().to_string().into();
        let (plan, mut warnings) =
            read(path).and_then(|text| Self::parse(&text)).map_err(|problems| problems.in_file(&file))?;
        problem::name(&mut warnings, &file);
        Ok((plan, warnings))
    }
}

/// The text of a file, no more of it than a configuration can have.
fn read(path: &Path) -> Result<String, Problems> {
    let failed = |error: std::io::Error| Problems::whole(format!("cannot read it: {error}"));
    let most = u64::try_from(yaml::LONGEST).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(failed)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        Problems::whole(format!("the file is not UTF-8 text: line {line} has a byte that cannot be"))
    })
}
