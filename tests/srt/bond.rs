//! One connection over several ways, each of which is dark for a while.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use changeover::config::{Backend, Bond, BondMode, Role, Secret, SrtPlan, Way};
use changeover::plane::{MemberState, What, srt_carrier};
use changeover::units::Span;

use super::process::udp_port;
use super::proxy::Proxy;
use super::stage::{AHEAD, Stage, dropped, local, receive_to, send, srt};

fn plan(role: Role, bond: Bond) -> SrtPlan {
    // A way is given up after so long without a word.
    let (latency, idle) = (Span::from_secs(1), Span::from_secs(3));
    SrtPlan { bond: Some(bond), latency, idle, buffer: 4 << 20, ..srt(Backend::Auto, role) }
}

/// What a bond is tried with.
#[derive(Clone, Copy, Debug)]
struct Case {
    mode: BondMode,
    caller_sends: bool,
    ways: usize,
    /// With a key of 32 bytes.
    encrypted: bool,
}

/// Why the libsrt of this box cannot bond; none if it can.
fn missing() -> Option<String> {
    srt_carrier(&plan(Role::Listener, Bond::Accept), local(9)).err()
}

/// A caller and a listener, and the ways between them.
struct Bonded {
    case: Case,
    caller: Stage,
    listener: Stage,
    near: Vec<u16>,
    ways: Vec<Proxy>,
}

fn bonded(case: Case) -> Bonded {
    let Case { mode, caller_sends, .. } = case;
    let port = udp_port();
    let secret = |plan: SrtPlan| match case.encrypted {
        true => SrtPlan { passphrase: Secret::new("a long secret"), key_length: Some(32), ..plan },
        false => plan,
    };
    let accept = secret(plan(Role::Listener, Bond::Accept));
    let listener = match caller_sends {
        true => Stage::receiving(local(port), accept),
        false => Stage::sending(local(port), accept),
    };
    let near: Vec<_> = (0..case.ways).map(|_| udp_port()).collect();
    let way = |near: &u16| Proxy::start(*near, local(port), 0, Duration::from_millis(5), 1);
    let ways = near.iter().map(way).collect();
    let others = near.iter().skip(1).map(|&near| Way { address: local(near), interface: None }).collect();
    let call = secret(plan(Role::Caller, Bond::Call { mode, others }));
    let caller = match caller_sends {
        true => Stage::sending(local(near[0]), call),
        false => Stage::receiving(local(near[0]), call),
    };
    Bonded { case, caller, listener, near, ways }
}

/// Everything comes, whole, once and in order, while each way in turn is dark until it is given up.
fn goes_on(bonded: Bonded) {
    let Bonded { case, mut caller, mut listener, near, ways } = bonded;
    let sides = if case.caller_sends { (&caller, &listener) } else { (&listener, &caller) };
    let (from, to) = (sides.0.socket.try_clone().unwrap(), sides.1.socket.try_clone().unwrap());
    let (done, last) = (AtomicBool::new(false), AtomicU32::new(u32::MAX));
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                send(&from, count, 100);
                count += 100;
            }
            // What comes last shows that all is over.
            last.store(count + 99, Ordering::Relaxed);
            send(&from, count, 200);
            count + 100
        });
        let receiver = scope.spawn(|| receive_to(&to, AHEAD, || last.load(Ordering::Relaxed)));
        let stands = |state: MemberState| matches!(state, MemberState::Standby | MemberState::Active);
        let until = |caller: &mut Stage, peer: u16, lost: bool| {
            let holds = |what: &What| matches!(what, What::Member { peer: way, state, .. } if way.port() == peer && stands(*state) != lost);
            caller.event("a way", holds);
        };
        for &near in &near {
            until(&mut caller, near, false);
        }
        for (way, &near) in ways.iter().zip(&near) {
            way.lose(1000);
            until(&mut caller, near, true);
            way.lose(0);
            until(&mut caller, near, false);
        }
        done.store(true, Ordering::Relaxed);
        let sent = sender.join().unwrap();
        let came = receiver.join().unwrap_or_else(|_| panic!("{case:?}"));
        assert_eq!(dropped(&to), 0, "{case:?}: the test itself did not read in time");
        assert_eq!(came, sent - AHEAD, "{case:?}");
        sent
    });
    for stage in [&mut caller, &mut listener] {
        let told = stage.until_up();
        assert_eq!((told.connected, told.overflow), (1, 0), "{case:?}, of {sent}");
        let key = told.connections[0].map(|it| it.key_length);
        assert_eq!(key, Some(if case.encrypted { 32 } else { 0 }), "{case:?}");
    }
}

#[test]
fn a_bond_goes_on_by_the_way_that_is_left() {
    if let Some(why) = missing() {
        eprintln!("not run: {why}");
        return;
    }
    let _alone = super::alone();
    let kinds = [BondMode::Broadcast, BondMode::Backup].into_iter().flat_map(|mode| [(mode, true), (mode, false)]);
    let cases = kinds.flat_map(|(mode, caller_sends)| {
        [(2, false), (2, true), (3, true)].map(|(ways, encrypted)| Case { mode, caller_sends, ways, encrypted })
    });
    // As many at a time as two processors have time for.
    for some in cases.collect::<Vec<_>>().chunks(4) {
        // One after the other, so that none takes a port that another was promised.
        let all: Vec<_> = some.iter().map(|case| bonded(*case)).collect();
        thread::scope(|scope| {
            for bonded in all {
                scope.spawn(move || goes_on(bonded));
            }
        });
    }
}

#[test]
fn a_library_without_bonding_is_named_with_what_can_be_done_instead() {
    let Some(why) = missing() else { return };
    for words in ["built without bonding", "`bond`", "ENABLE_BONDING", "Two SRT inputs of one source are merged"] {
        assert!(why.contains(words), "{why}");
    }
    let plan = SrtPlan { backend: Backend::Rsrt, ..plan(Role::Listener, Bond::Accept) };
    let why = srt_carrier(&plan, local(9)).unwrap_err();
    assert_eq!(why, "`rsrt` cannot do bonding: write `libsrt`, or leave `backend` out");
}
