//! Lines of text of a width, with or without the colours of a terminal.

/// How wide the table is, in characters.
pub const WIDTH: usize = 100;

/// What a line is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Good,
    Warning,
    Bad,
    Quiet,
    Strong,
}

impl Style {
    /// ECMA-48 SGR.
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Quiet => "\x1b[2m",
            Self::Strong => "\x1b[1m",
        }
    }
}

/// Text that is written line by line.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    coloured: bool,
}

impl Page {
    pub(super) const fn new(coloured: bool) -> Self {
        Self { text: String::new(), coloured }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// One line; what is beyond the width, or would move the cursor, is left out.
    pub(super) fn line(&mut self, style: Style, line: &str) {
        let coloured = self.coloured && style != Style::Plain;
        if coloured {
            self.text.push_str(style.code());
        }
        self.text.extend(line.chars().filter(|c| !c.is_control()).take(WIDTH));
        if coloured {
            self.text.push_str("\x1b[0m");
        }
        self.text.push('\n');
    }

    /// An empty line and a headline.
    pub(super) fn head(&mut self, line: &str) {
        self.text.push('\n');
        self.line(Style::Strong, line);
    }

    /// `words` behind `first`, on as many lines as they take; those that follow begin at `indent`.
    pub(super) fn wrapped(&mut self, style: Style, first: &str, indent: usize, words: &str) {
        let mut line = format!("{first:<indent$}");
        if line.len() == first.len() && !line.is_empty() {
            line.push(' ');
        }
        let mut begun = false;
        for word in words.split_whitespace() {
            if begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(style, &line);
                line = format!("{:indent$}", "");
                begun = false;
            }
            if begun {
                line.push(' ');
            }
            line.push_str(word);
            begun = true;
        }
        self.line(style, line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_on_under_where_they_began() {
        let mut page = Page::new(false);
        let words = "forty-one ".repeat(12);
        page.wrapped(Style::Good, "  name", 10, &words);
        page.wrapped(Style::Plain, "  none", 10, "");
        let expected = format!("  name    {}\n          {}\n  none\n", &words[..89], &words[90..119]);
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn no_line_is_too_wide_or_moves_the_cursor() {
        let mut page = Page::new(true);
        page.line(Style::Bad, &format!("a\x1b[2J{}", "ü".repeat(200)));
        page.wrapped(Style::Plain, "", 4, &"x".repeat(200));
        let text = page.into_text();
        assert_eq!(text, format!("\x1b[31ma[2J{}\x1b[0m\n    {}\n", "ü".repeat(96), "x".repeat(96)));
    }
}
