//! Any text as a configuration: read, or refused with reasons; and told in words where it is read.

use changeover::config::{Plan, explain};

/// One run: `data` is the text of a file.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Plan::parse(&text) {
        Ok((plan, warnings)) => {
            let channels = plan.setup().channels;
            assert_eq!(channels.len(), plan.channels.len());
            assert!(channels.iter().all(|c| (1..=16).contains(&c.inputs.len())), "an engine takes 1 to 16 inputs");
            assert!(channels.iter().all(|c| (1..=7).contains(&c.gather.packets)), "a datagram takes 1 to 7 packets");
            assert!(!explain(&plan).is_empty());
            assert!(warnings.iter().all(|w| !w.to_string().is_empty()));
        }
        Err(problems) => assert!(!problems.list().is_empty() && !problems.to_string().is_empty()),
    }
}
