//! From text to a tree of scalars, lists and mappings, each with its place.
//!
//! The parser gives one event after another, and calls neither itself nor anything of ours; [`build`] puts them
//! together and holds the limits as they come.
//!
//! Invariants: the tree is no deeper than [`build::DEEPEST`], so that it can be walked by recursion; keys are scalars,
//! and unique in their mapping (a second one is a problem, and left out); a scalar is the text that stands in the
//! file, so that `007` and `1e3` are good names.

use saphyr_parser::{Event, Marker, Parser};

use super::build::{self, Builder, Limit, Start};
use super::problem::{Place, Report};

/// The longest file, in bytes.
pub(super) const LONGEST: usize = 1 << 20;

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) data: Data,
}

/// What a value is.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
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
    let mut builder = Builder::default();
    let mut documents = 0;
    for event in Parser::new_from_iter(text.chars()) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                report.error(place(error.marker()), plainly(error.info()));
                return None;
            }
        };
        let at = place(&span.start);
        if documents > 1 {
            report.error(at, "there is more than one YAML document (`---`): one file is one document");
            break;
        }
        let built = match event {
            Event::DocumentStart(_) => {
                documents += 1;
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::Scalar(text, style, anchor, tag) => {
                builder.scalar(text, style, Start { place: at, anchor, tag: tag.as_deref() }, report)
            }
            Event::SequenceStart(anchor, tag) => builder.list(Start { place: at, anchor, tag: tag.as_deref() }, report),
            Event::MappingStart(anchor, tag) => {
                builder.mapping(Start { place: at, anchor, tag: tag.as_deref() }, report)
            }
            Event::SequenceEnd | Event::MappingEnd => builder.end(report),
            Event::Alias(anchor) => builder.alias(anchor, at, report),
        };
        if let Err(limit) = built {
            refuse(limit, at, report);
            return None;
        }
    }
    builder.finish()
}

/// What the parser says in terms of its grammar, in terms of what was probably done.
fn plainly(info: &str) -> String {
    match info {
        "while parsing node, found unknown anchor" => "this alias has no anchor before it".to_owned(),
        info if info.contains("recursion limit") => "nested too deeply".to_owned(),
        info if info.contains("tab") => format!("not YAML: {info}; indent with blanks, not with tabs"),
        info => format!("not YAML: {info}"),
    }
}

fn refuse(limit: Limit, at: Place, report: &mut Report) {
    match limit {
        Limit::Depth => report.error(at, format!("nested too deeply: more than {} levels", build::DEEPEST)),
        Limit::Nodes => report.error(at, format!("too much in one file: more than {} keys and values", build::MOST)),
        Limit::Marks => report
            .error(at, format!("too many anchors (`&`) and aliases (`*`): more than {} in one file", build::MARKS)),
        Limit::Copied => report.error(at, "the aliases stand for too much"),
        Limit::Tagged => report.error(at, "too many YAML tags (`!`), or too long ones"),
        Limit::Fault => report.error(at, "not YAML, and in a way that the parser gave up on"),
    }
}

fn place(marker: &Marker) -> Place {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: number(marker.line()), column: number(marker.col()).saturating_add(1) }
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
            "{a@1:1={k@1:8=010@1:11}@1:4 b@2:1={k@1:8=010@1:11}@2:4 c@3:1=010@3:4 d@4:1=010@4:4}@1:1"
        );
    }

    #[test]
    fn what_is_not_yaml_is_said_with_its_place() {
        for (text, message) in [
            (
                "a: 1\nb: 2\na: {b: !x c}\n'a': ~\n",
                "3:1: error: this key is given twice in one mapping, first at 1:1\n\
                 3:8: error: the YAML tag `!x` means nothing here\n\
                 4:1: error: this key is given twice in one mapping, first at 1:1",
            ),
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
    fn levels_count_where_an_alias_stands_too() {
        let nested = |n: usize, inner: &str| "[".repeat(n) + inner + &"]".repeat(n);
        assert!(shown(&nested(build::DEEPEST, "")).contains("@1:12"));
        let text = |n: usize| format!("a: &a {}\nb: &b {}\nc: [*b]\n", nested(4, ""), nested(n, "*a"));
        assert!(shown(&text(build::DEEPEST - 6)).contains("c@3:1=[[[[[[["));
        let said = problems(&text(build::DEEPEST - 5));
        assert_eq!(said, "3:5: error: nested too deeply: more than 12 levels");
        // What was told before stays told.
        let said = problems(&format!("a: 1\na: 2\nb: {}", nested(20, "")));
        assert_eq!(
            said,
            "2:1: error: this key is given twice in one mapping, first at 1:1\n\
             3:15: error: nested too deeply: more than 12 levels"
        );
    }

    #[test]
    fn tags_of_yaml_itself_are_understood_and_no_others() {
        assert_eq!(
            shown("[!!str ~, !!null ~, !!int 010, !<tag:yaml.org,2002:str> x, !!seq [], !!map {}, !!bool 'x']"),
            "[~@1:2 null@1:11 010@1:21 x@1:32 []@1:60 {}@1:70 x@1:80]@1:1"
        );
        assert_eq!(
            problems("[!a b, !!int x, !!str [], !!seq {}, !!set {}]").lines().count(),
            5,
            "each is a problem of its own"
        );
        // A handle may stand for a long prefix, again and again.
        let prefix = format!("%TAG !x! tag:{}\n---\n[", "x".repeat(LONGEST / 4));
        let said = problems(&(prefix + &"!x!a b, ".repeat(LONGEST / 16) + "]"));
        assert!(said.contains("too many YAML tags"), "{said}");
    }

    #[test]
    fn a_file_has_a_bounded_number_of_nodes() {
        // The list counts, too.
        let text = |n: usize| "x: [".to_owned() + &"~,".repeat(n) + "]";
        assert!(shown(&text(build::MOST - 3)).contains("null"));
        assert!(problems(&text(build::MOST - 2)).contains("more than 65536 keys and values"));
        for many in ["- ", "? ", "x: 1\n", "[]: x\n", "~: x\n", "- x\n", "--- x\n"] {
            let mut report = Report::default();
            drop(read(&many.repeat(LONGEST / many.len()), &mut report));
            assert!(report.has_errors(), "{many}");
        }
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
        // One long text is copied but a few times.
        let long = format!("- &a {}\n{}", "x".repeat(LONGEST / 2), "- *a\n".repeat(90));
        assert!(problems(&long).contains("the aliases stand for too much"), "{}", problems(&long));
        assert_eq!(problems(&"x".repeat(LONGEST + 1)), "error: the file is longer than 1024 KiB");
    }
}
