//! What is wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// There is no plan while it stands.
    Error,
    /// There is a plan, which does something other than the file seems to want.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A point in the file, both from 1; line 0 stands for the file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Place {
    /// The file as a whole.
    pub(super) const FILE: Self = Self { line: 0, column: 0 };
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, where the text came from one.
    pub file: Option<Arc<str>>,
    /// The line, from 1; 0 where the problem is with the file as a whole.
    pub line: u32,
    /// The column in characters, from 1; 0 where the problem is with the file as a whole.
    pub column: u32,
    /// What is wrong, and what to write in its place.
    pub message: String,
    /// How much it matters.
    pub severity: Severity,
}

impl fmt::Display for Problem {
    /// As compilers do: `changeover.yaml:12:9: error: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if self.file.is_some() || self.line > 0 {
            f.write_str(" ")?;
        }
        write!(f, "{}: {}", self.severity, self.message)
    }
}

/// All that is wrong with a configuration, at least one error, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems, errors and warnings alike.
    pub fn list(&self) -> &[Problem] {
        &self.0
    }

    /// One error with the file as a whole.
    pub(super) fn whole(message: String) -> Self {
        Self(vec![Problem { file: None, line: 0, column: 0, message, severity: Severity::Error }])
    }

    /// The same problems in a named file.
    pub(super) fn in_file(mut self, file: &Arc<str>) -> Self {
        name(&mut self.0, file);
        self
    }
}

impl fmt::Display for Problems {
    /// One problem a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Says in each problem which file it is in.
pub(super) fn name(problems: &mut [Problem], file: &Arc<str>) {
    for problem in problems {
        problem.file = Some(Arc::clone(file));
    }
}

/// Gathers problems while a file is read.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Problem>);

impl Report {
    /// How many problems are shown of a file that has more: past this they are noise.
    const SHOWN: usize = 100;

    /// Something there is no plan with.
    pub(super) fn error(&mut self, at: Place, message: impl Into<String>) {
        self.add(at, message.into(), Severity::Error);
    }

    /// Something that will not be as the file seems to want it.
    pub(super) fn warning(&mut self, at: Place, message: impl Into<String>) {
        self.add(at, message.into(), Severity::Warning);
    }

    fn add(&mut self, at: Place, message: String, severity: Severity) {
        self.0.push(Problem { file: None, line: at.line, column: at.column, message, severity });
    }

    /// Whether there was an error so far.
    pub(super) fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// The plan with the warnings, or all problems.
    pub(super) fn finish<T>(self, plan: Option<T>) -> Result<(T, Vec<Problem>), Problems> {
        let failed = self.has_errors();
        let mut list = self.0;
        // An alias repeats what its anchor says, its problems too.
        list.sort_by(|a, b| {
            (a.line, a.column, a.severity, &a.message).cmp(&(b.line, b.column, b.severity, &b.message))
        });
        list.dedup();
        if failed && list.len() > Self::SHOWN {
            // An error must be among those shown.
            list.sort_by_key(|problem| problem.severity);
            let more = list.len() - Self::SHOWN;
            list.truncate(Self::SHOWN);
            list.sort_by_key(|problem| (problem.line, problem.column));
            let message = format!("and {more} problems more");
            list.push(Problem { file: None, line: 0, column: 0, message, severity: Severity::Error });
        }
        match plan {
            Some(plan) if !failed => Ok((plan, list)),
            Some(_) | None if list.is_empty() => Err(Problems::whole("there is no plan in it".to_owned())),
            Some(_) | None => Err(Problems(list)),
        }
    }
}

/// A piece of the file for a message: in backquotes, in one line, and not too long.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown = String::from("`");
    for (i, c) in text.chars().enumerate() {
        if i == LONGEST {
            shown.push('…');
            break;
        }
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown.push('`');
    shown
}

/// The one of `names` that `text` was probably meant to be.
pub(super) fn nearest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() > 64 {
        return None;
    }
    let text = text.to_ascii_lowercase().replace('-', "_");
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&text, name), name))
        .filter(|&(distance, name)| distance * 3 <= name.len().max(text.len()))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// `: did you mean x? (x, y, z)`, or ` (x, y, z)` where none is near: the end of a message about a wrong name.
pub(super) fn hint(text: &str, names: &[&str]) -> String {
    let all = names.join(", ");
    match nearest(text, names.iter().copied()) {
        Some(name) => format!(": did you mean `{name}`? ({all})"),
        None => format!(" ({all})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        let names = ["name", "url", "interface", "priority"];
        for (text, name) in
            [("prioriti", Some("priority")), ("Interface", Some("interface")), ("ttl", None), ("x", None)]
        {
            assert_eq!(nearest(text, names), name, "{text}");
        }
    }

    #[test]
    fn hostile_text_is_shown_in_one_short_line() {
        assert_eq!(quoted("a\nb\u{1b}"), "`a\\nb\\u{1b}`");
        assert_eq!(quoted(&"x".repeat(1000)).chars().count(), 63);
    }

    #[test]
    fn a_flood_of_problems_is_cut_and_keeps_an_error() {
        let mut report = Report::default();
        for line in 1..=500 {
            report.warning(Place { line, column: 1 }, "w");
        }
        report.error(Place { line: 600, column: 2 }, "e");
        let problems = report.finish(Some(())).unwrap_err();
        assert_eq!(problems.list().len(), 101);
        assert!(problems.to_string().contains("600:2: error: e"));
        assert!(problems.to_string().ends_with("error: and 401 problems more"));
    }
}
