//! The HTTP API over a real listener, with a shard that does as it is told.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use changeover::config::{ChannelPlan, InputPlan, NodePlan, OutputPlan, Plan};
use changeover::control::http;
use changeover::control::listen::{Limits, serve};
use changeover::control::rack::{Crossings, Rack};
use changeover::control::shards::spread;
use changeover::engine::{self, ChannelSetup, ChannelSnapshot, InputSetup, InputSnapshot, InputState};
use changeover::plane::{Command, Full, OutputFigures, PlaneSnapshot, SocketFigures};
use changeover::units::{BitRate, ChannelId, InputId};
use serde_json::{Value, json};
use tokio::sync::watch;

/// How a shard of the tests takes commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// At once.
    Willing,
    /// It goes on, but does not do them.
    Unwilling,
    /// It stands still.
    Dead,
    /// Its queue is full.
    Full,
}

struct TestShard {
    manner: Manner,
    snapshot: PlaneSnapshot,
}

impl Crossings for TestShard {
    fn command(&mut self, command: Command) -> Result<(), Full> {
        if self.manner == Manner::Full {
            return Err(Full(command));
        }
        if let (Manner::Willing, Command::Engine(engine::Command::Take(input))) = (self.manner, command) {
            let channel = &mut self.snapshot.engine.channels[usize::from(input.0) / 2];
            channel.active = Some(input);
            channel.taken = Some(input);
            channel.switches += 1;
        }
        Ok(())
    }

    fn snapshot(&mut self) -> &PlaneSnapshot {
        if self.manner != Manner::Dead {
            self.snapshot.rounds += 1;
        }
        &self.snapshot
    }

    fn stop(&mut self) {}
}

fn input(name: &str, port: u16) -> InputPlan {
    InputPlan {
        name: name.into(),
        url: format!("rtp://239.10.1.1:{port}"),
        address: ([239, 10, 1, 1], port).into(),
        interface: None,
        sources: Vec::new(),
        receive_buffer: 4 << 20,
        domain: Some("north".into()),
        srt: None,
    }
}

fn channel(name: &str, port: u16) -> ChannelPlan {
    ChannelPlan {
        name: name.into(),
        inputs: vec![input("main", port), input("backup", port + 1)],
        outputs: vec![OutputPlan {
            url: format!("rtp://239.20.1.1:{port}"),
            rtp: true,
            address: ([239, 20, 1, 1], port).into(),
            interface: None,
            ttl: 16,
            dscp: 34,
            srt: None,
        }],
        setup: ChannelSetup { inputs: vec![InputSetup::default(); 2], ..ChannelSetup::default() },
    }
}

fn plan() -> Plan {
    Plan {
        node: NodePlan { name: "rack-12".into(), domain: Some("north".into()) },
        api: None,
        channels: vec![channel("news", 5004), channel("a \"quoted\" name", 6004)],
    }
}

fn snapshot() -> PlaneSnapshot {
    let input = |state| {
        let mut input =
            InputSnapshot { state, enabled: true, packets: 700, bit_rate: BitRate(8_000_000), ..Default::default() };
        input.transport.datagrams = 100;
        input.transport.bytes = 131_600;
        input.counts[3] = 5;
        input
    };
    let channel = |first| ChannelSnapshot { active: Some(InputId(first)), packets: 7, ..Default::default() };
    PlaneSnapshot {
        engine: engine::Snapshot {
            channels: vec![channel(0), channel(2)],
            inputs: [InputState::Active, InputState::Hot, InputState::Active, InputState::Disabled].map(input).to_vec(),
            ..Default::default()
        },
        inputs: vec![SocketFigures { dropped: 9, ..Default::default() }; 4],
        outputs: vec![vec![OutputFigures { datagrams: 50, ..Default::default() }]; 2],
        ..Default::default()
    }
}

/// A server for one test.
struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    _runtime: tokio::runtime::Runtime,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

const LIMITS: Limits = Limits {
    connections: 64,
    header: Duration::from_secs(30),
    request: Duration::from_secs(30),
    life: Duration::from_secs(60),
};

fn server(manner: Manner) -> Server {
    server_with(manner, LIMITS)
}

fn server_with(manner: Manner, limits: Limits) -> Server {
    let plan = plan();
    let shares = spread(&plan, &[]);
    let shard = |share| (share, Box::new(TestShard { manner, snapshot: snapshot() }) as Box<dyn Crossings>);
    let rack = Arc::new(Rack::new(&plan, shares.into_iter().map(shard).collect()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    runtime.spawn(serve(listener, http::router(rack, limits.request), limits, stopped));
    Server { address, stop, _runtime: runtime }
}

/// A response.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        assert!(self.head.contains("content-type: application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// The JSON of an error, which has to say something.
    fn error(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let json = self.json();
        assert!(json["error"].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        json
    }
}

impl Server {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    fn raw(&self, request: &[u8]) -> Reply {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        reply(stream)
    }

    fn get(&self, path: &str) -> Reply {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).as_bytes())
    }

    fn post(&self, path: &str, kind: &str, body: &str) -> Reply {
        let length = body.len();
        self.raw(
            format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        )
    }

    fn take(&self, channel: &str, input: &str) -> Reply {
        let body = json!({ "input": input }).to_string();
        self.post(&format!("/api/v1/channels/{channel}/take"), "application/json", &body)
    }
}

/// Everything until the other end closes. A reset after the response is what a server does that closes with input
/// unread.
fn reply(mut stream: TcpStream) -> Reply {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
    Reply { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head: head.to_lowercase(), body: body.to_owned() }
}

#[test]
fn channels_are_shown_by_their_names() {
    let server = server(Manner::Willing);
    let all = server.get("/api/v1/channels").json();
    assert_eq!((&all["node"], &all["domain"]), (&json!("rack-12"), &json!("north")));
    assert_eq!(all["channels"].as_array().unwrap().len(), 2);
    let news = server.get("/api/v1/channels/news").json();
    assert_eq!(news["active"], "main");
    assert_eq!(news["packets"], 7);
    assert_eq!(news["taken"], Value::Null);
    let main = &news["inputs"][0];
    assert_eq!((&main["name"], &main["state"], &main["domain"]), (&json!("main"), &json!("active"), &json!("north")));
    assert_eq!((&main["bit_rate"], &main["socket"]["kernel_drops"]), (&json!(8_000_000), &json!(9)));
    assert_eq!(main["indicators"]["continuity_count_error"], json!({"priority": 1, "count": 5, "state": false}));
    assert_eq!(main["indicators"].as_object().unwrap().len(), 19);
    assert_eq!(news["outputs"][0]["datagrams"], 50);
    let quoted = server.get("/api/v1/channels/a%20%22quoted%22%20name").json();
    assert_eq!((&quoted["active"], &quoted["inputs"][1]["state"]), (&json!("main"), &json!("disabled")));
    assert_eq!(server.get("/healthz").json(), json!({"status": "ok"}));
    server_with(Manner::Dead, LIMITS).get("/healthz").error(503);
}

#[test]
fn a_take_is_answered_with_the_channel_as_it_then_is() {
    let server = server(Manner::Willing);
    let reply = server.take("news", "backup");
    assert_eq!(reply.status, 200);
    let news = reply.json();
    assert_eq!((&news["active"], &news["taken"], &news["switches"]), (&json!("backup"), &json!("backup"), &json!(1)));
    assert_eq!(server.get("/api/v1/channels/news").json()["active"], "backup");
    assert_eq!(server.take("news", "backup").status, 200, "to take it again changes nothing and is no error");
}

#[test]
fn a_take_that_cannot_be_done_says_why() {
    let willing = server(Manner::Willing);
    let error = willing.take("sport", "main").error(404);
    assert_eq!(error["channels"], json!(["news", "a \"quoted\" name"]));
    let error = willing.take("news", "third").error(404);
    assert_eq!(error["inputs"], json!(["main", "backup"]));
    let error = willing.take("a%20%22quoted%22%20name", "backup").error(409);
    assert!(error["error"].as_str().unwrap().contains("disabled"));
    let error = server(Manner::Unwilling).take("news", "backup").error(409);
    assert_eq!(error["channel"]["active"], "main");
    server(Manner::Dead).take("news", "backup").error(503);
    server(Manner::Full).take("news", "backup").error(503);
}

#[test]
fn bad_requests_are_told_apart() {
    let server = server(Manner::Willing);
    let path = "/api/v1/channels/news/take";
    for body in ["", "{", "[]", "{}", r#"{"input": 3}"#, r#"{"input": "main", "at": 1}"#, "\u{0}"] {
        server.post(path, "application/json", body).error(400);
    }
    server.post(path, "text/plain", r#"{"input": "main"}"#).error(415);
    server.post(path, "application/x-www-form-urlencoded", "input=main").error(415);
    server.post(path, "application/json", &" ".repeat(http::BODY_LIMIT + 1)).error(413);
    server.get("/").error(404);
    server.get("/api/v1/channels/").error(404);
    server.get("/api/v1/channels/sport").error(404);
    let reply = server.get(path);
    reply.error(405);
    assert!(reply.head.contains("allow: post"), "{reply:?}");
    server.post("/metrics", "application/json", "{}").error(405);
    server.get("/api/v1/channels/%ff").error(400);
    assert_eq!(server.get("/healthz").status, 200, "and the server is there as before");
}

#[test]
fn a_page_of_elsewhere_gets_nothing() {
    let server = server(Manner::Willing);
    let request = |host: &str| format!("GET /api/v1/channels HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
    for host in
        ["Host: evil.example\r\n", "Host: evil.example:8080\r\n", "Host: localhost.evil.example\r\n", "Host: \r\n"]
    {
        server.raw(request(host).as_bytes()).error(421);
    }
    server.raw(request("").as_bytes()).error(400);
    server.raw(request("Host: localhost\r\nHost: evil.example\r\n").as_bytes()).error(400);
    let absolute = "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    server.raw(absolute.as_bytes()).error(421);
    for host in ["Host: localhost:9\r\n", "Host: 127.0.0.1\r\n", "Host: [::1]:8080\r\n"] {
        assert_eq!(server.raw(request(host).as_bytes()).status, 200);
    }
}

#[test]
fn nonsense_is_refused_and_ends_only_its_own_connection() {
    let server = server(Manner::Willing);
    let huge = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    for request in
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n".to_vec(), b"GET\r\n\r\n".to_vec(), huge.into_bytes()]
    {
        let mut stream = server.connect();
        // The server may have closed before all is written.
        let _ = stream.write_all(&request);
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..count]);
        }
        assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&bytes));
    }
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn slow_clients_do_not_hold_others_and_are_let_go() {
    let limits = Limits { connections: 4, header: Duration::from_secs(1), request: Duration::from_secs(1), ..LIMITS };
    let server = server_with(Manner::Willing, limits);
    let mut half: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for stream in &mut half {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: loc").unwrap();
    }
    assert_eq!(server.get("/healthz").status, 200, "while three clients never finish their request");
    let mut body = server.connect();
    body.write_all(b"POST /api/v1/channels/news/take HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{").unwrap();
    reply(body).error(408);
    for mut stream in half {
        let mut rest = Vec::new();
        // Closed by the server, with or without a word; a client that waits for that does not wait for ever.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{:?}", String::from_utf8_lossy(&rest));
    }
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn every_metric_is_described_and_the_text_ends() {
    let server = server(Manner::Willing);
    let reply = server.get("/metrics");
    assert_eq!(reply.status, 200);
    assert!(
        reply.head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{}",
        reply.head
    );
    let samples = parse(&reply.body);
    let value = |wanted: &str| {
        samples.iter().find(|(name, _)| name == wanted).unwrap_or_else(|| panic!("{wanted} in {}", reply.body)).1
    };
    for (name, expected) in [
        (r#"changeover_input_packets_total{channel="news",input="main"}"#, 700.0),
        (r#"changeover_input_bytes_total{channel="news",input="main"}"#, 131_600.0),
        (r#"changeover_input_bit_rate{channel="news",input="backup"}"#, 8e6),
        (r#"changeover_input_kernel_drops_total{channel="news",input="backup"}"#, 9.0),
        (r#"changeover_input_state{channel="news",input="main",state="active"}"#, 1.0),
        (r#"changeover_input_state{channel="news",input="main",state="hot"}"#, 0.0),
        (r#"changeover_input_state{channel="a \"quoted\" name",input="backup",state="disabled"}"#, 1.0),
        (
            r#"changeover_input_indicator_events_total{channel="news",input="main",indicator="continuity_count_error"}"#,
            5.0,
        ),
        (r#"changeover_input_criterion_raised{channel="news",input="main",criterion="rtp_loss"}"#, 0.0),
        (r#"changeover_channel_active_input{channel="news",input="main"}"#, 1.0),
        (r#"changeover_channel_active_input{channel="news",input="backup"}"#, 0.0),
        (r#"changeover_channel_switches_total{channel="news"}"#, 0.0),
        (r#"changeover_output_datagrams_total{channel="news",output="rtp://239.20.1.1:5004"}"#, 50.0),
        (r#"changeover_shard_starved_total{shard="shard-0"}"#, 0.0),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert_eq!(samples.iter().filter(|(name, _)| name.starts_with("changeover_build_info{version=")).count(), 1);
}

/// The samples of an OpenMetrics text, which has to be one: every sample belongs to the family described just above
/// it, and the text ends with its mark.
fn parse(text: &str) -> Vec<(String, f64)> {
    let text = text.strip_suffix("# EOF\n").expect("the text ends with # EOF");
    let (mut samples, mut family, mut kind) = (Vec::new(), String::new(), String::new());
    let (mut helped, mut typed) = (std::collections::HashSet::new(), std::collections::HashSet::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            family = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, what) = rest.split_once(' ').unwrap();
            assert!(name == family && typed.insert(name.to_owned()), "{line}");
            kind = what.to_owned();
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').unwrap();
            assert!(name == family && name.ends_with(&format!("_{unit}")), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let suffix = match kind.as_str() {
                "counter" => "_total",
                "info" => "_info",
                "gauge" => "",
                other => panic!("{other}"),
            };
            assert!(name.starts_with(&format!("{family}{suffix}{{")) && family.starts_with("changeover_"), "{line}");
            samples.push((name.to_owned(), value.parse().unwrap()));
        }
    }
    assert_eq!(helped, typed);
    assert!(!samples.is_empty());
    samples
}

#[test]
fn channels_keep_their_numbers_on_several_shards() {
    let plan = plan();
    let shares = spread(&plan, &[0, 1]);
    let shard =
        |share| (share, Box::new(TestShard { manner: Manner::Willing, snapshot: snapshot() }) as Box<dyn Crossings>);
    let rack = Rack::new(&plan, shares.into_iter().map(shard).collect());
    let places: Vec<_> = rack.channels().iter().map(|it| (it.shard, it.id, it.inputs[1].id)).collect();
    assert_eq!(places, [(0, ChannelId(0), InputId(1)), (1, ChannelId(0), InputId(1))]);
}
