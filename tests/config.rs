//! The configuration as an operator meets it: what is wrong is said in the right place and words.

use std::io::Write;

use changeover::config::{Interface, Plan, Severity, explain};
use changeover::health::{Criterion, Limit, Limits, PidScope, Profile, Raise};
use changeover::switch::policy::{Failback, LossAction, Mode, Order};
use changeover::transport::Framing;
use changeover::units::{Pid, Span};

const EXAMPLE: &str = include_str!("../config/changeover.yaml");

/// The smallest configuration.
const SMALL: &str = "\
channels:
  - name: a
    inputs:
      - name: x
        url: udp://239.1.1.1:5000
    outputs:
      - url: udp://239.2.2.2:5000
";

/// All problems of a text, warnings or not, one a line.
fn problems(text: &str) -> String {
    match Plan::parse(text) {
        Ok((_, warnings)) => warnings.iter().map(|w| format!("{w}\n")).collect::<String>().trim_end().to_owned(),
        Err(problems) => problems.to_string(),
    }
}

/// [`SMALL`] with lines added to its input, its channel and its output.
fn with(input: &str, channel: &str, output: &str) -> String {
    let indent = |text: &str, by: usize| text.lines().map(|l| format!("{}{l}\n", " ".repeat(by))).collect::<String>();
    SMALL.replace("    outputs:\n", &format!("{}{}    outputs:\n", indent(input, 8), indent(channel, 4)))
        + &indent(output, 8)
}

fn plan(text: &str) -> Plan {
    match Plan::parse(text) {
        Ok((plan, _)) => plan,
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn the_example_has_no_problem_and_its_comments_show_the_defaults() {
    assert_eq!(problems(EXAMPLE), "");
    let shown = plan(EXAMPLE);
    // A comment that holds a key, as opposed to prose, has it right after `# ` and its value ends before the next.
    let mut text = String::new();
    for line in EXAMPLE.lines() {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        let key = rest.strip_prefix("# ").filter(|rest| {
            let word = rest.trim_start().trim_start_matches("# ").split(':').next().unwrap_or_default();
            rest.contains(':') && !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        });
        let skip = ["source:", "health: strict", "health: lenient", "udp:", "domain:", "name:"];
        match key {
            Some(key) if !skip.iter().any(|s| key.trim_start().starts_with(s)) => {
                text += &format!("{indent}{key}\n");
            }
            Some(_) | None => text += &format!("{line}\n"),
        }
    }
    assert_ne!(text, EXAMPLE);
    for key in
        ["\n    switch:", "\n      dwell: 2s", "\n    health:", "\n      input_loss:", "\n        ttl:", "\n  listen:"]
    {
        assert!(text.contains(key), "{key}: {text}");
    }
    assert_eq!(problems(&text), "", "{text}");
    assert_eq!(explain(&plan(&text)), explain(&shown), "{text}");
}

#[test]
fn the_defaults_are_what_the_manual_says() {
    let plan = plan(SMALL);
    let channel = &plan.channels[0];
    assert_eq!(plan.api, Some("127.0.0.1:8080".parse().unwrap()));
    assert!(!plan.node.name.is_empty());
    assert_eq!(channel.mode, Mode::Auto);
    assert_eq!(channel.setup.delay, Span::from_millis(100));
    assert_eq!(channel.setup.policy, Default::default());
    assert_eq!((channel.setup.gather.packets, channel.setup.gather.hold), (7, Span::from_millis(10)));
    assert_eq!(channel.setup.gather.ssrc, 0xe40c_292c);
    let (input, setup) = (&channel.inputs[0], &channel.setup.inputs[0]);
    assert_eq!((input.receive_buffer, input.interface.as_ref(), input.sources.len()), (8 << 20, None, 0));
    assert_eq!((setup.priority, setup.framing, setup.reorder), (0, Framing::Auto, Span::from_millis(20)));
    assert_eq!(setup.capacity, 1140 + 128);
    assert_eq!(setup.limits, Limits::of(Profile::Standard));
    let output = &channel.outputs[0];
    assert_eq!((output.rtp, output.ttl, output.dscp, output.interface.as_ref()), (false, 16, 0, None));
    assert_eq!(plan.setup().channels.len(), 1);
}

#[test]
fn every_key_arrives_in_the_plan() {
    let text = "
node: {name: rack-12, domain: north}
api: off
channels:
  - name: news
    inputs:
      - name: main
        url: rtp://239.10.1.1:5004
        interface: eth1
        source: 10.0.0.5
        priority: 100
        domain: north
      - name: backup
        url: udp://0.0.0.0:9000?buffer=1MiB
        priority: 50
        standby: hot
        health: lenient
      - name: third
        url: udp://[ff15::1]:9000
        interface: 2001:db8::1
        source: [2001:db8::2, 2001:db8::3]
        priority: -1
        reorder: 5ms
        receive_buffer: 65536
        max_bit_rate: 8Mb/s
        analysis: {pcr: 40ms}
        health: {crc_error: {raise: {above: 3, within: 2s}}, input_loss: off}
    switch:
      mode: cut
      order: random
      failback: manual
      dwell: 3s
      max_per_minute: 0
      delay: 1.5s
      clock: signal
      pace: arrival
      hole: silent
      on_loss: {action: mute, after: 500ms}
    health:
      profile: strict
      input_loss: {raise: {for: 300ms}, clear: {for: 7s}}
      continuity_count_error: {clear: {for: 10s}}
      pid_error: {pids: [0x100, 257]}
      pts_error: off
    analysis: {pat: 100ms, pid_data: 10s}
    datagram: {packets: 5, hold: 4ms}
    outputs:
      - url: rtp://239.20.1.1:5004
        interface: eth2
        ttl: 16
        dscp: 34
      - url: udp://10.0.0.9:5004?ttl=3&dscp=46
";
    assert_eq!(problems(text), "");
    let plan = plan(text);
    assert_eq!((plan.node.name.as_str(), plan.node.domain.as_deref(), plan.api), ("rack-12", Some("north"), None));
    let channel = &plan.channels[0];
    assert_eq!(channel.mode, Mode::Cut);
    let policy = channel.setup.policy;
    assert_eq!((policy.order, policy.failback, policy.dwell), (Order::Random, Failback::Manual, Span::from_secs(3)));
    assert_eq!((policy.max_per_minute, policy.on_loss), (0, LossAction::Mute));
    assert_eq!((policy.on_loss_after, channel.setup.delay), (Span::from_millis(500), Span::from_millis(1500)));
    assert_eq!((channel.setup.gather.packets, channel.setup.gather.hold), (5, Span::from_millis(4)));

    let [main, backup, third] = &channel.inputs[..] else { panic!("three inputs") };
    assert_eq!(main.interface, Some(Interface::Name("eth1".into())));
    assert_eq!(main.sources, ["10.0.0.5".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!((main.domain.as_deref(), main.url.as_str()), (Some("north"), "rtp://239.10.1.1:5004"));
    assert_eq!((backup.receive_buffer, backup.address.to_string().as_str()), (1 << 20, "0.0.0.0:9000"));
    assert_eq!(third.interface, Some(Interface::Address("2001:db8::1".parse().unwrap())));
    assert_eq!((third.sources.len(), third.receive_buffer), (2, 65536));

    let [main, backup, third] = &channel.setup.inputs[..] else { panic!("three inputs") };
    assert_eq!((main.priority, main.framing, third.priority, third.framing), (100, Framing::Rtp, -1, Framing::Auto));
    assert_eq!(third.reorder, Span::from_millis(5));
    let lasting = |raise, clear| Limit { raise: Raise::Lasting(raise), clear, pids: PidScope::ALL };
    assert_eq!(main.limits.limit(Criterion::InputLoss), Some(&lasting(Span::from_millis(300), Span::from_secs(7))));
    assert_eq!(
        main.limits.limit(Criterion::ContinuityCountError).map(|l| (l.raise, l.clear)),
        Some((Raise::Counted { above: 0, within: Span::from_secs(1) }, Span::from_secs(10)))
    );
    let pids = main.limits.limit(Criterion::PidError).unwrap();
    assert_eq!(
        (pids.pids.pids(), pids.raise),
        (&[Pid::new(0x100), Pid::new(0x101)][..], Raise::Lasting(Span::from_millis(500)))
    );
    assert_eq!(main.limits.limit(Criterion::PtsError), None);
    assert_eq!(backup.limits, Limits::of(Profile::Lenient));
    assert_eq!(third.limits.limit(Criterion::InputLoss), None);
    assert_eq!(third.limits.limit(Criterion::PidError), main.limits.limit(Criterion::PidError));
    assert_eq!(
        third.limits.limit(Criterion::CrcError).map(|l| (l.raise, l.clear)),
        Some((Raise::Counted { above: 3, within: Span::from_secs(2) }, Span::from_secs(5)))
    );
    assert_eq!((main.analyser.pat, main.analyser.pid_data), (Span::from_millis(100), Span::from_secs(10)));
    assert_eq!((third.analyser.pat, third.analyser.pcr), (Span::from_millis(100), Span::from_millis(40)));

    let [first, second] = &channel.outputs[..] else { panic!("two outputs") };
    assert_eq!((first.rtp, first.ttl, first.dscp), (true, 16, 34));
    assert_eq!((second.rtp, second.ttl, second.dscp), (false, 3, 46));

    let said = explain(&plan);
    for part in [
        "node rack-12 in domain north\nAPI off\n",
        "channel news\n",
        "join 239.10.1.1:5004 on eth1, only from 10.0.0.5; RTP only; RTP reorder 20ms",
        "bind to 0.0.0.0:9000; TS or RTP, recognised",
        "input_loss                         lasting 300ms; cleared after 7s without",
        "continuity_count_error             any at all; cleared after 10s without",
        "pid_error                          lasting 500ms on PID 0x100, 0x101; cleared after 5s without",
        "crc_error                          more than 3 within 2s; cleared after 5s without",
        "output RTP to 239.20.1.1:5004 from eth2, TTL 16, DSCP 34",
    ] {
        assert!(said.contains(part), "{part}\n---\n{said}");
    }
}

#[test]
fn what_this_version_cannot_do_is_a_warning_where_it_is_written() {
    let text = "\
channels:
  - name: news
    inputs:
      - name: main
        url: rtp://239.10.1.1:5004
        interface: eth1
        source: 10.0.0.5
        priority: 100
        domain: north
      - name: backup
        url: udp://0.0.0.0:9000
        priority: 50
        standby: warm
        health: lenient
    switch:
      mode: auto
      order: priority
      failback: {mode: auto, after: 10s}
      dwell: 2s
      max_per_minute: 6
      delay: 100ms
      clock: continue
      pace: pcr
      hole: carrier
      entry: next
      on_loss: {action: stay, after: 1s}
    health:
      profile: standard
      input_loss: {raise: {for: 200ms}, clear: {for: 5s}}
      continuity_count_error: {raise: {above: 10, within: 1s}, clear: {for: 10s}}
      pid_error: {raise: {for: 1s}, clear: {for: 5s}, pids: [0x100]}
    outputs:
      - url: rtp://239.20.1.1:5004
        interface: eth2
        ttl: 16
        dscp: 34
";
    assert_eq!(
        problems(text),
        "13:18: warning: `standby: warm` is not in this version: the input is received and analysed all the time, as \
         with `hot`\n\
         22:14: warning: `clock: continue` is not in this version: at a cut PCRs are not restamped, and the step is \
         signalled by discontinuity_indicator, as with `signal`\n\
         23:13: warning: `pace: pcr` is not in this version: packets leave as they arrived, one `delay` later, as with \
         `arrival`\n\
         24:13: warning: `hole: carrier` is not in this version: nothing is sent while no input delivers, as with \
         `silent`\n\
         25:14: warning: `entry` has no effect in this version: a cut is made at the next TS packet, not at a random \
         access point"
    );
    assert!(Plan::parse(text).unwrap().1.iter().all(|p| p.severity == Severity::Warning));
    for mode in ["merge", "splice", "cut"] {
        assert_eq!(problems(&with("", &format!("switch: {{mode: {mode}}}"), "")), "");
    }
    let srt = text
        .replace("udp://0.0.0.0:9000", "srt://0.0.0.0:9000?mode=listener&latency=200ms\n        passphrase_file: /k");
    let said = problems(&srt);
    assert!(said.starts_with(
        "11:14: error: this version does not receive or send SRT: use udp:// or rtp://, with an SRT gateway in front \
         where there must be one\n12:26: error: `passphrase_file` is for SRT, which is not available in this version"
    ), "{said}");
    assert!(said.contains("warning: `pace: pcr`"), "{said}");
}

#[test]
fn each_wrong_value_is_said_in_its_place() {
    // What is added to the input (from 6:9), the channel (from 6:5) and the output (from 8:9), and what is said.
    let criteria = "profile, input_loss, ts_sync_loss, sync_byte_error, pat_error_2, continuity_count_error, pmt_error_2, \
                    pid_error, transport_error, crc_error, pcr_repetition_error, pcr_discontinuity_indicator_error, \
                    pts_error, cat_error, rtp_loss";
    let table: &[(&str, &str, &str, String)] = &[
        (
            "prioriti: 3",
            "",
            "",
            "6:9: error: unknown key `prioriti`: did you mean `priority`? (name, url, interface, source, \
          priority, domain, standby, health, analysis, reorder, receive_buffer, max_bit_rate)"
                .into(),
        ),
        ("priority: high", "", "", "6:19: error: `priority`: `high` is not a whole number: -1000000…1000000".into()),
        ("priority:", "", "", "6:9: error: `priority` has no value".into()),
        (
            "standby: hott",
            "",
            "",
            "6:18: error: `standby`: unknown value `hott`: did you mean `hot`? (hot, warm)".into(),
        ),
        (
            "reorder: 20",
            "",
            "",
            "6:18: error: `reorder`: `20` has no unit: write it with ms, s or m, as in 200ms, 5s or 2m".into(),
        ),
        (
            "receive_buffer: 8MB",
            "",
            "",
            "6:25: error: `receive_buffer`: `8MB` is not a size: a number with KiB, MiB, GiB or \
          none for bytes, as in 8MiB or 512KiB"
                .into(),
        ),
        (
            "max_bit_rate: 1kb/s",
            "",
            "",
            "6:23: error: `max_bit_rate`: `1kb/s` is out of range: 10kb/s…10000Mb/s".into(),
        ),
        (
            "interface: 2001:db8::1",
            "",
            "",
            "6:20: error: interface 2001:db8::1 is not an IPv4 address as 239.1.1.1 is".into(),
        ),
        ("source: [10.0.0.1, me]", "", "", "6:28: error: `source`: `me` is not an IP address".into()),
        (
            "source: 2001:db8::1",
            "",
            "",
            "6:17: error: `source` 2001:db8::1 is not an IPv4 address as the group 239.1.1.1 is".into(),
        ),
        (
            "health: lenent",
            "",
            "",
            "6:17: error: `health`: unknown value `lenent`: did you mean `lenient`? (strict, standard, lenient)".into(),
        ),
        ("domain: [a]", "", "", "6:17: error: `domain` is a single value, and this is a list".into()),
        ("analysis: {pcr: 1ms}", "", "", "6:25: error: `pcr`: `1ms` is out of range: 10ms…10m".into()),
        (
            "",
            "switch: {mode: seamless}",
            "",
            "6:20: error: `mode`: unknown value `seamless` (auto, merge, splice, cut)".into(),
        ),
        (
            "",
            "switch: {failback: {mode: never}}",
            "",
            "6:31: error: `mode`: unknown value `never` (auto, manual)".into(),
        ),
        (
            "",
            "switch: {failback: {mode: manual, after: 1s}}",
            "",
            "6:46: warning: `after` has no effect with `mode: manual`: \
          the output returns when somebody takes the input"
                .into(),
        ),
        ("", "switch: {delay: 3s}", "", "6:21: error: `delay`: `3s` is out of range: 0ms…2s".into()),
        (
            "",
            "switch: {max_per_minute: 1.5}",
            "",
            "6:30: error: `max_per_minute`: `1.5` is not a whole number: 0…1000".into(),
        ),
        (
            "",
            "switch: {on_loss: {action: null}}",
            "",
            "6:32: error: `action: null` is not available in this version: `stay` and `mute` are".into(),
        ),
        (
            "",
            "switch: {on_loss: {action: slate}}",
            "",
            "6:32: error: `action: slate` is not available in this version: `stay` and `mute` are".into(),
        ),
        (
            "",
            "switch: {on_loss: {action: stop}}",
            "",
            "6:32: error: `action`: unknown value `stop` (stay, mute, null, slate)".into(),
        ),
        (
            "",
            "switch: fast",
            "",
            "6:13: error: `switch` is a mapping (mode, order, failback, dwell, max_per_minute, delay, clock, \
          pace, hole, entry, on_loss), and this is a single value"
                .into(),
        ),
        (
            "",
            "health: {pcr_accuracy_error: off}",
            "",
            "6:34: error: `pcr_accuracy_error` is measured, but is no health criterion in this version".into(),
        ),
        (
            "",
            "health: {cc_error: off}",
            "",
            format!("6:14: error: unknown key `cc_error`: did you mean `crc_error`? ({criteria})"),
        ),
        (
            "",
            "health: {input_loss: {raise: {above: 1, within: 1s}}}",
            "",
            "6:42: error: `input_loss` lasts, and is not counted: \
          write raise: {for: 1s}"
                .into(),
        ),
        (
            "",
            "health: {continuity_count_error: {raise: {for: 1s}}}",
            "",
            "6:52: error: `continuity_count_error` counts events, \
          and they do not last: write raise: {above: 10, within: 1s}"
                .into(),
        ),
        (
            "",
            "health: {pat_error_2: {raise: {for: 1s, above: 1}}}",
            "",
            "6:35: error: `pat_error_2` can have `for`, or `above` \
          and `within`, not both: write raise: {for: 1s} or {above: 10, within: 1s}"
                .into(),
        ),
        (
            "",
            "health: {rtp_loss: {raise: {above: 1}}}",
            "",
            "6:32: error: `rtp_loss` needs both `above` and `within`: write raise: \
          {above: 10, within: 1s}"
                .into(),
        ),
        (
            "",
            "health: {rtp_loss: {clear: {for: 1s}}}",
            "",
            "6:24: error: `rtp_loss` has no limit in the profile, so it needs one \
          here: raise: {above: 10, within: 1s}"
                .into(),
        ),
        (
            "",
            "health: {crc_error: {raise: {above: 1, within: 1s}, pids: [1]}}",
            "",
            "6:63: error: `crc_error` is not counted by \
          PID: only continuity_count_error, pid_error, transport_error, pts_error take `pids`"
                .into(),
        ),
        (
            "",
            "health: {pid_error: {pids: [0x2000]}}",
            "",
            "6:33: error: `pids`: `0x2000` is not a PID: 0…8191, or 0x0…0x1fff".into(),
        ),
        (
            "",
            "health: {input_loss: on}",
            "",
            "6:26: error: `input_loss`: a limit is `off` or a mapping (raise, clear, pids), not `on`".into(),
        ),
        ("", "datagram: {packets: 8}", "", "6:25: error: `packets`: `8` is out of range: 1…7".into()),
        ("", "", "ttl: 256", "8:14: error: `ttl`: `256` is out of range: 1…255".into()),
        ("", "", "dscp: 64", "8:15: error: `dscp`: `64` is out of range: 0…63".into()),
        ("", "", "source: 1.2.3.4", "8:9: error: unknown key `source` (url, interface, ttl, dscp)".into()),
    ];
    for (input, channel, output, message) in table {
        assert_eq!(&problems(&with(input, channel, output)), message, "{input}{channel}{output}");
    }
}

#[test]
fn urls_names_and_the_whole_file_are_checked() {
    let channel = |name: &str, input: &str, output: &str| {
        format!("channels: [{{name: {name}, inputs: [{{name: x, url: '{input}'}}], outputs: [{{url: '{output}'}}]}}]")
    };
    let (group, to) = ("udp://239.1.1.1:5000", "udp://239.2.2.2:5000");
    let api = |api: &str| format!("{SMALL}api: {api}\n");
    for (text, message) in [
        (String::new(), "error: the file is empty: it needs `channels` with at least one channel"),
        ("# nothing\n".into(), "error: the file is empty: it needs `channels` with at least one channel"),
        ("node:\n  name: a\n".into(), "1:1: error: there is no channel: `channels` is a list with one or more"),
        ("channels: []\n".into(), "1:11: error: there is no channel: `channels` is a list with one or more"),
        ("channels: news\n".into(), "1:11: error: `channels` is a list, and this is a single value"),
        ("[]\n".into(), "1:1: error: the file is a mapping (node, api, channels), and this is a list"),
        (
            "chanels: []\n".into(),
            "1:1: error: there is no channel: `channels` is a list with one or more\n\
          1:1: error: unknown key `chanels`: did you mean `channels`? (node, api, channels)",
        ),
        (
            channel("a b", group, to),
            "1:19: error: `name`: `a b` has a ` ` in it: a name has letters, digits, `.`, `_` and `-`",
        ),
        (channel("''", group, to), "1:19: error: `name`: a name cannot be empty"),
        (
            channel("a", "udp://enc:1", to),
            "1:46: error: `enc` is a host name: an address is wanted, which cannot change while on air",
        ),
        (
            channel("a", "udp://239.1.1.1:5000?ttl=3", to),
            "1:46: error: URL parameter `ttl` is for outputs: an input does not send",
        ),
        (channel("a", group, "udp://0.0.0.0:1"), "1:88: error: 0.0.0.0 is no address to send to"),
        (
            channel("a", group, "udp://10.0.0.1:1?buffer=1MiB"),
            "1:88: error: URL parameter `buffer` is for inputs: an output does not receive",
        ),
        (
            channel("a", group, group),
            "1:88: error: 239.1.1.1:5000 is what input `x` receives: the output would loop back into it",
        ),
        (
            channel("a", "udp://0.0.0.0:5000", "udp://127.0.0.1:5000"),
            "1:87: error: 127.0.0.1:5000 is what input `x` receives: the output would loop back into it",
        ),
        (
            channel("a", "udp://239.1.1.1:5000?iface=eth1", "udp://239.1.1.1:5000?iface=eth2"),
            "1:100: warning: 239.1.1.1:5000 is the group of input `x`, on another interface: should the two be one \
             network, the output loops",
        ),
        (
            channel("a", "udp://10.0.0.1:5000?iface=eth1", to),
            "1:46: warning: `interface` has no effect on this input: 10.0.0.1 is not a multicast address, so nothing is joined",
        ),
        (
            channel("a", "udp://232.1.1.1:5000", to),
            "1:46: warning: 232.1.1.1 is a source-specific group (RFC 4607): without `source`, routers do not forward it",
        ),
        (
            api("{listen: 0.0.0.0:8080}"),
            "8:15: error: `listen`: `0.0.0.0:8080` is not a loopback address, and this version \
          serves the API without a password to this host alone: write 127.0.0.1:8080",
        ),
        (
            api("{listen: localhost}"),
            "8:15: error: `listen`: `localhost` is not an address with a port, as in 127.0.0.1:8080",
        ),
        (api("none"), "8:6: error: `api` is `off` or a mapping with `listen`, not `none`"),
        (api("{listen: '[::1]:80'}"), ""),
        (api("{listen: off}"), ""),
        (
            with("", "", "") + "        interface: eth1\n      - url: udp://239.2.2.2:5000?iface=eth1\n",
            "9:14: error: the output in line 7 sends to 239.2.2.2:5000 too: receivers would get both, mixed",
        ),
        (
            with("interface: eth1", "", "").replace("udp://239.1.1.1:5000", "udp://239.1.1.1:5000?iface=eth2"),
            "6:20: error: `interface` is `eth1` here and `eth2` in the URL: leave one out",
        ),
        (with("", "", "ttl: 9").replace("udp://239.2.2.2:5000", "udp://239.2.2.2:5000?ttl=9"), ""),
        (
            "channels:\n\t- a\n".into(),
            "2:2: error: not YAML: tabs disallowed within this context (block indentation); \
          indent with blanks, not with tabs",
        ),
    ] {
        assert_eq!(problems(&text), message, "{text}");
    }
}

#[test]
fn inputs_do_not_take_each_others_datagrams() {
    let inputs = |first: &str, second: &str| {
        SMALL.replace("udp://239.1.1.1:5000\n", &format!("{first}\n      - {{name: y, url: '{second}'}}\n"))
    };
    for (first, second, message) in [
        (
            "udp://10.0.0.1:5000",
            "rtp://0.0.0.0:5000",
            "6:24: error: 0.0.0.0:5000 is what input `x` of channel `a` is bound to (10.0.0.1:5000): one would take the \
             datagrams of the other",
        ),
        ("udp://10.0.0.1:5000", "udp://10.0.0.2:5000", ""),
        ("udp://10.0.0.1:5000", "udp://10.0.0.1:5001", ""),
        ("udp://239.1.1.1:5000?iface=eth1", "udp://239.1.1.1:5000?iface=eth2", ""),
        (
            "udp://239.1.1.1:5000?iface=eth1",
            "rtp://239.1.1.1:5000?iface=eth1",
            "6:24: warning: input `y` receives the very flow that `x` does, and is no backup for it",
        ),
    ] {
        assert_eq!(problems(&inputs(first, second)), message);
    }
    let two =
        SMALL.replace("239.1.1.1", "0.0.0.0") + &SMALL.replace("channels:\n", "").replace("239.1.1.1", "127.0.0.1");
    assert_eq!(
        problems(&two),
        "8:11: error: the channel in line 2 is called `a` too\n\
         11:14: error: 127.0.0.1:5000 is what input `x` of channel `a` is bound to (0.0.0.0:5000): one would take the \
         datagrams of the other\n\
         13:14: error: the output in line 7 sends to 239.2.2.2:5000 too: receivers would get both, mixed"
    );
    let many: String =
        (0..17).map(|i| format!("      - {{name: i{i}, url: 'udp://239.1.1.1:{}'}}\n", 6000 + i)).collect();
    let many = SMALL.replace("    outputs", &format!("{many}    outputs"));
    assert_eq!(problems(&many), "21:9: error: 18 inputs are too many for one channel: at most 16");
}

#[test]
fn all_problems_are_told_together_in_the_order_of_the_file() {
    let text = "\
nodes: {}
channels:
  - name: a/b
    inputs:
      - nam: x
        url: udp://239.1.1.1
        priority: 1e9
    switch: {delay: 100, clock: continue, dwel: 1s}
    outputs:
      - interface: eth1
";
    assert_eq!(
        problems(text),
        "1:1: error: unknown key `nodes`: did you mean `node`? (node, api, channels)\n\
         3:11: error: `name`: `a/b` has a `/` in it: a name has letters, digits, `.`, `_` and `-`\n\
         5:9: error: this input has no `name`\n\
         5:9: error: unknown key `nam`: did you mean `name`? (name, url, interface, source, priority, domain, standby, \
         health, analysis, reorder, receive_buffer, max_bit_rate)\n\
         6:14: error: `239.1.1.1` has no port: write it as ADDRESS:PORT\n\
         7:19: error: `priority`: `1e9` is not a whole number: -1000000…1000000\n\
         8:21: error: `delay`: `100` has no unit: write it with ms, s or m, as in 200ms, 5s or 2m\n\
         8:33: warning: `clock: continue` is not in this version: at a cut PCRs are not restamped, and the step is \
         signalled by discontinuity_indicator, as with `signal`\n\
         8:43: error: unknown key `dwel`: did you mean `dwell`? (mode, order, failback, dwell, max_per_minute, delay, \
         clock, pace, hole, entry, on_loss)\n\
         10:9: error: this output has no `url`, as in rtp://239.1.1.1:5004"
    );
}

#[test]
fn a_file_is_named_in_its_problems() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(with("standby: warm", "", "").as_bytes()).unwrap();
    let (_, warnings) = Plan::load(file.path()).unwrap();
    let name = file.path().display().to_string();
    assert!(warnings[0].to_string().starts_with(&format!("{name}:6:18: warning: `standby: warm`")));
    file.write_all(b"# \xff\n").unwrap();
    assert_eq!(
        Plan::load(file.path()).unwrap_err().to_string(),
        format!("{name}: error: the file is not UTF-8 text: line 9 has a byte that cannot be")
    );
    let missing = Plan::load(&file.path().with_extension("none")).unwrap_err().to_string();
    assert!(missing.contains(".none: error: cannot read it: No such file"), "{missing}");
    let endless = Plan::load("/dev/zero".as_ref()).unwrap_err().to_string();
    assert_eq!(endless, "/dev/zero: error: the file is longer than 1024 KiB");
}
