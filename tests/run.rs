//! A life of the program with real feeds on the loopback interface: it starts, is steered, loses an input, and ends.

#![allow(clippy::unwrap_used)]

mod process;

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use changeover::synth::{Feed, Settings};
use process::{LIMIT, Running, configuration, get, post, tcp_port, udp_port, wait_for, write};
use serde_json::Value;

/// A feed on its way to a port until it is dropped.
struct Sender {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    #[allow(clippy::disallowed_methods)] // A feed has a pace.
    fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let mut feed = Feed::new(Settings { bit_rate: 2_000_000, ..Settings::default() });
            let start = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let packets: Vec<_> = (0..7).map(|_| feed.next_packet()).collect();
                let due = Duration::from_nanos(packets[0].at.0 * 1000 / 27);
                thread::sleep(due.saturating_sub(start.elapsed()));
                let datagram: Vec<u8> = packets.iter().flat_map(|packet| packet.bytes).collect();
                let _ = socket.send_to(&datagram, (Ipv4Addr::LOCALHOST, port));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

#[test]
fn a_channel_is_switched_by_hand_and_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (api, main, backup) = (tcp_port(), udp_port(), udp_port());
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    receiver.set_read_timeout(Some(LIMIT)).unwrap();
    let output = receiver.local_addr().unwrap().port();
    let path = write(&directory, &configuration(api, main, backup, output));
    let (running, manager) = Running::start(&directory, &path);
    let on_main = Sender::start(main);
    let _on_backup = Sender::start(backup);

    let channel = || -> Value { serde_json::from_str(&get(api, "/api/v1/channels/news").1).unwrap() };
    let on_air = |input: &str| wait_for(input, || Some(channel()).filter(|it| it["active"] == input));
    let has_come = |channel: &Value| {
        channel["inputs"].as_array().unwrap().iter().all(|input| input["packets"].as_u64().is_some_and(|it| it > 500))
    };
    on_air("main");
    wait_for("both inputs", || Some(channel()).filter(has_come));
    let mut datagram = [0; 2048];
    let (length, _) = receiver.recv_from(&mut datagram).unwrap();
    assert_eq!((length, datagram[0], datagram[188]), (7 * 188, 0x47, 0x47));
    running.told(&manager, "STATUS=1 of 1 channels on air; 2 of 2 inputs healthy");

    for (input, switches) in [("backup", 2), ("main", 3)] {
        let (status, body) = post(api, "/api/v1/channels/news/take", &format!(r#"{{"input": "{input}"}}"#));
        let channel: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &channel["active"], &channel["taken"]), (200, &input.into(), &input.into()));
        assert_eq!(channel["switches"], switches, "the answer comes when the input is on air");
    }

    drop(on_main);
    let after = on_air("backup");
    assert_eq!(after["inputs"][0]["state"], "unhealthy");
    assert_eq!(after["inputs"][0]["raised"][0], "input_loss");
    assert!(after["inputs"][1]["bit_rate"].as_u64().is_some_and(|rate| rate > 1_000_000), "{after}");
    let (_, metrics) = get(api, "/metrics");
    for line in [
        r#"changeover_channel_active_input{channel="news",input="backup"} 1.0"#,
        r#"changeover_input_criterion_raised{channel="news",input="main",criterion="input_loss"} 1.0"#,
        r#"changeover_input_state{channel="news",input="main",state="unhealthy"} 1.0"#,
        r#"changeover_shard_events_lost_total{shard="shard-0"} 0"#,
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}: {metrics}");
    }
    running.told(&manager, "STATUS=1 of 1 channels on air; 1 of 2 inputs healthy");

    let (status, log) = running.end("TERM");
    assert_eq!(status, Some(0), "{log}");
    let events: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].as_str().map(str::to_owned))
        .map(|event| serde_json::from_str(&event).unwrap())
        .collect();
    let switches: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "switch")
        .map(|event| ["to", "reason"].map(|key| event[key].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(
        switches,
        [["main", "start"], ["backup", "take"], ["main", "take"], ["backup", "input_loss"]]
            .map(|it| it.map(str::to_owned)),
        "{log}"
    );
    assert!(events.iter().all(|event| event["t"].is_f64() && event["time"].is_string() && event["channel"] == "news"));
}
