//! SRT in the configuration: what arrives in the plan, what is refused and why, and that no passphrase is told.
#![allow(clippy::unwrap_used)]

use changeover::config::{
    Access, Backend, Bond, BondMode, Interface, Network, Role, Second, Secret, SrtPlan, Way, explain,
};
use changeover::health::{Criterion, Limit, Limits, Profile, Raise, Scope};
use changeover::units::Span;

mod config_text;
use config_text::{GROUP, TO, key, plan, problems, text};

const EXAMPLE: &str = include_str!("../config/srt.yaml");

/// What the URL and the keys of an input come to.
fn input(url: &str, below: &str) -> SrtPlan {
    plan(&text(url, below, TO, "")).channels[0].inputs[0].srt.clone().unwrap()
}

#[test]
fn the_example_has_no_problem_and_its_comments_show_the_defaults() {
    assert_eq!(problems(EXAMPLE), "");
    let shown = plan(EXAMPLE);
    let folder = tempfile::tempdir().unwrap();
    let path = key(&folder, "key", b"correct horse\n", 0o600);
    let mut full = String::new();
    for line in EXAMPLE.lines() {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        let keys = ["mode: ", "latency: ", "stream_id: ", "connect: ", "idle: ", "buffer: ", "second: ", "payload: "];
        match rest.strip_prefix("# ").filter(|rest| keys.iter().any(|key| rest.starts_with(key))) {
            Some(key) => full += &format!("{indent}{key}\n"),
            None => full += &format!("{line}\n"),
        }
    }
    assert_eq!(
        full.lines().filter(|line| line.trim_start().starts_with('#')).count() + 8,
        EXAMPLE.lines().filter(|line| line.trim_start().starts_with('#')).count()
    );
    assert_eq!(problems(&full), "", "{full}");
    assert_eq!(explain(&plan(&full)), explain(&shown), "{full}");

    let locked = EXAMPLE
        .replace("# passphrase_file: /etc/changeover/news.key", &format!("passphrase_file: {}", path.display()))
        .replace("# key_length: 16 ", "key_length: 16 ");
    assert_eq!(problems(&locked), "");
    let srt = plan(&locked).channels[0].inputs[1].srt.clone().unwrap();
    assert_eq!((srt.passphrase, srt.key_length), (Secret::new("correct horse"), Some(16)));
}

#[test]
fn the_defaults_are_those_of_srt() {
    let expected = SrtPlan {
        role: Role::Caller,
        backend: Backend::Auto,
        latency: Span::from_millis(120),
        passphrase: None,
        key_length: None,
        stream_id: None,
        access: Vec::new(),
        callers: 8,
        second: Second::Refuse,
        payload: 1316,
        connect: Span::from_secs(3),
        idle: Span::from_secs(5),
        // 50 Mb/s for 1.12 s are 7,000,000 bytes, which 107 times 64 KiB hold.
        buffer: 107 << 16,
        bond: None,
    };
    assert_eq!(input("srt://10.0.0.1:9000", ""), expected);
    assert_eq!(input("srt://10.0.0.1:9000?pbkeylen=0", ""), expected);
    for url in ["srt://:9000", "srt://0.0.0.0:9000", "srt://[::]:9000", "srt://10.0.0.1:9000?mode=listener"] {
        assert_eq!(input(url, "").role, Role::Listener, "{url}");
    }
    // Room is made for the fastest of the inputs.
    let both = plan(&text(GROUP, "max_bit_rate: 10Mb/s", "srt://10.0.0.1:9000?latency=200", ""));
    assert_eq!(both.channels[0].outputs[0].srt.as_ref().unwrap().buffer, 23 << 16);
    assert_eq!((both.channels[0].outputs[0].ttl, both.channels[0].outputs[0].rtp), (16, false));
}

#[test]
fn urls_of_ffmpeg_and_srt_live_transmit_mean_what_they_mean_there() {
    let ms = Span::from_millis;
    let full = "srt://10.0.0.1:9000?mode=caller&latency=200&pbkeylen=32&streamid=%23!::r=a%26b,m=publish&conntimeo=500\
                &peeridletimeo=2000&iface=eth1";
    let srt = input(full, "");
    assert_eq!((srt.latency, srt.connect, srt.idle, srt.key_length), (ms(200), ms(500), ms(2000), Some(32)));
    assert_eq!(srt.stream_id.as_deref(), Some("#!::r=a&b,m=publish"));
    assert_eq!(plan(&text(full, "", TO, "")).channels[0].inputs[0].interface, Some(Interface::Name("eth1".into())));
    // A stream id as people write it, unescaped; a + is one.
    let srt = input("SRT://@10.0.0.1:9000/?srt_streamid=#!::r=a+b,m=request&connect_timeout=1s&rcvlatency=1.5s", "");
    assert_eq!(srt.stream_id.as_deref(), Some("#!::r=a+b,m=request"));
    assert_eq!((srt.connect, srt.latency), (ms(1000), ms(1500)));

    let output = |url: &str| plan(&text(GROUP, "", url, "")).channels[0].outputs[0].clone();
    for name in ["payload_size", "pkt_size", "payloadsize"] {
        let output = output(&format!("srt://10.0.0.1:9000?{name}=1456&peerlatency=40&ttl=3&dscp=46"));
        let srt = output.srt.unwrap();
        assert_eq!((srt.payload, srt.latency, output.ttl, output.dscp), (1456, ms(40), 3, 46));
    }
    // The own address.
    let listener = plan(&text("srt://:9000?adapter=10.0.0.9", "", TO, ""));
    assert_eq!(listener.channels[0].inputs[0].address, "10.0.0.9:9000".parse().unwrap());
    let caller = plan(&text("srt://10.0.0.1:9000?adapter=10.0.0.9&mode=client", "", TO, ""));
    let address = Interface::Address("10.0.0.9".parse().unwrap());
    assert_eq!(caller.channels[0].inputs[0].interface, Some(address));
    let rendezvous = plan(&text("srt://[2001:db8::1]:9000?mode=rendezvous", "", TO, ""));
    assert_eq!(rendezvous.channels[0].inputs[0].srt.as_ref().unwrap().role, Role::Rendezvous);
}

#[test]
fn every_key_arrives_in_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let own = key(&folder, "own", b"correct horse\r\n", 0o640);
    let other = key(&folder, "other", b"battery staple", 0o600);
    let below = format!(
        "passphrase_file: {}\nsrt:\n  mode: listener\n  backend: libsrt\n  latency: 300ms\n  key_length: 24\n  second: \
         take_over\n  connect: 1s\n  idle: 9s\n  buffer: 16MiB\n  access:\n    - {{stream_id: a, from: 10.0.0.0/8}}\n    \
         - {{from: [192.0.2.0/24, 192.0.2.7], passphrase_file: {}}}\n",
        own.display(),
        other.display()
    );
    assert_eq!(problems(&text("srt://0.0.0.0:9000", &below, TO, "")), "");
    let network = |address: &str, prefix| Network { address: address.parse().unwrap(), prefix };
    assert_eq!(
        input("srt://0.0.0.0:9000", &below),
        SrtPlan {
            role: Role::Listener,
            backend: Backend::Libsrt,
            latency: Span::from_millis(300),
            passphrase: Secret::new("correct horse"),
            key_length: Some(24),
            stream_id: None,
            access: vec![
                Access { stream_id: Some("a".into()), from: vec![network("10.0.0.0", 8)], passphrase: None },
                Access {
                    stream_id: None,
                    from: vec![network("192.0.2.0", 24), network("192.0.2.7", 32)],
                    passphrase: Secret::new("battery staple"),
                },
            ],
            callers: 8,
            second: Second::TakeOver,
            payload: 1316,
            connect: Span::from_secs(1),
            idle: Span::from_secs(9),
            buffer: 16 << 20,
            bond: None,
        }
    );
    let output = "srt: {callers: 3, payload: 1128, backend: rsrt}";
    let whole = text("srt://10.0.0.1:9000", "srt: {stream_id: b}", "srt://:9100", output)
        .replace("    outputs", "    datagram: {packets: 6}\n    outputs");
    assert_eq!(problems(&whole), "");
    let said = explain(&plan(&whole));
    let srt = plan(&whole).channels[0].outputs[0].srt.clone().unwrap();
    assert_eq!((srt.callers, srt.payload, srt.backend), (3, 1128, Backend::Rsrt));
    for part in [
        "SRT calls 10.0.0.1:9000, stream id `b`; by libsrt where it is installed, else the built-in rsrt\n",
        "latency 120ms or the peer's, whichever is longer; not encrypted\n",
        "output by SRT, TTL 16, DSCP 0\n    SRT listens on 0.0.0.0:9100; by the built-in rsrt\n",
        "serves at most 3 callers at once\n",
        "messages of at most 1128 bytes\n",
    ] {
        assert!(said.contains(part), "{part}\n---\n{said}");
    }
    let said = explain(&plan(&text("srt://0.0.0.0:9000", &below, TO, "")));
    for part in [
        "latency 300ms or the peer's, whichever is longer; encrypted, key length 24 bytes\n",
        "      stream id `a` from 10.0.0.0/8, with the passphrase of the listener\n",
        "      any stream id from 192.0.2.0/24, 192.0.2.7/32, with a passphrase of its own\n",
        "a second sender takes the place of the first\n",
        "closed after 9s without a word of the peer; 16MiB for what is on the way\n",
    ] {
        assert!(said.contains(part), "{part}\n---\n{said}");
    }
}

#[test]
fn connections_are_judged_where_the_input_comes_by_srt() {
    const HEALTH: &str = "health: {srt_disconnected: {raise: {for: 1s}, clear: {for: 3s}}, \
                          srt_rtt_above: {raise: {above: 250ms, for: 2s}}, srt_unrecovered: {raise: {above: 0.25%, within: 30s}}}";
    let limits = |url: &str, below: &str| plan(&text(url, below, TO, "")).channels[0].setup.inputs[0].limits;
    for profile in Profile::ALL {
        let below = format!("health: {}", profile.name());
        assert_eq!(limits("srt://:9000", &below), Limits::of(profile));
        assert_eq!(limits(GROUP, &below), Limits::of(profile).without_srt());
    }
    let found = limits("srt://:9000", HEALTH);
    let seconds = Span::from_secs;
    for (criterion, raise, clear) in [
        (Criterion::SrtDisconnected, Raise::Lasting(seconds(1)), 3),
        (Criterion::SrtRttAbove, Raise::Slower { than: Span::from_millis(250), lasting: seconds(2) }, 5),
        (Criterion::SrtUnrecovered, Raise::Share { above: 2_500, within: seconds(30) }, 5),
    ] {
        let expected = Limit { raise, clear: seconds(clear), scope: Scope::ALL };
        assert_eq!(found.limit(criterion), Some(&expected), "{}", criterion.name());
    }
    let said = explain(&plan(&text("srt://:9000", HEALTH, TO, "")));
    for part in [
        "srt_disconnected        lasting 1s; cleared after 3s without\n",
        "srt_rtt_above           above 250ms for 2s; cleared after 5s without\n",
        "srt_unrecovered         more than 0.25% within 30s; cleared after 5s without\n",
    ] {
        assert!(said.contains(part), "{part}\n---\n{said}");
    }
    assert!(!explain(&plan(&text(GROUP, "", TO, ""))).contains("srt_"));
}

#[test]
fn wrong_urls_say_what_is_right() {
    for (url, message) in [
        (
            "srt://encoder.example:9000",
            "`encoder.example` is a host name: an address is wanted, which cannot change while on air",
        ),
        ("srt://10.0.0.1", "`10.0.0.1` has no port: write it as ADDRESS:PORT"),
        ("srt://:0", "port `0` is out of range: 1…65535"),
        ("srt://", "there is no address in it: write 0.0.0.0 for any address of this host"),
        (
            "srt://10.0.0.1:9000/live",
            "this URL has a path, which means nothing here: say what is wanted with `streamid`",
        ),
        (
            "srt://u:p@10.0.0.1:9000",
            "there is a sign in its address that cannot be: write srt://ADDRESS:PORT?NAME=VALUE&NAME=VALUE, without a \
             user or password before the address",
        ),
        ("srt://239.1.1.1:9000", "239.1.1.1 is no address for SRT, which goes from one host to one other"),
        ("srt://:9000?adapter=239.1.1.1", "URL parameter `adapter`: `239.1.1.1` is not an address of this host"),
        (
            "srt://239.1.1.1:9000?mode=listener",
            "239.1.1.1 is no address for SRT, which goes from one host to one other",
        ),
        ("srt://0.0.0.0:9000?mode=caller", "a caller needs the address of its peer, and this is 0.0.0.0"),
        ("srt://:9000?mode=rendezvous", "a rendezvous needs the address of its peer, and this is 0.0.0.0"),
        ("srt://10.0.0.1:9000?mode=push", "URL parameter `mode`: unknown value `push` (caller, listener, rendezvous)"),
        (
            "srt://10.0.0.1:9000?adapter=10.0.0.2",
            "with an `adapter` and an address, the URL can mean a caller or a rendezvous: write mode=caller or \
             mode=rendezvous",
        ),
        (
            "srt://10.0.0.1:9000?adapter=10.0.0.2&mode=listener",
            "the URL says to listen on 10.0.0.1 and, by its `adapter`, on 10.0.0.2: leave one out",
        ),
        ("srt://10.0.0.1:9000?adapter=::1&mode=caller", "interface ::1 is not an IPv4 address as 10.0.0.1 is"),
        (
            "srt://10.0.0.1:9000?latency=200000",
            "URL parameter `latency`: `200000` without a unit is in milliseconds, as for srt-live-transmit, and more than \
             8s; ffmpeg counts in microseconds: write 200ms",
        ),
        ("srt://10.0.0.1:9000?latency=9s", "URL parameter `latency`: `9s` is out of range: 20ms…8s"),
        ("srt://10.0.0.1:9000?latency=10", "URL parameter `latency`: `10` is out of range: 20ms…8s"),
        (
            "srt://10.0.0.1:9000?latency=",
            "URL parameter `latency`: `` is not a duration: a number with ms, s or m, as in 200ms, 5s or 2m",
        ),
        ("srt://10.0.0.1:9000?latency=1s&rcvlatency=1s", "URL parameter `rcvlatency`: it is given twice"),
        (
            "srt://10.0.0.1:9000?peerlatency=1s",
            "URL parameter `peerlatency`: the stream goes the other way: write `latency`",
        ),
        (
            "srt://10.0.0.1:9000?pbkeylen=128",
            "URL parameter `pbkeylen`: `128` is not the length of a key in bytes: 16, 24 or 32",
        ),
        ("srt://10.0.0.1:9000?payload_size=1500", "URL parameter `payload_size`: `1500` is out of range: 188…1456"),
        ("srt://10.0.0.1:9000?conntimeo=10", "URL parameter `conntimeo`: `10` is out of range: 100ms…1m"),
        ("srt://10.0.0.1:9000?streamid=", "URL parameter `streamid`: ``: 1…512 bytes in one line"),
        ("srt://10.0.0.1:9000?streamid=a%0Ab", "URL parameter `streamid`: `a\\nb`: 1…512 bytes in one line"),
        (
            "srt://10.0.0.1:9000?streamid=100%",
            "URL parameter `streamid`: a % is not followed by two hexadecimal digits: write a % that is part of it as %25",
        ),
        ("srt://10.0.0.1:9000?streamid=%ff", "URL parameter `streamid`: it is not UTF-8 once its % are read"),
        (
            "srt://:9000?streamid=a",
            "only a caller sends a stream id: to let in callers by theirs, write srt: {access: [{stream_id: …}]}",
        ),
        (
            "srt://10.0.0.1:9000?latncy=1s",
            "unknown URL parameter `latncy`: did you mean `latency`? (mode, latency, passphrase, pbkeylen, streamid, \
             payload_size, conntimeo, peeridletimeo, interface, iface, adapter, ttl, dscp)",
        ),
        (
            "srt://10.0.0.1:9000?listener",
            "a URL parameter has no value: write it as NAME=VALUE, and an & that is part of a value as %26",
        ),
        ("srt://10.0.0.1:9000?ttl=3", "URL parameter `ttl`: it is for outputs"),
        ("srt://10.0.0.1:9000?transtype=file", "URL parameter `transtype`: it is always `live`: leave it out"),
        (
            "srt://10.0.0.1:9000?timeout=5000000",
            "URL parameter `timeout`: a silent input is left by its `health`, and `peeridletimeo` ends a connection",
        ),
        (
            "srt://10.0.0.1:9000?rcvbuf=1000000",
            "URL parameter `rcvbuf`: room is reckoned from `max_bit_rate` and the latency: leave it out, or write srt: \
             {buffer: 8MiB}",
        ),
        (
            "srt://10.0.0.1:9000?packetfilter=fec",
            "URL parameter `packetfilter`: forward error correction is not in this version: leave it out",
        ),
    ] {
        assert_eq!(problems(&text(url, "", TO, "")), format!("5:14: error: {message}"), "{url}");
    }
}

#[test]
fn wrong_keys_say_what_is_right() {
    let (calls, listens) = ("srt://10.0.0.1:9000", "srt://:9000");
    let own_words =
        |key: &str| format!("6:{}: error: `{key}` is for SRT, and the URL is not one of srt://", key.len() + 11);
    for (url, below, message) in [
        (GROUP, "srt: {latency: 1s}", own_words("srt")),
        (
            calls,
            "srt: {latncy: 1s}",
            "6:15: error: unknown key `latncy`: did you mean `latency`? (mode, backend, latency, key_length, stream_id, \
             access, callers, second, payload, connect, idle, buffer, bond, members)"
                .into(),
        ),
        (calls, "srt: fast", "6:14: error: `srt` is a mapping (mode, backend, latency, key_length, stream_id, access, callers, second, payload, connect, idle, buffer, bond, members), and this is a single value".into()),
        (calls, "srt: {latency: 200}", "6:24: error: `latency`: `200` has no unit: write it with ms, s or m, as in 200ms, 5s or 2m".into()),
        (
            "srt://10.0.0.1:9000?latency=200ms",
            "srt: {latency: 300ms}",
            "6:24: error: `latency` is `300ms` here and `200ms` in the URL: leave one out".into(),
        ),
        ("srt://10.0.0.1:9000?latency=200ms", "srt: {latency: 0.2s}", String::new()),
        (
            "srt://10.0.0.1:9000?mode=caller",
            "srt: {mode: rendezvous}",
            "6:21: error: `mode` is `rendezvous` here and `caller` in the URL: leave one out".into(),
        ),
        (
            calls,
            "srt: {mode: rendezvous, backend: rsrt}",
            "6:42: error: `rsrt` cannot do a rendezvous: write `libsrt`, or leave `backend` out".into(),
        ),
        (
            "srt://[2001:db8::1]:9000",
            "srt: {backend: rsrt}",
            "6:24: error: `rsrt` cannot do IPv6: write `libsrt`, or leave `backend` out".into(),
        ),
        (calls, "srt: {backend: srt}", "6:24: error: `backend`: unknown value `srt`: did you mean `rsrt`? (auto, libsrt, rsrt)".into()),
        (calls, "srt: {access: [{stream_id: a}]}", "6:23: error: `access` is for a listener: nobody calls this one".into()),
        (listens, "srt: {access: {stream_id: a}}", "6:23: error: `access` is a list, and this is a mapping".into()),
        (
            listens,
            "srt: {access: [{from: [10.0.0.7/8]}]}",
            "6:32: error: `from`: `10.0.0.7/8` has bits behind its prefix: write 10.0.0.0/8".into(),
        ),
        (
            listens,
            "srt: {access: [{from: '2001:db8::/32'}]}",
            "6:23: error: 2001:db8:: cannot call 0.0.0.0:9000: it is not an IPv4 address".into(),
        ),
        ("srt://[::]:9000", "srt: {access: [{from: '2001:db8::/32'}]}", String::new()),
        (
            "srt://[::]:9000",
            "srt: {access: [{from: 10.0.0.0/8}]}",
            "6:23: error: 10.0.0.0 cannot call [::]:9000: it is not an IPv6 address".into(),
        ),
        (
            listens,
            "srt: {access: [{from: 10.0.0.0/8}, {stream_id: a, from: 10.1.0.0/16}]}",
            "6:44: warning: no caller comes to this rule: a rule before it fits all of its callers".into(),
        ),
        (listens, "srt: {access: [{stream_id: a, from: 10.0.0.0/8}, {stream_id: a}]}", String::new()),
        (calls, "srt: {callers: 2}", "6:24: error: `callers` is for an output that listens: an input has one sender".into()),
        (calls, "srt: {second: take_over}", "6:23: error: `second` is for an input that listens: nobody else can call this one".into()),
        (
            calls,
            "srt: {payload: 1316}",
            "6:24: warning: `payload` has no effect on an input: its peer says how long messages are".into(),
        ),
        (calls, "srt: {key_length: 16}", "6:27: warning: `key_length` has no effect without a passphrase".into()),
        (
            calls,
            "srt: {buffer: 512KiB}",
            "6:23: error: `buffer` is 512KiB, and 50.00 Mb/s fill it in less than the latency of 120ms: write 6848KiB, or give \
             the `max_bit_rate` that the stream really has"
                .into(),
        ),
        (
            calls,
            "srt: {buffer: 1MiB}",
            "6:23: warning: `buffer` is 1MiB, which leaves little room at 50.00 Mb/s and a latency of 120ms: 6848KiB is good".into(),
        ),
        (calls, "source: 10.0.0.5", "6:17: error: `source` is for multicast: who may call is said by srt: {access: [{from: …}]}".into()),
    ] {
        assert_eq!(problems(&text(url, below, TO, "")), message, "{url} {below}");
    }
    assert_eq!(
        problems(&text(GROUP, "", calls, "srt: {payload: 1000}")),
        "7:14: error: a payload of 1000 bytes holds 5 TS packets, and 7 leave together: write datagram: {packets: 5}"
    );
    assert_eq!(
        problems(&text(GROUP, "", listens, "srt: {second: refuse}")),
        "8:23: error: `second` is for an input that listens: nobody else can call this one"
    );
}

#[test]
fn a_merge_that_srt_is_too_late_for_is_a_warning() {
    let with = |mode: &str| {
        text("srt://10.0.0.1:9000?latency=200ms", "", TO, "").replace(
            "    outputs",
            &format!("      - {{name: y, url: '{GROUP}'}}\n    switch: {{mode: {mode}}}\n    outputs"),
        )
    };
    assert_eq!(problems(&with("auto")), "");
    assert_eq!(
        problems(&with("merge")),
        "5:14: warning: SRT delivers this input 200ms later than another, and `mode: merge` waits for 100ms alone: make \
         `delay` longer, or give the inputs one latency"
    );
}

#[test]
fn ports_have_one_owner_and_nothing_loops() {
    let two = |first: &str, second: &str| {
        text(first, "", TO, "").replace("    outputs", &format!("      - {{name: y, url: '{second}'}}\n    outputs"))
    };
    let port = |own: &str, other: &str| {
        format!(
            "{own} is where {other} has its SRT port (0.0.0.0:9000): write another port, since each has one of its own, \
             whatever stream ids its callers send"
        )
    };
    let bonded = |member: &str| format!("srt: {{bond: broadcast, members: [{{address: '{member}'}}]}}");
    let x = "input `x` of channel `a`";
    for (text, message) in [
        (two("srt://:9000", "srt://10.0.0.1:9000?mode=listener"), format!("6:24: error: {}", port("10.0.0.1:9000", x))),
        (
            two("srt://:9000", "srt://10.0.0.1:9000?mode=rendezvous"),
            format!("6:24: error: {}", port("0.0.0.0:9000", x)),
        ),
        (two("srt://:9000", "srt://10.0.0.1:9000"), String::new()),
        (two("srt://10.0.0.1:9000", "udp://10.0.0.1:9000"), String::new()),
        (two("srt://[::]:9000", "srt://:9000"), String::new()),
        (
            two("srt://:9000", "udp://10.0.0.1:9000"),
            format!(
                "6:24: error: 10.0.0.1:9000 is what {x} is bound to (0.0.0.0:9000): one would take the datagrams of the \
                 other"
            ),
        ),
        (
            two("srt://10.0.0.1:9000?streamid=a", "srt://10.0.0.1:9000?streamid=a"),
            "6:24: warning: input `y` receives the very flow that `x` does, and is no backup for it".into(),
        ),
        (two("srt://10.0.0.1:9000?streamid=a", "srt://10.0.0.1:9000?streamid=b"), String::new()),
        (text("srt://:9000", "", "srt://:9000", ""), format!("7:14: error: {}", port("0.0.0.0:9000", x))),
        (
            text("srt://:9000", "", "srt://127.0.0.1:9000", ""),
            "7:14: error: 127.0.0.1:9000 is what input `x` receives: the output would loop back into it".into(),
        ),
        (
            text("srt://127.0.0.1:9000", "", "srt://:9000", ""),
            "7:14: error: 0.0.0.0:9000 is what input `x` receives: the output would loop back into it".into(),
        ),
        (text("srt://10.0.0.1:9000", "", "srt://10.0.0.1:9000", ""), String::new()),
        (
            text(GROUP, "", "srt://10.0.0.1:9000?streamid=a", "") + "      - url: srt://10.0.0.1:9000?streamid=b\n",
            String::new(),
        ),
        (
            text(GROUP, "", "srt://10.0.0.1:9000", "") + "      - url: srt://10.0.0.1:9000\n",
            "8:14: error: the output in line 7 sends to 10.0.0.1:9000 too: receivers would get both, mixed".into(),
        ),
        (
            text("srt://:9000", "", "srt://10.0.0.1:9100", &bonded("127.0.0.1:9000")),
            "7:14: error: 127.0.0.1:9000 is what input `x` receives: the output would loop back into it".into(),
        ),
        (
            text("srt://10.0.0.1:9100", &bonded("127.0.0.1:9000"), "srt://:9000", "srt: {bond: accept}"),
            "8:14: error: 0.0.0.0:9000 is what input `x` receives: the output would loop back into it".into(),
        ),
        (
            text(GROUP, "", "srt://10.0.0.1:9000", &bonded("10.1.0.1:9000")) + "      - url: srt://10.1.0.1:9000\n",
            "9:14: error: the output in line 7 sends to 10.1.0.1:9000 too: receivers would get both, mixed".into(),
        ),
        (
            text(GROUP, "", "srt://:9000", "") + "      - url: srt://10.0.0.1:9000?mode=listener\n",
            format!("8:14: error: {}", port("10.0.0.1:9000", "the output in line 7")),
        ),
    ] {
        assert_eq!(problems(&text), message, "{text}");
    }
}

#[test]
fn the_ways_of_a_bond_come_after_that_of_the_url() {
    let (calls, listens) = ("srt://10.0.0.1:9000", "srt://:9000");
    let members = "[{address: '10.1.0.1:9000', interface: eth1}, {address: '[2001:db8::1]:9000'}]";
    let others = vec![
        Way { address: ([10, 1, 0, 1], 9000).into(), interface: Some(Interface::Name("eth1".into())) },
        Way { address: "[2001:db8::1]:9000".parse().unwrap(), interface: None },
    ];
    for (name, mode, used) in [
        ("broadcast", BondMode::Broadcast, "all goes by each of them"),
        ("backup", BondMode::Backup, "all goes by the first that works, in this order"),
    ] {
        let below = format!("srt: {{bond: {name}, members: {members}}}");
        assert_eq!(input(calls, &below).bond, Some(Bond::Call { mode, others: others.clone() }));
        let output = plan(&text(GROUP, "", calls, &below));
        assert_eq!(
            output.channels[0].outputs[0].srt.as_ref().unwrap().bond,
            Some(Bond::Call { mode, others: others.clone() })
        );
        let shown = explain(&output);
        for words in [
            "; by libsrt, which alone can do this\n".to_owned(),
            format!("    bonded with 10.1.0.1:9000 on eth1, [2001:db8::1]:9000: {used}\n"),
        ] {
            assert!(shown.contains(&words), "{shown}");
        }
    }
    assert_eq!(input(listens, "srt: {bond: accept}").bond, Some(Bond::Accept));
    let shown = explain(&plan(&text(listens, "srt: {bond: accept}", TO, "")));
    assert!(shown.contains("    takes callers that come by several bonded ways for one\n"), "{shown}");
    let eight = "{address: '10.1.0.1:1'}, ".repeat(8);
    for (url, keys, message) in [
        (calls, "bond: twice".to_owned(), "`bond`: unknown value `twice` (accept, broadcast, backup)"),
        (
            calls,
            "bond: accept".to_owned(),
            "`bond: accept` is for a listener, and this is a caller: write broadcast or backup, and its `members`",
        ),
        (listens, "bond: backup".to_owned(), "a listener leaves the kind of bond to its callers: write `bond: accept`"),
        (calls, "mode: rendezvous, bond: backup".to_owned(), "a rendezvous cannot be bonded: leave `bond` out"),
        (calls, "bond: backup".to_owned(), "a bond has two ways or more: name those besides the URL in `members`"),
        (
            calls,
            format!("members: {members}"),
            "`members` are the ways of a bond: write `bond: broadcast` or `bond: backup` with them",
        ),
        (
            listens,
            format!("bond: accept, members: {members}"),
            "`members` are for a caller: a listener takes the ways that callers come by",
        ),
        (
            calls,
            "bond: backup, members: [{interface: eth1}]".to_owned(),
            "a member has no `address`: write {address: ADDRESS:PORT}",
        ),
        (
            calls,
            "bond: backup, members: [{address: 10.1.0.1}]".to_owned(),
            "`address`: `10.1.0.1` has no port: write it as ADDRESS:PORT",
        ),
        (
            calls,
            "bond: backup, members: [{address: '239.1.1.1:9'}]".to_owned(),
            "239.1.1.1 is no address for SRT, which goes from one host to one other",
        ),
        (
            calls,
            "bond: backup, members: [{address: '10.0.0.1:9000'}]".to_owned(),
            "10.0.0.1:9000 is in this bond already, by the same interface",
        ),
        (
            calls,
            "bond: backup, members: [{address: '10.1.0.1:9', interface: '::1'}]".to_owned(),
            "interface ::1 is not an IPv4 address as 10.1.0.1 is",
        ),
        (
            calls,
            "bond: backup, members: [{address: '10.1.0.1:9', weight: 1}]".to_owned(),
            "unknown key `weight` (address, interface)",
        ),
        (
            calls,
            format!("bond: backup, members: {members}, backend: rsrt"),
            "`rsrt` cannot do bonding: write `libsrt`, or leave `backend` out",
        ),
        (
            listens,
            "bond: accept, idle: 2s".to_owned(),
            "a way that stands by says a word each second: with a `bond`, write 3s or more",
        ),
        (calls, format!("bond: backup, members: [{eight}]"), "8 members are too many: at most 7 besides the URL"),
    ] {
        let told = problems(&text(url, &format!("srt: {{{keys}}}"), TO, ""));
        assert!(
            told.lines().any(|line| line.starts_with("6:") && line.ends_with(&format!(": error: {message}"))),
            "{keys}: {told}"
        );
    }
}
