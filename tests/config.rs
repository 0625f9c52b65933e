//! What a configuration comes down to, and what this version does in place of what it cannot do.

use changeover::config::{Interface, Plan, explain};
use changeover::engine::Standby;
use changeover::health::{Criterion, Limit, Limits, Profile, Raise, Scope};
use changeover::switch::policy::{Failback, LossAction, Mode, Order};
use changeover::transport::Framing;
use changeover::units::{Pid, Span};

mod config_text;
use config_text::{SMALL, problems, with};

const EXAMPLE: &str = include_str!("../config/changeover.yaml");

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
    assert_eq!(channel.setup.mode, Mode::Auto);
    assert_eq!(channel.setup.delay, Span::from_millis(100));
    assert_eq!(channel.setup.policy, Default::default());
    assert_eq!((channel.setup.gather.packets, channel.setup.gather.hold), (7, Span::from_millis(10)));
    assert_eq!(channel.setup.gather.ssrc, 0xe40c_292c);
    let (input, setup) = (&channel.inputs[0], &channel.setup.inputs[0]);
    assert_eq!((input.receive_buffer, input.interface.as_ref(), input.sources.len()), (8 << 20, None, 0));
    assert_eq!((setup.priority, setup.framing, setup.reorder), (0, Framing::Auto, Span::from_millis(20)));
    assert_eq!(setup.capacity, 570 + 128);
    assert_eq!(setup.limits, Limits::of(Profile::Standard).without_srt());
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
    assert_eq!(channel.setup.mode, Mode::Cut);
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
    let lasting = |raise, clear| Limit { raise: Raise::Lasting(raise), clear, scope: Scope::ALL };
    assert_eq!(main.limits.limit(Criterion::InputLoss), Some(&lasting(Span::from_millis(300), Span::from_secs(7))));
    assert_eq!(
        main.limits.limit(Criterion::ContinuityCountError).map(|l| (l.raise, l.clear)),
        Some((Raise::Counted { above: 0, within: Span::from_secs(1) }, Span::from_secs(10)))
    );
    let pids = main.limits.limit(Criterion::PidError).unwrap();
    assert_eq!(
        (pids.scope.pids(), pids.raise),
        (&[Pid::new(0x100), Pid::new(0x101)][..], Raise::Lasting(Span::from_millis(500)))
    );
    assert_eq!(main.limits.limit(Criterion::PtsError), None);
    assert_eq!(backup.limits, Limits::of(Profile::Lenient).without_srt());
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
    assert_eq!(problems(text), "");
    let standby = |text: &str| Plan::parse(text).unwrap().0.channels[0].setup.inputs[1].standby;
    assert_eq!(standby(text), Standby::Warm { connect: Span::from_secs(1) });
    for mode in ["merge", "splice", "cut"] {
        assert_eq!(problems(&with("", &format!("switch: {{mode: {mode}}}"), "")), "");
    }
    let srt = text
        .replace("udp://0.0.0.0:9000", "srt://0.0.0.0:9000?mode=listener&latency=200ms\n        passphrase_file: /k");
    let said = problems(&srt);
    assert!(said.starts_with("12:26: error: `passphrase_file`: /k: No such file"), "{said}");
    let open = srt.replace("        passphrase_file: /k\n", "");
    assert_eq!(problems(&open), "");
    assert_eq!(standby(&open), Standby::Warm { connect: Span::from_millis(1_200) }, "its latency besides");
}
