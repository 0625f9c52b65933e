//! The program as a process among others: encoders that feed it, a receiver of its output, and what can be said of what
//! was received.
#![allow(dead_code, clippy::unwrap_used, clippy::disallowed_methods)]

pub(crate) mod play;
pub(crate) mod twins;

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use changeover::config::{InputPlan, Interface};
use changeover::plane::Receiver;
use changeover::units::Span;
use serde_json::{Value, json};

/// How long anything may take before a test gives up.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// Where the API listens, in a network namespace that nobody else is in.
pub(crate) const API: &str = "127.0.0.1:8080";

/// Looks again and again until `look` finds something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("in {LIMIT:?}: {what}");
}

/// A program of the system; the test fails with its Debian package where it is missing.
pub(crate) fn tool(program: &str, package: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{program} is needed: install the package `{package}` ({error})"))
}

/// A process that is killed with its test.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn spawn(command: &mut Command, package: &str) -> Self {
        let program = command.get_program().to_owned();
        let child = command.stdin(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| {
            panic!("{} is needed: install the package `{package}` ({error})", program.display())
        }))
    }

    /// Ends it at once, by its process id.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, with nothing of this environment that it would heed.
pub(crate) fn changeover() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_changeover"));
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "CHANGEOVER_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// `changeover run`, with its API on [`API`].
pub(crate) struct Switcher {
    process: Process,
    log: PathBuf,
}

impl Switcher {
    /// Starts it in `folder` and waits until its API answers.
    pub(crate) fn start(folder: &Path, configuration: &str) -> Self {
        let (path, log) = (folder.join("changeover.yaml"), folder.join("log"));
        std::fs::write(&path, configuration).unwrap();
        let mut command = changeover();
        command.arg("run").arg(path).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let mut it = Self { process: Process::spawn(&mut command, "changeover"), log };
        until("the API answers", || {
            assert!(it.process.0.try_wait().unwrap().is_none(), "it ended: {}", it.log());
            request("GET /healthz", "").filter(|(status, _)| *status == 200)
        });
        it
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// How many lines of the log have `text` in their message.
    pub(crate) fn told(&self, text: &str) -> usize {
        let messages = |line: &str| serde_json::from_str::<Value>(line).ok()?["message"].as_str().map(str::to_owned);
        self.log().lines().filter_map(messages).filter(|message| message.contains(text)).count()
    }

    /// The channel `news` as the API shows it.
    pub(crate) fn channel(&self) -> Value {
        let (status, body) = request("GET /api/v1/channels", "").unwrap_or_else(|| panic!("no API: {}", self.log()));
        assert_eq!(status, 200, "{body}");
        let all: Value = serde_json::from_str(&body).unwrap();
        all["channels"].as_array().unwrap().iter().find(|channel| channel["name"] == "news").unwrap().clone()
    }

    /// The channel once `holds` is true of it.
    pub(crate) fn wait(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            last = self.channel();
            if holds(&last) {
                return last;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("in {LIMIT:?}: {what}\n{last:#}\n{}", self.log());
    }

    /// Waits until `more` packets have left.
    pub(crate) fn wait_for_output(&self, more: u64) {
        let packets = |channel: &Value| channel["packets"].as_u64().unwrap();
        let from = packets(&self.channel());
        self.wait("the output goes on", |channel| packets(channel) >= from + more);
    }

    pub(crate) fn take(&self, input: &str) -> Value {
        let body = json!({ "input": input }).to_string();
        let (status, body) = request("POST /api/v1/channels/news/take", &body).unwrap();
        assert_eq!(status, 200, "{body}\n{}", self.log());
        serde_json::from_str(&body).unwrap()
    }

    /// One value of the metrics.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (status, text) = request("GET /metrics", "").unwrap();
        assert_eq!(status, 200);
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
    }

    /// Ends it as a service manager does.
    pub(crate) fn end(mut self) {
        let id = self.process.0.id().to_string();
        assert!(tool("kill", "procps", &["-s", "TERM", &id]).status.success());
        assert_eq!(self.process.0.wait().unwrap().code(), Some(0), "{}", self.log());
    }
}

/// The input `name` of a channel.
pub(crate) fn input<'a>(channel: &'a Value, name: &str) -> &'a Value {
    channel["inputs"].as_array().unwrap().iter().find(|input| input["name"] == name).unwrap()
}

/// The status and body of the answer of the API; none where there is no answer.
fn request(line: &str, body: &str) -> Option<(u16, String)> {
    let address: SocketAddr = API.parse().unwrap();
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// What a recording came to.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) datagrams: u64,
    /// From the first datagram to the last.
    pub(crate) seconds: f64,
    /// Datagrams whose RTP sequence number is not the next one, or whose SSRC is another.
    pub(crate) rtp_errors: u64,
}

/// How to receive what goes to an address.
pub(crate) fn plan(to: &str, interface: &str) -> InputPlan {
    InputPlan {
        name: "recorder".to_owned(),
        url: format!("udp://{to}"),
        address: to.parse().unwrap(),
        interface: Some(Interface::Name(interface.to_owned())),
        sources: Vec::new(),
        receive_buffer: 8 << 20,
        domain: None,
        srt: None,
    }
}

/// Records what goes to an address into a file of TS packets, until it is ended.
pub(crate) struct Recorder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Recorded>,
}

impl Recorder {
    /// `rtp`: each datagram begins with an RTP header of twelve bytes.
    pub(crate) fn start(to: &str, interface: &str, rtp: bool, file: &Path) -> Self {
        let mut receiver = Receiver::open(&plan(to, interface)).unwrap();
        let mut file = BufWriter::new(File::create(file).unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut recorded, mut first, mut last, mut before) = (Recorded::default(), None, None, None);
            loop {
                let ending = stopped.load(Ordering::Relaxed);
                let count = receiver.recv_batch(Span::from_millis(100), |bytes, at| {
                    let header = bytes.get(..if rtp { 12 } else { 0 }).unwrap();
                    file.write_all(&bytes[header.len()..]).unwrap();
                    if rtp {
                        let sequence = u16::from_be_bytes([header[2], header[3]]);
                        let ssrc = header[8..].to_vec();
                        let follows = before.as_ref().is_none_or(|it| *it == (sequence.wrapping_sub(1), ssrc.clone()));
                        recorded.rtp_errors += u64::from(!follows);
                        before = Some((sequence, ssrc));
                    }
                    recorded.datagrams += 1;
                    first.get_or_insert(at);
                    last = Some(at);
                });
                // Asked to end before this look, and nothing was left.
                if ending && count == 0 {
                    break;
                }
            }
            file.flush().unwrap();
            let dropped = receiver.figures().dropped;
            assert_eq!(dropped, 0, "the recorder could not keep up: this machine is too busy for the test");
            let nanos = first.zip(last).map_or(0, |(first, last)| last.since(first).nanos());
            recorded.seconds = Duration::from_nanos(nanos.unsigned_abs()).as_secs_f64();
            recorded
        });
        Self { stop, thread }
    }

    pub(crate) fn end(self) -> Recorded {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
