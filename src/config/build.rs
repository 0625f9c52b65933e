//! Nodes put together from what the parser says, one event at a time.
//!
//! Invariants: what is open stands on a stack of at most [`DEEPEST`] frames, and no finished node is higher than what
//! is left of that, copies by an alias among it; there are no more than [`MOST`] nodes in the text, and no more than
//! [`COPIED`] is copied. Each is looked at before anything is made or copied, so that no text can grow past them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Seen;

use saphyr_parser::{ScalarStyle, Tag};

use super::problem::{Place, Report, quoted};
use super::yaml::{Data, Entry, Node};

/// The deepest nesting; the format itself needs 8.
pub(super) const DEEPEST: usize = 12;

/// The most keys and values that stand in a file: some hundred channels with all that can be said of them.
pub(super) const MOST: usize = 1 << 16;

/// The most anchors and aliases.
pub(super) const MARKS: usize = 100;

/// The most that anchors and aliases copy, in bytes: of text, and [`NODE`] for each node.
const COPIED: usize = 4 << 20;
const NODE: usize = 16;

/// The most text of tags, in bytes. A tag may stand for a long prefix, which the parser copies for each.
const TAGGED: usize = 1 << 16;

/// Where the tags of YAML itself begin.
const CORE: &str = "tag:yaml.org,2002:";

const WRONG: &str = "not YAML: a value that is not of the type that its tag says, or an alias to itself";

/// A limit that the text goes over, which ends the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Nested too deeply.
    Depth,
    /// Too many keys and values.
    Nodes,
    /// Too many anchors and aliases.
    Marks,
    /// The aliases stand for too much.
    Copied,
    /// Too many tags, or too long ones.
    Tagged,
    /// The events are not those of nested nodes, so the parser has a fault.
    Fault,
}

/// How a node begins.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) place: Place,
    /// The number of its anchor; 0 for none.
    pub(super) anchor: usize,
    pub(super) tag: Option<&'a Tag>,
}

/// What an alias stands for, and what it takes to copy it.
#[derive(Debug)]
struct Built {
    node: Node,
    /// Levels of nesting in it: none in a scalar.
    height: usize,
    /// Bytes, as [`COPIED`] counts them.
    size: usize,
}

/// A list or mapping whose end has not come.
#[derive(Debug)]
struct Frame {
    place: Place,
    /// The number of its anchor; 0 for none.
    anchor: usize,
    /// Whether its tag was refused, so that nothing is made of it.
    refused: bool,
    /// Of what is in it so far.
    height: usize,
    size: usize,
    inside: Inside,
}

#[derive(Debug)]
enum Inside {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashMap<String, Place>, next: Next },
}

/// What comes next in a mapping.
#[derive(Debug)]
enum Next {
    /// A key.
    Key,
    /// The value of this key.
    Value(String, Place),
    /// The value of a key that was refused, which is dropped.
    Dropped,
}

/// Puts the nodes of one document together.
#[derive(Debug, Default)]
pub(super) struct Builder {
    open: Vec<Frame>,
    anchors: HashMap<usize, Built>,
    root: Option<Node>,
    nodes: usize,
    marks: usize,
    copied: usize,
    tagged: usize,
}

impl Builder {
    /// The node that everything else is in; none while there is nothing, and when it was refused.
    pub(super) fn finish(self) -> Option<Node> {
        self.root
    }

    /// A scalar.
    pub(super) fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        at: Start<'_>,
        report: &mut Report,
    ) -> Result<(), Limit> {
        self.count(&at)?;
        let plain = style == ScalarStyle::Plain;
        let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
        let absent = text.is_empty() && plain && at.tag.is_none() && at.anchor == 0;
        let size = NODE + text.len();
        let data = match sense(at.tag) {
            Sense::Unknown(tag) => {
                report.error(at.place, unknown(tag));
                None
            }
            Sense::Core(kind) if plain && !is_of(&text, kind) => {
                report.error(at.place, WRONG);
                None
            }
            Sense::None | Sense::Core("null") if null => Some(Data::Null),
            Sense::None | Sense::Core(_) => Some(Data::Scalar(text.into_owned())),
        };
        // Where nothing stands at all, its key does.
        let place = if absent { self.key().unwrap_or(at.place) } else { at.place };
        let built = data.map(|data| Built { node: Node { place, data }, height: 0, size });
        self.put(built, at.place, at.anchor, report)
    }

    /// The start of a list.
    pub(super) fn list(&mut self, at: Start<'_>, report: &mut Report) -> Result<(), Limit> {
        self.open(at, "seq", Inside::List(Vec::new()), report)
    }

    /// The start of a mapping.
    pub(super) fn mapping(&mut self, at: Start<'_>, report: &mut Report) -> Result<(), Limit> {
        self.open(at, "map", Inside::Map { entries: Vec::new(), seen: HashMap::new(), next: Next::Key }, report)
    }

    /// The end of a list or mapping.
    pub(super) fn end(&mut self, report: &mut Report) -> Result<(), Limit> {
        let frame = self.open.pop().ok_or(Limit::Fault)?;
        let data = match frame.inside {
            Inside::List(items) => Data::List(items),
            Inside::Map { entries, next: Next::Key, .. } => Data::Map(entries),
            Inside::Map { next: Next::Value(..) | Next::Dropped, .. } => return Err(Limit::Fault),
        };
        let node = Node { place: frame.place, data };
        let built = Built { node, height: frame.height + 1, size: frame.size + NODE };
        self.put((!frame.refused).then_some(built), frame.place, frame.anchor, report)
    }

    /// An alias of what has the number `anchor`.
    pub(super) fn alias(&mut self, anchor: usize, place: Place, report: &mut Report) -> Result<(), Limit> {
        self.count(&Start { place, anchor, tag: None })?;
        let Some(Built { node, height, size }) = self.anchors.get(&anchor) else {
            report.error(place, WRONG);
            return self.put(None, place, 0, report);
        };
        let (height, size) = (*height, *size);
        if self.open.len() + height > DEEPEST {
            return Err(Limit::Depth);
        }
        self.copied += size;
        if self.copied > COPIED {
            return Err(Limit::Copied);
        }
        let node = Node { place, data: node.data.clone() };
        self.put(Some(Built { node, height, size }), place, 0, report)
    }

    /// Counts one node more.
    fn count(&mut self, at: &Start<'_>) -> Result<(), Limit> {
        self.nodes += 1;
        self.marks += usize::from(at.anchor > 0);
        self.tagged += at.tag.map_or(0, |tag| tag.handle.len() + tag.suffix.len());
        match () {
            () if self.nodes > MOST => Err(Limit::Nodes),
            () if self.marks > MARKS => Err(Limit::Marks),
            () if self.tagged > TAGGED => Err(Limit::Tagged),
            () => Ok(()),
        }
    }

    fn open(&mut self, at: Start<'_>, own: &str, inside: Inside, report: &mut Report) -> Result<(), Limit> {
        self.count(&at)?;
        if self.open.len() == DEEPEST {
            return Err(Limit::Depth);
        }
        let refused = match sense(at.tag) {
            Sense::Unknown(tag) => {
                report.error(at.place, unknown(tag));
                true
            }
            Sense::Core(kind) if kind != own => {
                report.error(at.place, WRONG);
                true
            }
            Sense::Core(_) | Sense::None => false,
        };
        self.open.push(Frame { place: at.place, anchor: at.anchor, refused, height: 0, size: 0, inside });
        Ok(())
    }

    /// Where the key is whose value comes next.
    fn key(&self) -> Option<Place> {
        match &self.open.last()?.inside {
            Inside::Map { next: Next::Value(_, place), .. } => Some(*place),
            Inside::Map { next: Next::Key | Next::Dropped, .. } | Inside::List(_) => None,
        }
    }

    /// Puts a node where it belongs, and what was refused nowhere.
    fn put(&mut self, built: Option<Built>, place: Place, anchor: usize, report: &mut Report) -> Result<(), Limit> {
        if let (Some(Built { node, height, size }), true) = (&built, anchor > 0) {
            self.copied += size;
            if self.copied > COPIED {
                return Err(Limit::Copied);
            }
            self.anchors.insert(anchor, Built { node: node.clone(), height: *height, size: *size });
        }
        let (height, size) = built.as_ref().map_or((0, 0), |built| (built.height, built.size));
        let node = built.map(|built| built.node);
        let Some(frame) = self.open.last_mut() else {
            self.root = node;
            return Ok(());
        };
        frame.height = frame.height.max(height);
        frame.size += size;
        match &mut frame.inside {
            Inside::List(items) => items.extend(node),
            Inside::Map { entries, seen, next } => match std::mem::replace(next, Next::Key) {
                Next::Key => *next = node.map_or(Next::Dropped, |node| as_key(node, place, seen, report)),
                Next::Value(key, place) => entries.extend(node.map(|value| Entry { key, place, value })),
                Next::Dropped => {}
            },
        }
        Ok(())
    }
}

/// What `node` is the key of, in a mapping whose keys so far are `seen`.
fn as_key(node: Node, place: Place, seen: &mut HashMap<String, Place>, report: &mut Report) -> Next {
    match node.data {
        Data::Scalar(key) => match seen.entry(key) {
            Seen::Vacant(vacant) => {
                let key = vacant.key().clone();
                vacant.insert(place);
                Next::Value(key, place)
            }
            Seen::Occupied(first) => {
                let Place { line, column } = first.get();
                report.error(place, format!("this key is given twice in one mapping, first at {line}:{column}"));
                Next::Dropped
            }
        },
        Data::Null | Data::List(_) | Data::Map(_) => {
            report.error(place, format!("a key must be a name, and this is {}", node.data.kind()));
            Next::Dropped
        }
    }
}

/// What a tag makes of a node.
enum Sense<'a> {
    /// There is none.
    None,
    /// What YAML itself has under this name.
    Core(&'a str),
    /// Nothing known.
    Unknown(&'a Tag),
}

fn sense(tag: Option<&Tag>) -> Sense<'_> {
    let Some(tag) = tag else { return Sense::None };
    let core = match tag.handle.as_str() {
        CORE => Some(tag.suffix.as_str()),
        // As it is written out: `!<tag:yaml.org,2002:str>`.
        "" => tag.suffix.strip_prefix(CORE),
        _ => None,
    };
    core.map_or(Sense::Unknown(tag), Sense::Core)
}

/// Whether `text` can be what YAML calls `kind`.
fn is_of(text: &str, kind: &str) -> bool {
    match kind {
        "str" => true,
        "null" => matches!(text, "" | "~" | "null"),
        "bool" => matches!(text, "true" | "false"),
        "int" => text.parse::<i64>().is_ok(),
        "float" => text.parse::<f64>().is_ok(),
        _ => false,
    }
}

fn unknown(tag: &Tag) -> String {
    format!("the YAML tag {} means nothing here", quoted(&tag.to_string()))
}
