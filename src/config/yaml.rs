//! From text to a tree of scalars, lists and mappings, each with its place.
//!
//! Invariants: the tree is no deeper than [`gauge`] lets through, so that it can be walked by recursion; keys are
//! scalars, and unique in their mapping (the parser refuses a second one); a scalar is the text that stands in the
//! file, so that `007` and `1e3` are good names.

use std::panic::catch_unwind;

use saphyr::{LoadableYamlNode, MarkedYaml, Marker, Scalar, YamlData};

use super::gauge::{self, Refused};
use super::problem::{Place, Report, quoted};

/// The longest file, in bytes.
pub(super) const LONGEST: usize = 1 << 20;

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) data: Data,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Data {
    /// Nothing, `~` or `null`.
    Null,
    /// Text as it stands in the file, without its quotes.
    Scalar(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Data {
    /// What to call it in a message.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// The one document in `text`; what is wrong with it as YAML goes to `report`, and then there may be none.
pub(super) fn read(text: &str, report: &mut Report) -> Option<Node> {
    if text.len() > LONGEST {
        report.error(Place::FILE, format!("the file is longer than {} KiB", LONGEST / 1024));
        return None;
    }
    if let Err(refused) = gauge::check(text) {
        refuse(refused, report);
        return None;
    }
    let documents = match catch_unwind(|| MarkedYaml::load_from_str(text)) {
        Ok(Ok(documents)) => documents,
        Ok(Err(error)) => {
            report.error(place(error.marker()), plainly(error.info()));
            return None;
        }
        Err(_) => {
            refuse(Refused::Fault, report);
            return None;
        }
    };
    let mut documents = documents.into_iter();
    let first = documents.next();
    if let Some(second) = documents.next() {
        report
            .error(place(&second.span.start), "there is more than one YAML document (`---`): one file is one document");
    }
    let first = first?;
    if matches!(first.data, YamlData::BadValue) {
        return None;
    }
    let offsets = text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
    Reader { text, offsets, report }.node(&first, None)
}

/// What the parser says in terms of its grammar, in terms of what was probably done.
fn plainly(info: &str) -> String {
    match info {
        "duplicated key in mapping" => "this key is given twice in one mapping".to_owned(),
        "while parsing node, found unknown anchor" => "this alias has no anchor before it".to_owned(),
        info if info.contains("recursion limit") => "nested too deeply".to_owned(),
        info if info.contains("alias expansion") => "the aliases stand for too much".to_owned(),
        info if info.contains("tab") => format!("not YAML: {info}; indent with blanks, not with tabs"),
        info => format!("not YAML: {info}"),
    }
}

fn refuse(refused: Refused, report: &mut Report) {
    match refused {
        Refused::Depth(marker) => {
            report.error(place(&marker), format!("nested too deeply: more than {} levels", gauge::DEEPEST));
        }
        Refused::Copies => {
            report.error(Place::FILE, "too many anchors (`&`) and aliases (`*`) for a file of this length");
        }
        Refused::Fault => report.error(Place::FILE, "not YAML, and in a way that the parser gave up on"),
    }
}

fn place(marker: &Marker) -> Place {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: number(marker.line()), column: number(marker.col()).saturating_add(1) }
}

struct Reader<'a> {
    text: &'a str,
    /// The byte offset of each character, and of the end.
    offsets: Vec<usize>,
    report: &'a mut Report,
}

impl Reader<'_> {
    /// `yaml` as a node. What is empty has the place of its key.
    fn node(&mut self, yaml: &MarkedYaml<'_>, key: Option<Place>) -> Option<Node> {
        let at = place(&yaml.span.start);
        let data = match &yaml.data {
            YamlData::Value(Scalar::Null) => {
                let place = key.filter(|_| yaml.span.is_empty()).unwrap_or(at);
                return Some(Node { place, data: Data::Null });
            }
            YamlData::Value(scalar) => Data::Scalar(self.scalar(scalar, yaml)),
            YamlData::Representation(text, ..) => Data::Scalar(text.clone().into_owned()),
            YamlData::Sequence(items) => Data::List(items.iter().filter_map(|item| self.node(item, None)).collect()),
            YamlData::Mapping(mapping) => {
                Data::Map(mapping.iter().filter_map(|(key, value)| self.entry(key, value)).collect())
            }
            YamlData::Tagged(tag, _) => {
                self.report.error(at, format!("the YAML tag {} means nothing here", quoted(&tag.to_string())));
                return None;
            }
            YamlData::BadValue | YamlData::Alias(_) => {
                self.report
                    .error(at, "not YAML: a value that is not of the type that its tag says, or an alias to itself");
                return None;
            }
        };
        Some(Node { place: at, data })
    }

    fn entry(&mut self, key: &MarkedYaml<'_>, value: &MarkedYaml<'_>) -> Option<Entry> {
        let Node { place, data } = self.node(key, None)?;
        match data {
            Data::Scalar(key) => {
                let value = self.node(value, Some(place))?;
                Some(Entry { key, place, value })
            }
            Data::Null | Data::List(_) | Data::Map(_) => {
                self.report.error(place, format!("a key must be a name, and this is {}", data.kind()));
                None
            }
        }
    }

    /// A scalar as it was written: the parser has turned `007` into 7.
    fn scalar(&self, scalar: &Scalar<'_>, yaml: &MarkedYaml<'_>) -> String {
        let shown = match scalar {
            Scalar::String(text) => return text.clone().into_owned(),
            Scalar::Null => String::new(),
            Scalar::Boolean(value) => value.to_string(),
            Scalar::Integer(value) => value.to_string(),
            Scalar::FloatingPoint(value) => value.to_string(),
        };
        let written = self
            .offsets
            .get(yaml.span.start.index())
            .zip(self.offsets.get(yaml.span.end.index()))
            .and_then(|(&start, &end)| self.text.get(start..end)?.split_whitespace().next_back());
        match written {
            // An anchor stands before it and is left out; where an alias stands, the text is its name.
            Some(written) if Scalar::parse_from_cow(written.into()) == *scalar => written.to_owned(),
            Some(_) | None => shown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        let mut report = Report::default();
        let node = read(text, &mut report);
        drop(node);
        report.finish::<()>(None).unwrap_err().to_string()
    }

    fn show(node: &Node) -> String {
        let at = format!("@{}:{}", node.place.line, node.place.column);
        match &node.data {
            Data::Null => format!("null{at}"),
            Data::Scalar(text) => format!("{text}{at}"),
            Data::List(items) => format!("[{}]{at}", items.iter().map(show).collect::<Vec<_>>().join(" ")),
            Data::Map(entries) => {
                let entries =
                    entries.iter().map(|e| format!("{}@{}:{}={}", e.key, e.place.line, e.place.column, show(&e.value)));
                format!("{{{}}}{at}", entries.collect::<Vec<_>>().join(" "))
            }
        }
    }

    fn shown(text: &str) -> String {
        let mut report = Report::default();
        let node = read(text, &mut report);
        assert!(!report.has_errors(), "{:?}", report.finish::<()>(None));
        show(&node.unwrap())
    }

    #[test]
    fn scalars_are_what_was_written_and_have_their_place() {
        assert_eq!(
            shown("é: [007, 0x10, 1e3, true, off, '2.10', ~]\nb:\nc: null\n"),
            "{é@1:1=[007@1:5 0x10@1:10 1e3@1:16 true@1:21 off@1:27 2.10@1:32 null@1:40]@1:4 b@2:1=null@2:1 \
             c@3:1=null@3:4}@1:1"
        );
        assert_eq!(shown("a:\n  - b: 1\n    c: 2\n"), "{a@1:1=[{b@2:5=1@2:8 c@3:5=2@3:8}@2:5]@2:3}@1:1");
    }

    #[test]
    fn anchors_and_aliases_stand_for_the_same_thing() {
        assert_eq!(
            shown("a: &x {k: 010}\nb: *x\nc: &y 010\nd: *y\n"),
            "{a@1:1={k@1:8=010@1:11}@1:4 b@2:1={k@1:8=010@1:11}@2:4 c@3:1=010@3:4 d@4:1=10@4:4}@1:1"
        );
    }

    #[test]
    fn what_is_not_yaml_is_said_with_its_place() {
        for (text, message) in [
            ("a: 1\nb: 2\na: 3\n", "3:1: error: this key is given twice in one mapping"),
            ("a: *x\n", "1:4: error: this alias has no anchor before it"),
            (
                "a: !!int x\n",
                "1:4: error: not YAML: a value that is not of the type that its tag says, or an alias to itself",
            ),
            (
                "a: &x [*x]\n",
                "1:8: error: not YAML: a value that is not of the type that its tag says, or an alias to itself",
            ),
            ("a: !foo {b: 1}\n", "1:4: error: the YAML tag `!foo` means nothing here"),
            ("? [a]\n: b\n", "1:3: error: a key must be a name, and this is a list"),
            ("a: 1\n---\nb: 2\n", "3:1: error: there is more than one YAML document (`---`): one file is one document"),
            ("a: [\n", "2:1: error: not YAML: while parsing a node, did not find expected node content"),
        ] {
            assert_eq!(problems(text), message, "{text}");
        }
    }

    #[test]
    fn nesting_ends_in_an_error_and_not_in_a_crash() {
        let deep = 100_000;
        for text in [
            "[".repeat(deep),
            "{".repeat(deep),
            "{a: ".repeat(deep),
            "- ".repeat(deep),
            "? ".repeat(deep),
            "[: ".repeat(deep),
            "[".to_owned() + &": ".repeat(deep),
            "x: [".to_owned() + &"? ".repeat(deep),
            "[".repeat(200) + &"]".repeat(200),
            (0..deep / 100).map(|i| " ".repeat(i) + "a:\n").collect(),
            (0..deep / 100).map(|i| " ".repeat(i) + "-\r").collect(),
        ] {
            let said = problems(&text);
            assert!(said.contains("nested too deeply") || said.contains("not YAML"), "{}: {said}", &text[..10]);
        }
        assert_eq!(problems(&"- ".repeat(100)), "1:25: error: nested too deeply: more than 12 levels");
    }

    #[test]
    fn anchors_cannot_be_made_to_multiply() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..10 {
            let before = format!("*a{}", i - 1);
            laughs += &format!("a{i}: &a{i} [{}]\n", [before.as_str(); 9].join(", "));
        }
        assert!(problems(&laughs).contains("the aliases stand for too much"), "{}", problems(&laughs));
        let copies = "- &a [x]\n- *a\n".repeat(100);
        assert!(problems(&copies).contains("too many anchors"), "{}", problems(&copies));
        assert_eq!(problems(&"x".repeat(LONGEST + 1)), "error: the file is longer than 1024 KiB");
    }
}
