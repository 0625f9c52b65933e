//! A way that is dark for two seconds, and a peer that is killed and started again: how soon data comes again.
#![allow(clippy::disallowed_methods, reason = "the time until data comes again is what is tested")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use changeover::config::{Backend, Role, SrtPlan};
use changeover::plane::What;
use changeover::units::Span;

use super::peers::{Program, Session};
use super::process::wait_for;
use super::proxy::Proxy;
use super::stage::{AHEAD, BOTH, Turn, datagram, is_bound, local, receive, srt};
use super::watch::{Run, Watch, fairly};

/// Within which data is to come again.
const SOON: Duration = Duration::from_secs(1);
/// For how long a way is dark.
const DARK: Duration = Duration::from_secs(2);
/// For how long a peer that was killed is gone.
const AWAY: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug)]
struct Case {
    program: Program,
    backend: Backend,
    role: Role,
    incoming: bool,
}

/// The longest that data took to come again from or to each program.
#[derive(Default)]
struct Longest(Mutex<BTreeMap<String, Duration>>);

impl Longest {
    fn take(&self, case: Case, passed: Duration) {
        let mut longest = self.0.lock().unwrap();
        let of = longest.entry(format!("{:?}", case.program)).or_default();
        *of = passed.max(*of);
    }
}

/// Each program at the other end of each backend, role and direction.
fn all(run: fn(Case) -> (Duration, Run)) {
    let longest = Longest::default();
    thread::scope(|scope| {
        for program in Program::ALL {
            for backend in BOTH {
                for role in [Role::Caller, Role::Listener] {
                    for incoming in [true, false] {
                        let case = Case { program, backend, role, incoming };
                        let longest = &longest;
                        let named = thread::Builder::new().name(format!("{case:?}"));
                        let running = named.spawn_scoped(scope, move || {
                            let _turn = Turn::take(1);
                            fairly(|| {
                                let (passed, run) = run(case);
                                if matches!(run, Run::Good) {
                                    longest.take(case, passed);
                                }
                                run
                            });
                        });
                        running.unwrap();
                    }
                }
            }
        }
    });
    println!("data came again after {:?} at most", longest.0.lock().unwrap());
}

#[test]
fn a_way_that_is_dark_for_two_seconds_is_no_end() {
    all(goes_dark);
}

fn goes_dark(case: Case) -> (Duration, Run) {
    let Case { program, backend, role, incoming } = case;
    let watch = Watch::start();
    let way = |near, port| Some(Proxy::start(near, local(port), 0, Duration::from_millis(20), 1));
    let plan = SrtPlan { latency: Span::from_millis(500), buffer: 4 << 20, ..srt(backend, role) };
    let Session { mut stage, from, sink, way, peer: _peer, .. } = Session::by(program, &plan, incoming, way);
    let way = way.unwrap();
    // More than a second, two of darkness, and more than one after it, of which the last one must be whole.
    let (connected, sending) = program.feed(from, incoming, 5000);
    stage.until_up();
    drop(connected);
    assert_eq!(receive(&sink, AHEAD, AHEAD + 199), 200, "{case:?}");
    let mut bytes = [0; 2048];
    way.lose(1000);
    let start = Instant::now();
    while start.elapsed() < DARK {
        let _ = sink.recv(&mut bytes);
    }
    way.lose(0);
    let start = Instant::now();
    wait_for("data", || sink.recv(&mut bytes).ok());
    let passed = start.elapsed();
    let count = receive(&sink, 4000, 4999);
    sending.join().unwrap();
    let connected = stage.until_up().connected;
    // Its output goes on listening: the call that is made beside a silent connection may be answered before that one is heard.
    let most = if (program, role) == (Program::Gstreamer, Role::Caller) { 2 } else { 1 };
    let good = passed < SOON && count == 1000 && connected <= most;
    let said = format!("{passed:?}, {count} of 1000, {connected} connections: {case:?} {:?}", stage.events);
    (passed, watch.judge((!good).then_some(said)))
}

#[test]
fn a_peer_that_was_killed_is_heard_a_second_after_it_comes_back() {
    all(comes_back);
}

fn comes_back(case: Case) -> (Duration, Run) {
    let Case { program, backend, role, incoming } = case;
    let watch = Watch::start();
    // The dead connection stands in the way of the new one.
    let plan = SrtPlan { callers: 1, ..srt(backend, role) };
    // It shows when a caller is back. A listener is when it has its port.
    let way = |near, port| (role == Role::Listener).then(|| Proxy::start(near, local(port), 0, Duration::ZERO, 1));
    let Session { mut stage, from, sink, way, theirs, peer, program, .. } = Session::by(program, &plan, incoming, way);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let feeding = thread::spawn(move || {
        for n in 0.. {
            let _ = from.send(&datagram(n));
            if stopped.recv_timeout(Duration::from_millis(5)) != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
    let mut bytes = [0; 2048];
    let mut until_data = |count| {
        for _ in 0..count {
            wait_for("data", || sink.recv(&mut bytes).ok());
        }
    };
    until_data(200);
    stage.event("a connection", |what| matches!(what, What::Up { .. }));
    let callers = way.as_ref().map(Proxy::callers);
    // A process gets a SIGKILL; srt-tokio is left off in the middle, and says nothing either.
    drop(peer);
    thread::sleep(AWAY);
    while sink.recv(&mut [0; 2048]).is_ok() {}
    let _peer = program();
    let end = Instant::now() + super::process::LIMIT;
    while !way.as_ref().map_or_else(|| is_bound(theirs), |way| Some(way.callers()) > callers) {
        assert!(Instant::now() < end, "it never came back: {case:?}");
        thread::sleep(Duration::from_millis(2));
    }
    let start = Instant::now();
    until_data(1);
    let passed = start.elapsed();
    until_data(50);
    stage.event("a connection", |what| matches!(what, What::Up { .. }));
    let ends = stage.events.iter().filter(|event| matches!(event.what, What::Down { .. })).count();
    drop(stop);
    feeding.join().unwrap();
    let good = passed < SOON && ends == 1;
    let said = format!("{passed:?}, {ends} ends: {case:?} {:?}", stage.events);
    (passed, watch.judge((!good).then_some(said)))
}
