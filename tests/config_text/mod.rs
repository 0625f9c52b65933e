//! Small configurations to build wrong ones from.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

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

/// A multicast group.
pub const GROUP: &str = "udp://239.1.1.1:5000";
/// Another.
pub const TO: &str = "udp://239.2.2.2:5000";

/// One channel: the URL of its input is at 4:25, that of its output at 6:14. The lines stand below each.
pub fn text(input: &str, below_input: &str, output: &str, below_output: &str) -> String {
    let indent = |text: &str| text.lines().map(|line| format!("        {line}\n")).collect::<String>();
    format!(
        "channels:\n  - name: a\n    inputs:\n      - name: x\n        url: \"{input}\"\n{}    outputs:\n      - url: \
         \"{output}\"\n{}",
        indent(below_input),
        indent(below_output)
    )
}

/// What `text` means; its problems end the test.
pub fn plan(text: &str) -> Plan {
    match Plan::parse(text) {
        Ok((plan, _)) => plan,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

/// A file in a folder that goes when the test ends.
pub fn key(folder: &tempfile::TempDir, name: &str, content: &[u8], mode: u32) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}
