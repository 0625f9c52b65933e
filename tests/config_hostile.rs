//! No text whatever makes the configuration reader panic, overflow its stack or hang.

use changeover::config::{Endpoint, Plan, Severity, explain};
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../config/changeover.yaml");

/// What the example leaves out.
const SHORT: &str = "\
channels:
  - name: a
    inputs:
      - {name: x, url: 'udp://[ff15::1%eth0]:5000', health: {pid_error: {pids: [1, 0x2]}}, source: ['2001:db8::1']}
    switch: {failback: manual, on_loss: {action: mute}, clock: continue}
    health: lenient
    outputs:
      - url: udp://239.2.2.2:5000?ttl=4&dscp=3
";

#[test]
fn hostile_text_is_an_error_and_not_a_crash() {
    let mb = 1 << 20;
    for text in [
        "[".repeat(mb),
        "- ".repeat(mb / 2),
        "{a: ".repeat(mb / 4),
        "channels: [".to_owned() + &"x,".repeat(mb / 16) + "]",
        "channels: [".to_owned() + &"{},".repeat(mb / 16) + "]",
        (0..9_000).map(|i| format!("k{i}: 1\n")).collect(),
        "channels: \"".to_owned() + &"\\x41".repeat(mb / 4 - 10) + "\"",
        "\0".into(),
        "%YAML 9.9\n---\n".into(),
        "channels: !<tag:x> []".into(),
        "a: &a [*a, *a]".into(),
        "[".repeat(250) + &"x,".repeat(mb / 32),
        "[: ".repeat(mb / 3),
        "[".to_owned() + &": ".repeat(mb / 2 - 1),
        "- - - -\n".repeat(mb / 8),
        "x".repeat(mb - 3) + ": 1",
        (0..1400).map(|i| " ".repeat(i) + "a:\n").collect(),
        "channels: []\n".repeat(mb / 16),
    ] {
        assert!(Plan::parse(&text).is_err(), "{}", text.chars().take(20).collect::<String>());
    }
}

#[test]
fn what_means_something_to_yaml_may_be_repeated_and_mixed() {
    let units = [
        "a: b\n",
        "- a\n",
        "[a: b],",
        "'x' ",
        "\"a\\\n\" ",
        "a\n\n",
        "# c\n",
        "\r",
        "|\n  x\n",
        "!a ",
        "*a ",
        "{a: b},",
        "? a\n: b\n",
        "&a x\n",
        ",",
        "[]: ",
        "a, ",
        "? ",
        "- - -\n",
        "%a\n",
        "---\na\n",
        "...\n",
        "\u{feff}",
        ": ",
        "[a, \n",
        "  a:\n   - b\n",
        "- a: 1\n  b: 2\n",
    ];
    for unit in units {
        for start in ["", "[", "{", "x: ", "x: |\n  ", "'", "\"", "- ", "[[[[[[[["] {
            for times in [3, 3000] {
                let text = start.to_owned() + &unit.repeat(times);
                let said = Plan::parse(&text).map(|_| ()).unwrap_err().to_string();
                assert!(!said.contains("gave up"), "{start:?} {unit:?}");
            }
        }
    }
}

/// What SRT has.
const SRT: &str = "\
channels:
  - name: a
    inputs:
      - name: x
        url: srt://10.0.0.1:9000?mode=caller&latency=200ms&streamid=%23!::r=a,m=b&pbkeylen=16&adapter=10.0.0.2
        srt: {backend: auto, connect: 1s, idle: 2s, buffer: 8MiB, latency: 200ms}
      - name: y
        url: srt://[::]:9001?passphrase=correct%20horse
        srt: {access: [{stream_id: a, from: [10.0.0.0/8, '2001:db8::/32']}], second: take_over}
    outputs:
      - {url: 'srt://:9002', srt: {callers: 3, payload: 1316}}
";

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any number of small edits: pieces cut, doubled, moved, and the characters that mean something to YAML put in.
    #[test]
    fn edits_of_a_configuration_never_panic(
        from in prop::sample::select(vec![EXAMPLE, SHORT, SRT]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, 0u8..4, "[-\\[\\]{}:,?&*!|>'\"#%@ \t\r\n0x~a\u{feff}é\0]{0,4}"), 1..12),
    ) {
        let mut text: Vec<char> = from.chars().collect();
        for (at, length, kind, put) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            match kind {
                0 => drop(text.drain(at..end)),
                1 => { let piece = text[at..end].to_vec(); text.splice(at..at, piece); }
                2 => { text.splice(at..end, put.chars()); }
                _ => { text.splice(at..at, put.chars()); }
            }
        }
        let text: String = text.into_iter().collect();
        match Plan::parse(&text) {
            Ok((plan, _)) => prop_assert!(!explain(&plan).is_empty()),
            Err(problems) => {
                prop_assert!(problems.list().iter().any(|p| p.severity == Severity::Error));
                prop_assert!(!problems.to_string().contains("gave up"), "{}", text);
            }
        }
    }

    /// URLs, likewise.
    #[test]
    fn urls_never_panic(url in "(udp|rtp|srt)?(://)?@?\\[?[0-9a-f:.%]{0,20}\\]?(:[0-9]{0,6})?/?(\\?[a-z]{0,9}=?[0-9a-z&=,.:]{0,20})?") {
        let _ = Endpoint::parse(&url);
    }

    /// URLs of SRT, and what follows a passphrase is not told.
    #[test]
    fn urls_of_srt_never_panic(
        front in "srt://(10.0.0.1|\\[::1\\]|\\[[0-9a-f:.%]{0,9}\\]|é)?:?[0-9]{0,6}/?",
        query in "(\\?((mode|latency|streamid|pbkeylen|adapter|payload_size|[a-z]{0,9})=[0-9a-z%&=#é]{0,9}&){0,4})?",
        rest in "[ -~]{0,9}",
    ) {
        let rest = rest.replace(['"', '\\'], "");
        let url = format!("{front}{query}{}passphrase=MARK+{rest}MARK", if query.is_empty() { "?" } else { "" });
        let text = SHORT.replace("'udp://[ff15::1%eth0]:5000'", &format!("\"{url}\""));
        let said = match Plan::parse(&text) {
            Ok((plan, warnings)) => format!("{plan:?} {warnings:?} {}", explain(&plan)),
            Err(problems) => problems.to_string(),
        };
        prop_assert!(!said.contains("MARK"), "{}: {}", url, said);
    }
}
