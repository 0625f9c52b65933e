//! The program end to end, on real packets, each test in a network namespace of its own.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod netns;
mod scene;

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use changeover::synth::{Feed, Settings};
use changeover::ts::PACKET_SIZE;
use netns::{in_netns, ip};
use scene::play::{self, NETWORK};
use scene::{Recorder, Switcher, input};
use serde_json::Value;

/// A link whose ends are both here: what is sent by v0 comes in by v1.
const LINK: &str = "
    echo 1 > /proc/sys/net/ipv4/conf/all/accept_local
    echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
    echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter
    ip route add 224.0.0.0/4 dev lo
";

fn make_link() {
    ip("link add v0 type veth peer name v1");
    ip("addr add 10.1.0.1/24 dev v0");
    ip("addr add 10.1.0.2/24 dev v1");
    ip("link set v0 up");
    ip("link set v1 up");
}

/// A synthetic feed on its way to a group, in RTP or as it is.
struct Sender {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<[u8; PACKET_SIZE]>>,
}

impl Sender {
    /// `by`: the address of the interface that it is sent from.
    fn start(by: &'static str, to: &'static str, rtp: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut feed = Feed::new(Settings { bit_rate: 4_000_000, ..Settings::default() });
            let (mut sent, mut socket, mut sequence) = (Vec::new(), None, 0_u16);
            let start = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let packets: [_; 7] = std::array::from_fn(|_| feed.next_packet());
                thread::sleep(Duration::from_nanos(packets[6].at.0 * 1000 / 27).saturating_sub(start.elapsed()));
                let mut datagram = Vec::new();
                if rtp {
                    let [high, low] = sequence.to_be_bytes();
                    datagram.extend([0x80, 33, high, low, 0, 0, 0, 0, 1, 2, 3, 4]);
                    sequence = sequence.wrapping_add(1);
                }
                datagram.extend(packets.iter().flat_map(|packet| packet.bytes));
                // The interface may be gone at the moment, and be another one when it comes back.
                let gone = match &socket {
                    None => true,
                    Some(socket) => UdpSocket::send_to(socket, &datagram, to).is_err(),
                };
                if gone {
                    socket = sending_socket(by);
                }
                sent.extend(packets.map(|packet| packet.bytes));
            }
            sent
        });
        Self { stop, thread }
    }

    /// All packets that were sent.
    fn end(self) -> Vec<[u8; PACKET_SIZE]> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// A socket whose multicasts leave by the interface with the address `by`.
fn sending_socket(by: &str) -> Option<UdpSocket> {
    let socket = UdpSocket::bind((by, 0)).ok()?;
    socket2::SockRef::from(&socket).set_multicast_if_v4(&by.parse().unwrap()).ok()?;
    Some(socket)
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

#[test]
fn the_output_stays_one_stream_whatever_happens_to_the_encoders() {
    if !in_netns("the_output_stays_one_stream_whatever_happens_to_the_encoders", NETWORK) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("output.ts");
    let recorded = play::play(folder.path(), &file);
    play::judge(&file, &recorded);
}

/// Datagrams that carry no TS packet: random ones, pieces of real ones, and headers that promise what is not there.
/// The second figure is how many of them are too long for a frame.
fn nonsense() -> (Vec<Vec<u8>>, u64) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    };
    let mut all = vec![Vec::new(), vec![0x47], vec![0x80]];
    for _ in 0..300 {
        let [a, b, ..] = random();
        let mut len = usize::from(u16::from_be_bytes([a, b])) % 1_900;
        // A whole number of packets would be packets, bad ones, also behind the header of a datagram.
        while len % 188 < 84 || len % 204 < 84 {
            len += 1;
        }
        let mut bytes: Vec<u8> = std::iter::repeat_with(&mut random).take(len / 8 + 1).flatten().collect();
        bytes.truncate(len);
        bytes.iter_mut().filter(|byte| **byte == 0x47).for_each(|byte| *byte = 0x46);
        all.push(bytes);
    }
    let packet = Feed::new(Settings::default()).next_packet().bytes;
    let rtp = |first: u8, body: &[u8]| [&[first, 33, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4], body].concat();
    all.extend((1..187).step_by(31).map(|len| packet[..len].to_vec()));
    all.extend((1..12).map(|len| rtp(0x80, &[])[..len].to_vec()));
    all.extend([rtp(0x80, &[]), rtp(0x8F, &[0; 20]), rtp(0x90, &[0xFF; 8]), rtp(0xA0, &[0xFF; 80])]);
    all.extend([vec![0x47; 2_049], vec![0; 9_000]]);
    (all, 2)
}

#[test]
fn nonsense_changes_nothing_but_counters() {
    if !in_netns("nonsense_changes_nothing_but_counters", NETWORK) {
        return;
    }
    const CONFIGURATION: &str = "
node: {name: test}
api: {listen: 127.0.0.1:8080}
channels:
  - name: news
    inputs:
      - {name: main, url: udp://239.1.1.1:5000, interface: lo, priority: 100}
      - {name: backup, url: rtp://239.1.1.2:5000, interface: lo, priority: 50}
    # a sender that this machine keeps waiting leaves holes
    switch: {hole: silent}
    outputs:
      - {url: udp://239.1.1.3:6000, interface: lo, ttl: 1}
";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("output.ts");
    let recorder = Recorder::start("239.1.1.3:6000", "lo", false, &file);
    let switcher = Switcher::start(folder.path(), CONFIGURATION);
    let senders = [("239.1.1.1:5000", false), ("239.1.1.2:5000", true)].map(|(to, rtp)| {
        let sender = Sender::start("127.0.0.1", to, rtp);
        (to, sender)
    });
    switcher.wait("both inputs are healthy, the main on air", |channel| {
        input(channel, "main")["state"] == "active" && input(channel, "backup")["state"] == "hot"
    });
    switcher.wait_for_output(500);
    let before = switcher.channel();

    let (datagrams, too_long) = nonsense();
    let socket = sending_socket("127.0.0.1").unwrap();
    for (n, datagram) in datagrams.iter().enumerate() {
        for (to, _) in &senders {
            socket.send_to(datagram, to).unwrap();
        }
        if n % 20 == 0 {
            switcher.wait_for_output(50);
        }
    }
    let foreign = u64::try_from(datagrams.len()).unwrap() - too_long;
    let after = switcher.wait("every datagram is counted", |channel| {
        ["main", "backup"].iter().all(|name| {
            let input = input(channel, name);
            count(&input["foreign"]) == foreign && count(&input["socket"]["truncated"]) == too_long
        })
    });
    for name in ["main", "backup"] {
        let (before, after) = (input(&before, name), input(&after, name));
        for same in ["state", "raised", "since", "odd", "hurried", "overrun"] {
            assert_eq!(before[same], after[same], "{name}: {same}");
        }
        for same in ["lost", "reordered", "late", "restarts"] {
            assert_eq!(before["rtp"][same], after["rtp"][same], "{name}: {same}");
        }
        assert_eq!(before["indicators"], after["indicators"], "{name}");
        let labels = format!("{{channel=\"news\",input=\"{name}\"}}");
        let metric = |family: &str| switcher.metric(&format!("changeover_input_{family}_total{labels}"));
        #[allow(clippy::cast_precision_loss)]
        let expected = foreign as f64;
        assert_eq!(metric("foreign_datagrams"), expected);
    }
    assert_eq!((&after["active"], &after["switches"]), (&"main".into(), &before["switches"]));
    assert_eq!(after["unsynchronised"], 0);
    switcher.wait_for_output(500);
    let sent = senders.map(|(_, sender)| sender.end());
    switcher.end();
    recorder.end();

    let output = std::fs::read(&file).unwrap();
    let (output, rest) = output.as_chunks::<PACKET_SIZE>();
    assert!(rest.is_empty() && output.len() > 1_000);
    let first = (0..sent[0].len()).find(|first| sent[0][*first..].starts_with(output));
    assert!(first.is_some(), "the output is not what was sent, packet by packet");
}

#[test]
fn an_interface_may_go_and_come_back() {
    if !in_netns("an_interface_may_go_and_come_back", LINK) {
        return;
    }
    const CONFIGURATION: &str = "
node: {name: test}
api: {listen: 127.0.0.1:8080}
channels:
  - name: news
    inputs:
      - {name: main, url: udp://239.1.1.1:5000, interface: v1, priority: 100}
      - {name: backup, url: udp://239.1.1.2:5000, interface: lo, priority: 50}
    switch: {failback: {mode: auto, after: 500ms}, dwell: 500ms, max_per_minute: 0}
    health: {profile: lenient, input_loss: {raise: {for: 200ms}, clear: {for: 500ms}}}
    outputs:
      - {url: udp://239.1.1.3:6000, interface: v1, ttl: 1}
      - {url: udp://127.0.0.1:6000}
";
    const MAIN: &str = "news/main (udp://239.1.1.1:5000 on v1)";
    let folder = tempfile::tempdir().unwrap();
    make_link();
    let switcher = Switcher::start(folder.path(), CONFIGURATION);
    let main = Sender::start("10.1.0.1", "239.1.1.1:5000", false);
    let backup = Sender::start("127.0.0.1", "239.1.1.2:5000", false);
    let is_on = |name: &'static str| move |channel: &Value| channel["active"] == name;
    switcher.wait("both are there", |channel| {
        is_on("main")(channel) && ["active", "hot"].contains(&input(channel, "backup")["state"].as_str().unwrap())
    });

    let (mut lost, mut back) = (0, 0);
    for round in 0..2 {
        for way in ["down", "deleted"] {
            ip(if way == "down" { "link set v1 down" } else { "link del v1" });
            switcher.wait(&format!("{way}: the backup is on air"), is_on("backup"));
            lost += 1;
            let reason = if way == "down" { "the interface is switched off" } else { "there is no such interface" };
            scene::until("the log says why", || (switcher.told(reason) >= 2 * (round + 1)).then_some(()));
            // Long enough for it to be told over and over.
            switcher.wait_for_output(1_000);
            assert_eq!(switcher.told(&format!("{MAIN}: does not work")), lost, "{}", switcher.log());
            if way == "down" {
                ip("link set v1 up");
            } else {
                make_link();
            }
            switcher.wait(&format!("{way}: the main is on air again"), is_on("main"));
            back += 1;
            let opened = |channel: &Value| channel["outputs"].as_array().unwrap().iter().all(|it| it["open"] == true);
            let channel = switcher.wait("the output by the link is open", opened);
            let sent = count(&channel["outputs"][0]["datagrams"]);
            switcher.wait("and sends", |channel| count(&channel["outputs"][0]["datagrams"]) > sent + 100);
            assert_eq!(switcher.told(&format!("{MAIN}: works")), back, "{}", switcher.log());
        }
    }
    main.end();
    backup.end();
    switcher.end();
}

/// Whether this network namespace is a member of the group.
fn is_member(group: &str) -> bool {
    let group: std::net::Ipv4Addr = group.parse().unwrap();
    // The kernel writes the address as it lies in memory.
    let written = format!("{:08X}", u32::from_ne_bytes(group.octets()));
    std::fs::read_to_string("/proc/net/igmp").unwrap().contains(&written)
}

#[test]
fn a_warm_input_is_joined_when_it_is_needed_and_left_when_it_is_not() {
    if !in_netns("a_warm_input_is_joined_when_it_is_needed_and_left_when_it_is_not", NETWORK) {
        return;
    }
    const CONFIGURATION: &str = "
node: {name: test}
api: {listen: 127.0.0.1:8080}
channels:
  - name: news
    inputs:
      - {name: main, url: udp://239.1.1.1:5000, interface: lo, priority: 100}
      - {name: backup, url: rtp://239.1.1.2:5000, interface: lo, priority: 50, standby: warm}
    switch: {failback: {mode: auto, after: 1s}, dwell: 1s, max_per_minute: 0}
    health: {profile: lenient, input_loss: {raise: {for: 300ms}, clear: {for: 1s}}}
    outputs:
      - {url: rtp://239.1.1.3:6000, interface: lo, ttl: 1}
";
    let folder = tempfile::tempdir().unwrap();
    let main = Sender::start("127.0.0.1", "239.1.1.1:5000", false);
    let backup = Sender::start("127.0.0.1", "239.1.1.2:5000", true);
    let switcher = Switcher::start(folder.path(), CONFIGURATION);
    let on_main = |channel: &Value| channel["active"] == "main" && input(channel, "main")["state"] == "active";
    let channel = switcher.wait("the main is on air", on_main);
    let rests = input(&channel, "backup");
    assert_eq!((&rests["state"], &rests["standby"], &rests["wanted"]), (&"warm".into(), &"warm".into(), &false.into()));
    assert_eq!((&rests["forecast"]["kind"], &rests["forecast"]["wait_ms"]), (&"unknown".into(), &Value::Null));
    switcher.wait_for_output(2_000);
    assert!(is_member("239.1.1.1") && !is_member("239.1.1.2"));
    let state = |state: &str| {
        switcher.metric(&format!("changeover_input_state{{channel=\"news\",input=\"backup\",state=\"{state}\"}}"))
    };
    assert_eq!((state("warm"), state("hot")), (1.0, 0.0));

    main.end();
    let channel = switcher.wait("the backup is on air", play::is_on("backup"));
    assert!(is_member("239.1.1.2") && count(&input(&channel, "backup")["packets"]) > 0, "{channel:#}");
    assert_eq!(switcher.told("news/backup: needed"), 1, "{}", switcher.log());
    switcher.wait_for_output(2_000);

    let main = Sender::start("127.0.0.1", "239.1.1.1:5000", false);
    switcher.wait("the main is on air again, and the backup was let go", |channel| {
        on_main(channel) && input(channel, "backup")["state"] == "warm"
    });
    scene::until("the group is left", || (!is_member("239.1.1.2")).then_some(()));
    let packets = input(&switcher.channel(), "backup")["packets"].clone();
    switcher.wait_for_output(2_000);
    let channel = switcher.channel();
    assert_eq!(input(&channel, "backup")["packets"], packets, "{channel:#}");
    assert_eq!(input(&channel, "backup")["indicators"]["continuity_count_error"]["count"], 0, "{channel:#}");

    // A take wakes it first.
    switcher.take("backup");
    switcher.wait("the backup is on air", |channel| {
        play::is_on("backup")(channel) && input(channel, "backup")["state"] == "active"
    });
    assert!(is_member("239.1.1.2"));
    switcher.wait_for_output(2_000);
    main.end();
    backup.end();
    assert_eq!(switcher.told("nothing has come"), 0, "{}", switcher.log());
    switcher.end();
}
