//! What is wrong with a configuration is said in the right place and in words that help.

use std::io::Write;

use changeover::config::Plan;
use changeover::health::Criterion;

mod config_text;
use config_text::{SMALL, problems, with};

#[test]
fn each_wrong_value_is_said_in_its_place() {
    // What is added to the input (from 6:9), the channel (from 6:5) and the output (from 8:9), and what is said.
    let criteria = ["profile"].into_iter().chain(Criterion::ALL.map(Criterion::name)).collect::<Vec<_>>().join(", ");
    let table: &[(&str, &str, &str, String)] = &[
        (
            "prioriti: 3",
            "",
            "",
            "6:9: error: unknown key `prioriti`: did you mean `priority`? (name, url, interface, source, \
          priority, domain, standby, health, analysis, reorder, receive_buffer, max_bit_rate, srt, \
          passphrase_file, passphrase_env)"
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
            "switch: {on_loss: {action: slate}}",
            "",
            "6:32: error: `action: slate` wants a clip: `slate: /path/to/file.ts`".into(),
        ),
        (
            "",
            "switch: {on_loss: {action: slate, slate: a.ts}}",
            "",
            "6:46: error: `slate`: a.ts does not begin with `/`: a clip is named by its whole path".into(),
        ),
        (
            "",
            "switch: {on_loss: {action: slate, slate: /dev/null}}",
            "",
            "6:46: error: `slate`: /dev/null is not a file".into(),
        ),
        (
            "",
            "switch: {on_loss: {action: null, slate: /proc/version}}",
            "",
            "6:45: error: `slate`: /proc/version: not a transport stream: 0x47 recurs neither every 188, 192 nor 204 bytes from its beginning\n6:45: warning: `slate` has no effect without `action: slate`".into(),
        ),
        (
            "",
            "switch: {on_loss: {action: stop}}",
            "",
            "6:32: error: `action`: unknown value `stop` (stay, null, mute, slate)".into(),
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
            "health: {bit_rate_below: {raise: {for: 1s}}}",
            "",
            "6:38: error: `bit_rate_below` needs both `below` and `for`: write raise: {below: 5Mb/s, for: 1s}".into(),
        ),
        (
            "",
            "health: {bit_rate_below: {raise: {above: 3, within: 1s}}}",
            "",
            "6:46: error: `bit_rate_below` is a rate, and not counted: write raise: {below: 5Mb/s, for: 1s}".into(),
        ),
        (
            "",
            "health: {srt_rtt_above: {raise: {for: 1s}}}",
            "",
            "6:37: error: `srt_rtt_above` needs both `above` and `for`: write raise: {above: 500ms, for: 5s}".into(),
        ),
        (
            "",
            "health: {srt_rtt_above: {raise: {above: 1s, within: 1s}}}",
            "",
            "6:57: error: `srt_rtt_above` is a time, and lasts: write raise: {above: 500ms, for: 5s}".into(),
        ),
        (
            "",
            "health: {srt_unrecovered: {raise: {above: 1, within: 10s}}}",
            "",
            "6:47: error: `above`: `1` has no unit: write it with %, as in 0.1% or 2%".into(),
        ),
        (
            "",
            "health: {srt_unrecovered: {raise: {above: 101%, within: 10s}}}",
            "",
            "6:47: error: `above`: `101%` is out of range: 0%…100%".into(),
        ),
        (
            "",
            "health: {srt_unrecovered: {raise: {above: 1%, for: 10s}}}",
            "",
            "6:56: error: `srt_unrecovered` is a share within a time: write raise: {above: 0.1%, within: 10s}".into(),
        ),
        (
            "health: {srt_disconnected: off}",
            "",
            "",
            "6:18: error: `srt_disconnected` is for an input by SRT, and the URL of this one is not srt://".into(),
        ),
        (
            "",
            "health: {input_loss: {raise: {below: 5Mb/s, for: 1s}}}",
            "",
            "6:42: error: `input_loss` is no rate: write raise: {for: 1s}".into(),
        ),
        (
            "",
            "health: {pid_error: {programs: [0]}}",
            "",
            "6:37: error: `programs`: `0` is no program_number, 1…65535".into(),
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
            "health: {cat_error: {raise: {above: 1, within: 1s}, pids: [1]}}",
            "",
            format!("6:63: error: `cat_error` is of the whole stream: only {} take `pids`", scoped().join(", ")),
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
        ("", "delay: 50ms", "", "6:5: error: `delay` is a key of `switch`: write it below that".into()),
        ("", "datagram: {packets: 8}", "", "6:25: error: `packets`: `8` is out of range: 1…7".into()),
        ("", "", "ttl: 256", "8:14: error: `ttl`: `256` is out of range: 1…255".into()),
        ("", "", "dscp: 64", "8:15: error: `dscp`: `64` is out of range: 0…63".into()),
        ("", "", "source: 1.2.3.4", "8:9: error: unknown key `source` (url, interface, ttl, dscp, srt, passphrase_file, passphrase_env)".into()),
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
            "1:86: error: 127.0.0.1:5000 is what input `x` receives: the output would loop back into it",
        ),
        (
            channel("a", "udp://239.1.1.1:5000?iface=eth1", "udp://239.1.1.1:5000?iface=eth2"),
            "1:99: warning: 239.1.1.1:5000 is the group of input `x`, on another interface: should the two be one \
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
         health, analysis, reorder, receive_buffer, max_bit_rate, srt, \
          passphrase_file, passphrase_env)\n\
         6:14: error: `239.1.1.1` has no port: write it as ADDRESS:PORT\n\
         7:19: error: `priority`: `1e9` is not a whole number: -1000000…1000000\n\
         8:21: error: `delay`: `100` has no unit: write it with ms, s or m, as in 200ms, 5s or 2m\n\
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

#[test]
fn a_name_that_two_inputs_have_is_told_though_one_of_them_cannot_be_read_further() {
    let text = "\
channels:
  - name: news
    inputs:
      - {name: main, url: 'udp://239.1.1.1:5000'}
      - {name: main, url: 'udp://239.1.1.2'}
    outputs:
      - {url: 'udp://239.9.9.9:5000'}
";
    assert_eq!(
        problems(text),
        "5:16: error: the input in line 4 is called `main` too\n\
         5:27: error: `239.1.1.2` has no port: write it as ADDRESS:PORT"
    );
}

/// The criteria that can be confined to PIDs and programs.
fn scoped() -> Vec<&'static str> {
    Criterion::ALL.into_iter().filter(|c| c.takes_scope()).map(Criterion::name).collect()
}
