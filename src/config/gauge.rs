//! Whether a text can be handed to the YAML parser at all.
//!
//! The parser calls itself for each level of nesting, with no limit of its own that holds everywhere, and copies what
//! an anchor marks as often as it is marked and used. So the text goes through it twice. The first time it builds
//! nothing: its nodes only count, and when there is too much of something they unwind out of it. Nothing can slip
//! through, since every level and every copy passes here before the next; the second time, both are known to be few.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use saphyr::{AnnotatedMapping, LoadableYamlNode, Marker, Tag, Yaml};

/// The deepest nesting; the format itself needs 8.
pub(super) const DEEPEST: usize = 12;

/// The most anchors and aliases, and the most of them times bytes of text, since each may copy most of it.
const COPIES: usize = 100;
const COPIED: usize = 2 << 20;

/// Why a text is not handed to the parser.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused {
    /// Nested too deeply, from here.
    Depth(Marker),
    /// Too many anchors and aliases for so long a text.
    Copies,
    /// The parser has a fault, and this text meets it.
    Fault,
}

#[derive(Clone, Copy, Default)]
struct Count {
    depth: usize,
    copies: usize,
    most_copies: usize,
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { depth: 0, copies: 0, most_copies: 0 }) };
}

/// Looks whether `text` is fit to be parsed. What is wrong with it as YAML is not told here.
pub(super) fn check(text: &str) -> Result<(), Refused> {
    COUNT.set(Count { most_copies: COPIES.min(COPIED / text.len().max(1)), ..Count::default() });
    match catch_unwind(AssertUnwindSafe(|| drop(Gauge::load_from_str(text)))) {
        Ok(()) => Ok(()),
        Err(payload) => Err(payload.downcast_ref().copied().unwrap_or(Refused::Fault)),
    }
}

/// A node that holds nothing: being neither a sequence nor a mapping, it loses what the loader puts into it.
#[derive(Default)]
struct Gauge {
    never_a_sequence: Vec<Self>,
    never_a_mapping: AnnotatedMapping<'static, Self>,
}

impl Clone for Gauge {
    fn clone(&self) -> Self {
        let mut count = COUNT.get();
        count.copies += 1;
        COUNT.set(count);
        if count.copies > count.most_copies {
            resume_unwind(Box::new(Refused::Copies));
        }
        Self::default()
    }
}

impl<'input> LoadableYamlNode<'input> for Gauge {
    type HashKey = Self;

    fn from_bare_yaml(_: Yaml<'input>) -> Self {
        Self::default()
    }

    fn is_sequence(&self) -> bool {
        false
    }

    fn is_mapping(&self) -> bool {
        false
    }

    fn is_badvalue(&self) -> bool {
        false
    }

    fn sequence_mut(&mut self) -> &mut Vec<Self> {
        &mut self.never_a_sequence
    }

    fn mapping_mut(&mut self) -> &mut AnnotatedMapping<'static, Self> {
        &mut self.never_a_mapping
    }

    fn into_tagged(self, _: std::borrow::Cow<'input, Tag>) -> Self {
        self
    }

    fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    fn with_start_marker(self, marker: Marker) -> Self {
        let mut count = COUNT.get();
        count.depth += 1;
        COUNT.set(count);
        if count.depth > DEEPEST {
            resume_unwind(Box::new(Refused::Depth(marker)));
        }
        self
    }

    fn with_end_marker(self, _: Marker) -> Self {
        let mut count = COUNT.get();
        count.depth = count.depth.saturating_sub(1);
        COUNT.set(count);
        self
    }
}

impl PartialEq for Gauge {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

impl Eq for Gauge {}

impl Hash for Gauge {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_on_the_way_in_and_out() {
        assert!(check(&("[".repeat(DEEPEST) + &"]".repeat(DEEPEST))).is_ok());
        assert!(check(&"- [[[]], {a: {b: c}}]\n".repeat(100)).is_ok());
        assert!(matches!(check(&"[".repeat(DEEPEST + 1)), Err(Refused::Depth(marker)) if marker.col() == DEEPEST));
        // What was left behind by an error does not count for the next text.
        assert!(check("[[[[").is_ok());
        assert!(check(&("[".repeat(DEEPEST) + &"]".repeat(DEEPEST))).is_ok());
    }

    #[test]
    fn levels_count_even_where_the_loader_has_given_up() {
        // Once in error, the loader looks at nothing, and a duplicate key or too many aliases are errors to it.
        for error in ["a: 1\na: 2\n".to_owned(), "a: &a [1]\n".to_owned() + &"? *a\n".repeat(90)] {
            let text = error + "b: [" + &": ".repeat(100_000);
            assert!(matches!(check(&text), Err(Refused::Depth(_) | Refused::Copies)), "{}", &text[..20]);
        }
    }

    #[test]
    fn copies_are_counted() {
        let text = |n: usize| "&a x: *a\n".replace('a', "b") + &"y: *b\n".repeat(n);
        assert!(check(&text(COPIES - 2)).is_ok());
        assert!(matches!(check(&text(COPIES)), Err(Refused::Copies)));
        let long = "# ".to_owned() + &"x".repeat(1 << 20) + "\n" + &text(2);
        assert!(matches!(check(&long), Err(Refused::Copies)));
    }
}
