//! The program from outside: exit status, what it says where, and a life under a service manager.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test gives up.
const LIMIT: Duration = Duration::from_secs(30);

fn changeover() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_changeover"));
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "CHANGEOVER_LOG"] {
        command.env_remove(variable);
    }
    command
}

fn output(arguments: &[&str]) -> Output {
    changeover().args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn write(directory: &TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("changeover.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

/// A port of UDP and one of TCP that nobody has at the moment.
fn udp_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn tcp_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A configuration of one channel with two inputs, all of it on the loopback interface.
fn configuration(api: u16, main: u16, backup: u16, output: u16) -> String {
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

#[test]
fn help_teaches_and_version_tells() {
    let help = output(&["--help"]);
    assert!(help.status.success());
    for word in ["run", "check", "replay", "Exit status", "78"] {
        assert!(stdout(&help).contains(word), "{word}: {}", stdout(&help));
    }
    for command in ["run", "check", "replay"] {
        let help = output(&["help", command]);
        assert!(help.status.success() && stdout(&help).contains("Examples:"), "{}", stdout(&help));
    }
    assert_eq!(stdout(&output(&["--version"])).trim(), concat!("changeover ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_command_line_that_cannot_be_understood_ends_with_2() {
    for arguments in [&[][..], &["fly"], &["run"], &["check", "a", "b"], &["check", "--explane", "a"], &["replay", "a"]]
    {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("changeover"), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
    let output = output(&["run", "--log", "changeover=loud", "nothing.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("changeover=loud"), "{}", stderr(&output));
}

#[test]
fn a_wrong_configuration_ends_with_78_and_all_that_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let text = configuration(8080, 5000, 5001, 5002);
    let text = text.replace("priority: 100", "prioritie: 100").replace("udp://127.0.0.1:5002", "udp://127.0.0.1:99999");
    let path = write(&directory, &text);
    let path = path.to_str().unwrap();
    for arguments in [&["check", path][..], &["run", path], &["replay", path, "x.pcap"]] {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
        for part in [&format!("{path}:7:"), "priority", &format!("{path}:10:"), "99999"] {
            assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
        }
    }
    let output = output(&["check", "/nowhere/changeover.yaml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("/nowhere/changeover.yaml"), "{}", stderr(&output));
}

#[test]
fn a_right_configuration_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, &configuration(8080, 5000, 5001, 5002));
    let path = path.to_str().unwrap();
    let checked = output(&["check", path]);
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    assert!(stderr(&checked).contains("1 channel with 2 inputs and 1 output"), "{}", stderr(&checked));
    let explained = output(&["check", path, "--explain"]);
    assert_eq!(explained.status.code(), Some(0));
    for part in ["news", "main", "backup", "continuity_count_error"] {
        assert!(stdout(&explained).contains(part), "{part}: {}", stdout(&explained));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, &configuration(8080, 5000, 5001, 5002));
    for arguments in [vec!["--help"], vec!["check", path.to_str().unwrap(), "--explain"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = changeover().args(&arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(!stderr(&output).contains("panic"), "{}", stderr(&output));
    }
}

#[test]
fn what_cannot_be_had_ends_with_69_and_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let path = write(&directory, &configuration(port, udp_port(), udp_port(), udp_port()));
    let output = output(&["run", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("127.0.0.1:{port}")), "{}", stderr(&output));
    assert!(stderr(&output).contains("api.listen"), "{}", stderr(&output));

    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let path = write(&directory, &configuration(tcp_port(), udp_port(), port, udp_port()));
    let output = changeover().arg("run").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("udp://127.0.0.1:{port}")), "{}", stderr(&output));
}

/// A process that is ended with its test.
struct Running {
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
    fn start(directory: &TempDir, configuration: &Path) -> (Self, UnixDatagram) {
        let socket = directory.path().join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(LIMIT)).unwrap();
        let log = directory.path().join("log");
        let child = changeover()
            .arg("run")
            .arg(configuration)
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "2000000")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let running = Self { child, log };
        running.told(&manager, "READY=1");
        (running, manager)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the service manager is told a line that begins with `line`.
    fn told(&self, manager: &UnixDatagram, line: &str) -> String {
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

    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (status.code(), self.log())
    }
}

fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn a_service_says_when_it_is_ready_answers_and_ends_with_0() {
    for signal in ["TERM", "INT"] {
        let directory = tempfile::tempdir().unwrap();
        let api = tcp_port();
        let (main, backup) = (udp_port(), udp_port());
        let path = write(&directory, &configuration(api, main, backup, udp_port()));
        let (running, manager) = Running::start(&directory, &path);
        let (status, metrics) = get(api, "/metrics");
        assert_eq!(status, 200);
        assert!(metrics.contains("changeover_build_info{") && metrics.ends_with("# EOF\n"), "{metrics}");
        let (status, channel) = get(api, "/api/v1/channels/news");
        assert_eq!(status, 200);
        let channel: Value = serde_json::from_str(&channel).unwrap();
        assert_eq!(channel["inputs"][1]["url"], format!("udp://127.0.0.1:{backup}"));
        running.told(&manager, "WATCHDOG=1");
        let (status, log) = running.end(signal);
        assert_eq!(status, Some(0), "{log}");
        assert!(log.contains(&format!("SIG{signal}")), "{log}");
        for line in log.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
        }
        let mut rest = String::new();
        let mut buffer = [0; 4096];
        manager.set_nonblocking(true).unwrap();
        while let Ok(count) = manager.recv(&mut buffer) {
            rest.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        assert!(rest.contains("STOPPING=1"), "{rest}");
    }
}
