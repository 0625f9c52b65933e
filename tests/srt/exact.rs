//! Every byte comes, once and in order: both backends, every role, both directions, with and without encryption, a stream id in
//! all of them, and each of four programs at the other end.

use std::thread;

use changeover::config::{Backend, Role, SrtPlan};
use changeover::plane::What;
use changeover::units::Span;

use super::peers::{Program, STREAM, Session};
use super::stage::{AHEAD, BOTH, Turn, dropped, encrypted, is_full, receive, srt};
use super::watch::{Run, fairly};

/// 10 Mb/s for ten seconds.
const LONG: u32 = 9500;
const SHORT: u32 = 1000;
/// What is asked for is every byte, however long the machine stands still on the way.
const LATENCY: Span = Span::from_secs(1);
const SECRET: &str = "a-long-secret";

#[derive(Clone, Copy, Debug)]
struct Case {
    program: Program,
    backend: Backend,
    role: Role,
    incoming: bool,
    /// The length of the key in bytes.
    key: Option<u8>,
    messages: u32,
}

fn plan(case: Case) -> SrtPlan {
    let stream_id = (case.role == Role::Caller).then(|| STREAM.to_owned());
    let plan = match case.key {
        Some(length) => encrypted(case.backend, case.role, SECRET, length),
        None => srt(case.backend, case.role),
    };
    SrtPlan { stream_id, latency: LATENCY, buffer: 4 << 20, ..plan }
}

/// All of them, the long ones first. In an ordinary run one of each program, backend and direction is long, in which roles and keys
/// take turns.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut turn = 0;
    for program in Program::ALL {
        for backend in BOTH {
            for incoming in [true, false] {
                let mut at = 0;
                for role in [Role::Caller, Role::Listener, Role::Rendezvous] {
                    if role == Role::Rendezvous && (program != Program::Transmit || backend == Backend::Rsrt) {
                        continue;
                    }
                    for key in [None, Some(16), Some(32)] {
                        let messages = if is_full() || at == turn % 6 { LONG } else { SHORT };
                        cases.push(Case { program, backend, role, incoming, key, messages });
                        at += 1;
                    }
                }
                // Not a divisor of six, so that each is met.
                turn += 5;
            }
        }
    }
    cases.sort_by_key(|case| std::cmp::Reverse(case.messages));
    cases
}

#[test]
fn every_byte_comes_whoever_is_at_the_other_end() {
    let cases = cases();
    let long = cases.iter().filter(|case| case.messages == LONG).count();
    println!("{} sessions, of which {long} of {LONG} messages", cases.len());
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || {
                let _turn = Turn::take(1);
                fairly(|| exact(case));
            });
        }
    });
}

fn exact(case: Case) -> Run {
    let Case { role, incoming, messages, .. } = case;
    let plan = plan(case);
    let Session { mut stage, from, sink, peer: _peer, .. } = Session::start(case.program, &plan, incoming);
    let (connected, sending) = case.program.feed(from, incoming, AHEAD + messages);
    let told = stage.until_up();
    let figures = told.connections[0].unwrap();
    assert_eq!((figures.latency, figures.key_length), (plan.latency, case.key.unwrap_or(0)), "{case:?}");
    let What::Up { stream_id, .. } = stage.event("a connection", |what| matches!(what, What::Up { .. })) else {
        panic!("{:?}", stage.events)
    };
    assert_eq!(stream_id.as_deref(), (role != Role::Rendezvous).then_some(STREAM), "{case:?}");
    drop(connected);
    let count = receive(&sink, AHEAD, AHEAD + messages - 1);
    sending.join().unwrap();
    // It came that far, and it is the test that was too slow.
    let dropped = dropped(&sink);
    if dropped > 0 {
        return Run::Void(format!(
            "{count} of {messages}, and the kernel had no room for {dropped} at the test's own port: {case:?}"
        ));
    }
    assert_eq!(count, messages, "{case:?}");
    let told = stage.until("all packets counted", |status| {
        status.connections[0].is_some_and(|it| it.packets >= u64::from(messages) && it.left_out == 0)
    });
    assert_eq!((told.connected, told.overflow, told.refused, told.events_lost), (1, 0, 0, 0), "{case:?}");
    assert!(told.kernel_drops.is_some(), "{case:?}");
    if !incoming {
        assert_eq!(stage.handle.snapshot().outputs[0][0].unavailable, 0, "{case:?}");
    }
    Run::Good
}
