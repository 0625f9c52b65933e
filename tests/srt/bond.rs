//! One connection over several ways, of which one is dark for a while.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use changeover::config::{Backend, Bond, BondMode, Role, SrtPlan, Way};
use changeover::plane::{MemberState, What, srt_carrier};
use changeover::units::Span;

use super::process::udp_port;
use super::proxy::Proxy;
use super::stage::{AHEAD, Stage, local, receive_to, send, srt};

fn plan(role: Role, bond: Bond) -> SrtPlan {
    // A way is given up after so long without a word.
    let (latency, idle) = (Span::from_secs(1), Span::from_secs(3));
    SrtPlan { bond: Some(bond), latency, idle, buffer: 4 << 20, ..srt(Backend::Auto, role) }
}

/// Why the libsrt of this box cannot bond; none if it can.
fn missing() -> Option<String> {
    srt_carrier(&plan(Role::Listener, Bond::Accept), local(9)).err()
}

/// A caller and a listener, and the two ways between them.
struct Bonded {
    mode: BondMode,
    caller_sends: bool,
    caller: Stage,
    listener: Stage,
    near: [u16; 2],
    ways: [Proxy; 2],
}

fn bonded(mode: BondMode, caller_sends: bool) -> Bonded {
    let port = udp_port();
    let accept = plan(Role::Listener, Bond::Accept);
    let listener = match caller_sends {
        true => Stage::receiving(local(port), accept),
        false => Stage::sending(local(port), accept),
    };
    let near = [udp_port(), udp_port()];
    let ways = near.map(|near| Proxy::start(near, local(port), 0, Duration::from_millis(5), 1));
    let others = vec![Way { address: local(near[1]), interface: None }];
    let call = plan(Role::Caller, Bond::Call { mode, others });
    let caller = match caller_sends {
        true => Stage::sending(local(near[0]), call),
        false => Stage::receiving(local(near[0]), call),
    };
    Bonded { mode, caller_sends, caller, listener, near, ways }
}

/// Everything comes, whole, once and in order, while the first way is dark until it is given up, and then the second.
fn goes_on(bonded: Bonded) {
    let Bonded { mode, caller_sends, mut caller, mut listener, near, ways } = bonded;
    let sides = if caller_sends { (&caller, &listener) } else { (&listener, &caller) };
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
        for near in near {
            until(&mut caller, near, false);
        }
        for (way, near) in ways.iter().zip(near) {
            way.darken(true);
            until(&mut caller, near, true);
            way.darken(false);
            until(&mut caller, near, false);
        }
        done.store(true, Ordering::Relaxed);
        let sent = sender.join().unwrap();
        let came = receiver.join().unwrap_or_else(|_| panic!("{mode:?}, the caller sends: {caller_sends}"));
        assert_eq!(came, sent - AHEAD, "{mode:?}, the caller sends: {caller_sends}");
        sent
    });
    for stage in [&mut caller, &mut listener] {
        let told = stage.until_up();
        assert_eq!((told.connected, told.overflow), (1, 0), "{mode:?}, the caller sends: {caller_sends}, of {sent}");
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
    // One after the other, so that none takes a port that another was promised.
    let all: Vec<_> = kinds.map(|(mode, caller_sends)| bonded(mode, caller_sends)).collect();
    thread::scope(|scope| {
        for bonded in all {
            scope.spawn(move || goes_on(bonded));
        }
    });
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
