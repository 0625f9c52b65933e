//! Ways that lose.

use std::thread;
use std::time::Duration;

use changeover::config::{Backend, Role, SrtPlan};
use changeover::units::Span;

use super::peers::{Program, Session};
use super::proxy::Proxy;
use super::stage::{AHEAD, BOTH, Turn, is_full, receive, srt};
use super::watch::{Run, Watch, fairly};

/// Of a way, there or back.
const DELAY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
struct Case {
    program: Program,
    backend: Backend,
    role: Role,
    incoming: bool,
    /// Of a thousand.
    loss: u64,
}

/// Each loss by each backend in each direction; the roles take turns in an ordinary run, and the program is libsrt's own.
/// srt-tokio is left out as a sender, since it sends next to nothing again (665 to 714 were missing at a loss of 5 %, one of
/// srt-live-transmit's at most). As a receiver it asks at once, and then again after twice its round trip, 98 to 134 ms here: twice in 200 ms,
/// so that of 14,000 over 5 % some seven would never come. It is held at 2 % and 400 ms.
fn lossy() -> Vec<Case> {
    let programs = if is_full() { &Program::ALL[..] } else { &[Program::Transmit] };
    let mut cases = Vec::new();
    for &program in programs {
        for backend in BOTH {
            for incoming in [true, false] {
                for loss in [20, 50] {
                    if program == Program::SrtTokio && (incoming || loss > 20) {
                        continue;
                    }
                    for role in [Role::Caller, Role::Listener] {
                        let turn = (backend == Backend::Rsrt) ^ incoming ^ (loss == 20);
                        if is_full() || turn == (role == Role::Caller) {
                            cases.push(Case { program, backend, role, incoming, loss });
                        }
                    }
                }
            }
        }
    }
    cases
}

#[test]
fn what_is_lost_on_the_way_is_sent_again() {
    thread::scope(|scope| {
        for (seed, case) in (1..).zip(lossy()) {
            scope.spawn(move || {
                // Half of them at a time, and nothing else beside them.
                let _turn = Turn::take(5);
                fairly(|| comes_again(case, seed));
            });
        }
    });
}

fn comes_again(case: Case, seed: u64) -> Run {
    const MESSAGES: u32 = 14_000;
    // The last of those that count may be one that is lost.
    const BEHIND: u32 = 10;
    let Case { program, backend, role, incoming, loss } = case;
    // Where the handshake itself lost datagrams, srt-tokio as a listener was seen to answer none of the calls that followed.
    let (latency, at_first) = if program == Program::SrtTokio { (400, 0) } else { (200, loss) };
    let plan = SrtPlan { latency: Span::from_millis(latency), ..srt(backend, role) };
    let way = |near, port| Some(Proxy::start(near, super::stage::local(port), at_first, DELAY, seed));
    let Session { mut stage, from, sink, way, peer: _peer, .. } = Session::by(program, &plan, incoming, way);
    let (connected, sending) = program.feed(from, incoming, AHEAD + MESSAGES + BEHIND);
    stage.until_up();
    let way = way.unwrap();
    way.lose(loss);
    let watch = Watch::start();
    drop(connected);
    let count = receive(&sink, AHEAD, AHEAD + MESSAGES - 1);
    sending.join().unwrap();
    let told =
        stage.until("figures", |status| status.connections[0].is_some_and(|it| it.packets + 2 >= u64::from(MESSAGES)));
    let figures = told.connections[0].unwrap();
    // A half of what is to be expected, since a way may be kind.
    assert!(figures.lost * 2000 > u64::from(MESSAGES) * loss, "{figures:?}");
    assert!(figures.retransmitted > 0, "{figures:?}");
    // rsrt does not measure the round trip where it only sends.
    let untold = backend == Backend::Rsrt && !incoming;
    assert!(untold || figures.rtt > Span::from_millis(35), "{figures:?}");
    let missing = MESSAGES - count;
    let said = format!("{missing} of {MESSAGES} are missing: {case:?}, dropped: {}", figures.dropped);
    if missing <= 2 {
        println!("{said}");
    }
    watch.judge((missing > 2).then_some(said))
}
