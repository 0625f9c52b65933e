//! The program as a process of its own.
#![allow(clippy::disallowed_methods, dead_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The program, with nothing of this environment that it would heed.
pub(crate) fn changeover() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_changeover"));
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "CHANGEOVER_LOG"] {
        command.env_remove(variable);
    }
    command
}

pub(crate) fn write(directory: &TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("changeover.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

/// A port of UDP that nobody has, and that neither the kernel nor this process gives to anybody else until it is bound.
pub(crate) fn udp_port() -> u16 {
    /// Below those that the kernel gives, and those of the floods.
    const PORTS: Range<u32> = 10_000..20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Processes that run beside this one begin elsewhere.
        let number = std::process::id().wrapping_mul(997).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + number % (PORTS.end - PORTS.start)).unwrap();
        if UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

/// A port of TCP that nobody has at the moment.
pub(crate) fn tcp_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A configuration of one channel with two inputs, all of it on the loopback interface.
pub(crate) fn configuration(api: u16, main: u16, backup: u16, output: u16) -> String {
    format!(
        "
node: {{name: test}}
api: {{listen: 127.0.0.1:{api}}}
channels:
  - name: news
    inputs:
      - {{name: main, url: udp://127.0.0.1:{main}, priority: 100}}
      - {{name: backup, url: udp://127.0.0.1:{backup}, priority: 50}}
    outputs:
      - {{url: udp://127.0.0.1:{output}}}
"
    )
}

/// A process that is ended with its test.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts `run` with a socket of a service manager, and waits until it says that it is ready.
    pub(crate) fn start(directory: &TempDir, configuration: &Path) -> (Self, UnixDatagram) {
        let log = File::create(directory.path().join("log")).unwrap();
        Self::start_logging(directory, configuration, log.into())
    }

    /// The same, with the log going elsewhere.
    pub(crate) fn start_logging(directory: &TempDir, configuration: &Path, log: Stdio) -> (Self, UnixDatagram) {
        let socket = directory.path().join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(LIMIT)).unwrap();
        let child = changeover()
            .arg("run")
            .arg(configuration)
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "2000000")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let running = Self { child, log: directory.path().join("log") };
        running.told(&manager, "READY=1");
        (running, manager)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the service manager is told a line that begins with `line`.
    pub(crate) fn told(&self, manager: &UnixDatagram, line: &str) -> String {
        let mut buffer = [0; 4096];
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            let Ok(count) = manager.recv(&mut buffer) else { break };
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            if text.lines().any(|it| it.starts_with(line)) {
                return text;
            }
        }
        panic!("{line} was never told: {}", self.log());
    }

    pub(crate) fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (status.code(), self.log())
    }
}

/// The status and body of the answer to a request.
fn ask(port: u16, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

pub(crate) fn get(port: u16, path: &str) -> (u16, String) {
    ask(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

pub(crate) fn post(port: u16, path: &str, body: &str) -> (u16, String) {
    let length = body.len();
    ask(
        port,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ),
    )
}

/// Looks again and again until `look` finds something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what} never came");
}
