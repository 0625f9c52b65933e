//! Where it is shown: the screen of a terminal, drawn again in place, or lines one after the other.

use std::io::{ErrorKind, Write};

use super::path::LOSS;
use super::screen::{self, Palette, View};
use super::stage::Stage;
use super::{DemoError, Options};
use crate::units::{Instant, Span};

/// How often the screen is drawn again.
const DRAW: Span = Span::from_millis(200);
/// How often a line says how the output is, where there is no screen.
const SAY: Span = Span::from_secs(5);
/// The most switches on the screen.
const ROWS: usize = 12;

/// Whether there is somebody to show it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// There is.
    There,
    /// The reader went away, `changeover demo | head`, and wants no more.
    Gone,
}

/// What it is shown on.
pub(super) struct Show<'a> {
    out: &'a mut dyn Write,
    palette: Palette,
    /// The lines of the terminal.
    terminal: Option<usize>,
    /// The lines of the screen that is there.
    drawn: usize,
    due: Instant,
}

impl<'a> Show<'a> {
    /// Shows to `out` from `now` on.
    pub(super) fn new(options: &Options, now: Instant, out: &'a mut dyn Write) -> Self {
        let palette = if options.colours { Palette::COLOURED } else { Palette::PLAIN };
        let due = if options.terminal.is_some() { now } else { now + SAY };
        Self { out, palette, terminal: options.terminal, drawn: 0, due }
    }

    /// Says what is about to happen.
    pub(super) fn begin(&mut self, stage: &Stage) -> Result<Audience, DemoError> {
        if self.terminal.is_some() {
            return Ok(Audience::There);
        }
        let Stage { main, backup, output, srt } = stage;
        let backup = if srt.is_some() {
            format!("srt://{backup}, over a path that loses {} % each way", LOSS / 10)
        } else {
            format!("udp://{backup}")
        };
        self.write(&format!(
            "changeover demo: one programme twice, the main rtp://{main}\n\
             and the backup {backup}; the output is rtp://{output}\n\
             watch it: {}\n\n  {}\n",
            stage.viewer(),
            screen::heading()
        ))
    }

    /// How many switches there is room for.
    pub(super) fn rows(&self) -> usize {
        self.terminal.map_or(0, |lines| lines.saturating_sub(screen::LINES + 1).clamp(1, ROWS))
    }

    /// Shows what there is at `now`, and what happened since the last time.
    pub(super) fn show(&mut self, now: Instant, view: &View<'_>, happened: &[String]) -> Result<Audience, DemoError> {
        let mut text = String::new();
        let due = self.due <= now;
        if self.terminal.is_some() {
            if !due {
                return Ok(Audience::There);
            }
            self.due = now + DRAW;
            let screen = screen::screen(view, self.palette);
            text = screen::over(self.drawn, &screen);
            self.drawn = screen.lines().count();
        } else {
            for line in happened {
                text.push_str(line);
                text.push('\n');
            }
            if due {
                self.due = now + SAY;
                text.push_str(&screen::status(view));
                text.push('\n');
            }
        }
        if text.is_empty() { Ok(Audience::There) } else { self.write(&text) }
    }

    /// Leaves a line free for what follows.
    pub(super) fn end(&mut self) -> Result<Audience, DemoError> {
        self.write("\n")
    }

    fn write(&mut self, text: &str) -> Result<Audience, DemoError> {
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            Ok(()) => Ok(Audience::There),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Audience::Gone),
            Err(error) => Err(DemoError::Out(error)),
        }
    }
}
