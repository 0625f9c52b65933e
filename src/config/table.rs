//! Reading the keys of one mapping: what is unknown, of the wrong kind or out of range goes to the report.
//!
//! A reader that finds something wrong gives back the default or nothing, so that the rest of the file is still looked
//! at; there is no plan then, so that what it gave back is never used.

use super::problem::{Place, Report, hint, quoted};
use super::quantity;
use super::yaml::{Data, Entry, Node};
use crate::units::Span;

/// The mapping under one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    place: Place,
    entries: &'a [Entry],
}

impl<'a> Table<'a> {
    /// A mapping that is not there, and so has no keys.
    pub(super) const EMPTY: Self = Self { place: Place::FILE, entries: &[] };

    /// `node` as a mapping that has no other keys than `keys`. A key with nothing under it counts as an empty
    /// mapping, since that is what remains when everything under it is commented out.
    pub(super) fn open(node: &'a Node, what: &str, keys: &[&str], report: &mut Report) -> Option<Self> {
        Self::open_with(node, what, keys, &[], report)
    }

    /// The same, where the keys `also` are let through for the caller to say what is wrong with them.
    pub(super) fn open_with(
        node: &'a Node,
        what: &str,
        keys: &[&str],
        also: &[&str],
        report: &mut Report,
    ) -> Option<Self> {
        let entries: &[Entry] = match &node.data {
            Data::Map(entries) => entries,
            Data::Null => &[],
            Data::Scalar(_) | Data::List(_) => {
                let (kind, keys) = (node.data.kind(), keys.join(", "));
                report.error(node.place, format!("{what} is a mapping ({keys}), and this is {kind}"));
                return None;
            }
        };
        for entry in entries {
            if !keys.contains(&entry.key.as_str()) && !also.contains(&entry.key.as_str()) {
                report.error(entry.place, format!("unknown key {}{}", quoted(&entry.key), hint(&entry.key, keys)));
            }
        }
        Some(Self { place: node.place, entries })
    }

    /// Where it begins.
    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// Where the value of `key` begins, or else the mapping.
    pub(super) fn at(&self, key: &str) -> Place {
        self.node(key).map_or(self.place, |node| node.place)
    }

    /// Where `key` itself begins, or else the mapping.
    pub(super) fn key_place(&self, key: &str) -> Place {
        self.entries.iter().find(|entry| entry.key == key).map_or(self.place, |entry| entry.place)
    }

    /// What stands under `key`; a key that stands there with nothing under it counts.
    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The mapping under `key`, an empty one where there is none.
    pub(super) fn table(&self, key: &str, keys: &[&str], report: &mut Report) -> Self {
        self.node(key)
            .and_then(|node| Self::open(node, &quoted(key), keys, report))
            .unwrap_or(Self { place: self.place, ..Self::EMPTY })
    }

    /// The items of the list under `key`.
    pub(super) fn list(&self, key: &str, report: &mut Report) -> &'a [Node] {
        match self.node(key) {
            None => &[],
            Some(Node { data: Data::List(items), .. }) => items,
            Some(node) => {
                report.error(node.place, format!("{} is a list, and this is {}", quoted(key), node.data.kind()));
                &[]
            }
        }
    }

    /// The text under `key`.
    pub(super) fn text(&self, key: &str, report: &mut Report) -> Option<(&'a str, Place)> {
        let node = self.node(key)?;
        let text = scalar(node, key, report)?;
        Some((text, node.place))
    }

    /// What `read` makes of the text under `key`.
    pub(super) fn value<T>(
        &self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
        report: &mut Report,
    ) -> Option<T> {
        let (text, place) = self.text(key, report)?;
        read(text).map_err(|message| report.error(place, format!("{}: {message}", quoted(key)))).ok()
    }

    /// The duration under `key`, which is in `range`.
    pub(super) fn span(&self, key: &str, range: (Span, Span), report: &mut Report) -> Option<Span> {
        let read = |text: &str| {
            let span = quantity::span(text)?;
            if (range.0..=range.1).contains(&span) {
                Ok(span)
            } else {
                Err(format!("{} is out of range: {}…{}", quoted(text), range.0, range.1))
            }
        };
        self.value(key, read, report)
    }

    /// The whole number under `key`, which is in `range`.
    pub(super) fn whole<T>(&self, key: &str, range: (T, T), report: &mut Report) -> Option<T>
    where
        T: TryFrom<i64> + Into<i64> + Copy,
    {
        self.value(key, |text| quantity::whole(text, range.0, range.1), report)
    }

    /// The one of `choices` that is named under `key`, and where.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)], report: &mut Report) -> Option<(T, Place)> {
        let (text, place) = self.text(key, report)?;
        choice(text, place, key, choices, report).map(|chosen| (chosen, place))
    }
}

/// The one of `choices` that `text` names.
pub(super) fn choice<T: Copy>(
    text: &str,
    place: Place,
    key: &str,
    choices: &[(&str, T)],
    report: &mut Report,
) -> Option<T> {
    let found = choices.iter().find(|(name, _)| *name == text).map(|&(_, chosen)| chosen);
    if found.is_none() {
        let names: Vec<&str> = choices.iter().map(|&(name, _)| name).collect();
        report.error(place, format!("{}: unknown value {}{}", quoted(key), quoted(text), hint(text, &names)));
    }
    found
}

/// The text of `node`, which stands under `key`.
pub(super) fn scalar<'a>(node: &'a Node, key: &str, report: &mut Report) -> Option<&'a str> {
    let message = match &node.data {
        Data::Scalar(text) => return Some(text),
        Data::Null => format!("{} has no value", quoted(key)),
        Data::List(_) | Data::Map(_) => format!("{} is a single value, and this is {}", quoted(key), node.data.kind()),
    };
    report.error(node.place, message);
    None
}

/// A name that appears in metrics, paths and events, and so is kept plain.
pub(super) fn plain_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a name cannot be empty".to_owned());
    }
    if let Some(c) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-".contains(*c)) {
        let c = quoted(&c.to_string());
        return Err(format!("{} has a {c} in it: a name has letters, digits, `.`, `_` and `-`", quoted(text)));
    }
    if text.len() > 64 {
        return Err(format!("{} is too long for a name: at most 64 characters", quoted(text)));
    }
    Ok(text.to_owned())
}

/// A text that is only shown.
pub(super) fn free_text(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().count() > 64 || text.chars().any(char::is_control) {
        return Err(format!("{}: 1…64 characters in one line", quoted(text)));
    }
    Ok(text.to_owned())
}
