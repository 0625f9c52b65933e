//! Small configurations to build wrong ones from.
#![allow(dead_code, unreachable_pub)]

use changeover::config::Plan;

/// The smallest configuration.
pub const SMALL: &str = "\
channels:
  - name: a
    inputs:
      - name: x
        url: udp://239.1.1.1:5000
    outputs:
      - url: udp://239.2.2.2:5000
";

/// All problems of a text, warnings or not, one a line.
pub fn problems(text: &str) -> String {
    match Plan::parse(text) {
        Ok((_, warnings)) => warnings.iter().map(|w| format!("{w}\n")).collect::<String>().trim_end().to_owned(),
        Err(problems) => problems.to_string(),
    }
}

/// [`SMALL`] with lines added to its input, its channel and its output.
pub fn with(input: &str, channel: &str, output: &str) -> String {
    let indent = |text: &str, by: usize| text.lines().map(|l| format!("{}{l}\n", " ".repeat(by))).collect::<String>();
    SMALL.replace("    outputs:\n", &format!("{}{}    outputs:\n", indent(input, 8), indent(channel, 4)))
        + &indent(output, 8)
}
