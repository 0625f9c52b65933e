//! The data plane on live sockets: on the loopback interface, and where that is not enough in a network namespace of the
//! test's own (names that begin with `netns_`).

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod netns;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, SystemTime};

use changeover::config::{InputPlan, Interface, OutputPlan};
use changeover::engine::{self, ChannelSetup, InputSetup};
use changeover::plane::{
    Change, Command, Interfaces, OpenError, OutputSocket, PlaneSnapshot, Reason, Receiver, Retired, Sender, Shard,
    ShardHandle, ShardSetup, Watch,
};
use changeover::units::{ChannelId, InputId, Span};

use netns::{in_netns, ip};

// ─── What the tests are made of ───

fn input(address: SocketAddr, interface: Option<&str>) -> InputPlan {
    InputPlan {
        name: "in".to_owned(),
        url: format!("udp://{address}"),
        address,
        interface: interface.map(|name| Interface::Name(name.to_owned())),
        sources: Vec::new(),
        receive_buffer: 1 << 20,
        domain: None,
        srt: None,
    }
}

fn output(address: SocketAddr, interface: Option<&str>) -> OutputPlan {
    OutputPlan {
        url: format!("udp://{address}"),
        rtp: false,
        address,
        interface: interface.map(|name| Interface::Name(name.to_owned())),
        ttl: 4,
        dscp: 34,
        srt: None,
    }
}

fn localhost() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// A port that nobody has, as far as anybody can know.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A group that no other process that runs these tests has, the `n`th of this one.
fn group(n: u8) -> Ipv4Addr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(239, high, low, n)
}

/// Tries until it holds, ten seconds at most.
#[allow(clippy::disallowed_methods, reason = "a limit, not a result")]
fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let limit = SystemTime::now() + Duration::from_secs(10);
    while SystemTime::now() < limit {
        if let Some(done) = attempt() {
            return done;
        }
        thread::yield_now();
    }
    panic!("in ten seconds: {what}");
}

/// Receives until the datagram `last`, and returns all that came, in order.
fn receive_until(receiver: &mut Receiver, last: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    until("the last datagram", || {
        receiver.recv_batch(Span::from_millis(100), |bytes, _| all.push(bytes.to_vec()));
        all.iter().any(|datagram| datagram == last).then_some(())
    });
    all
}

/// Sends `datagram` until it arrives: what is sent while a link comes up may be lost. Nothing else may arrive.
fn send_until_received(sender: &Sender, receiver: &mut Receiver, datagram: &[u8]) {
    until("a datagram, once the link is up", || {
        let _ = sender.send(datagram);
        let count = receiver.recv_batch(Span::from_millis(20), |bytes, _| assert_eq!(bytes, datagram));
        (count > 0).then_some(())
    });
}

/// Two links, each with both ends here: what is sent by v0 comes in by v1, and by w0 by w1.
const TWO_LINKS: &str = "
    echo 1 > /proc/sys/net/ipv4/conf/all/accept_local
    echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
    echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter
    echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
    for l in v w; do ip link add ${l}0 type veth peer name ${l}1; done
    n=1
    for i in v0 v1 w0 w1; do ip link set $i up; ip addr add 10.$n.0.1/24 dev $i; n=$((n+1)); done
";

fn channel(inputs: usize) -> ChannelSetup {
    ChannelSetup { inputs: vec![InputSetup::default(); inputs], ..ChannelSetup::default() }
}

/// The first snapshot for which `holds`.
fn snapshot(handle: &mut ShardHandle, what: &str, holds: impl Fn(&PlaneSnapshot) -> bool) -> PlaneSnapshot {
    until(what, || Some(handle.snapshot()).filter(|snapshot| holds(snapshot)).cloned())
}

// ─── Receiving ───

#[test]
fn two_groups_on_one_port_never_mix() {
    let port = free_port();
    let addresses = [1, 2].map(|n| SocketAddr::from((group(n), port)));
    let mut receivers = addresses.map(|address| Receiver::open(&input(address, Some("lo"))).unwrap());
    let senders = addresses.map(|address| Sender::open(&output(address, Some("lo"))).unwrap());
    for n in 0..50_u8 {
        for (sender, of) in senders.iter().zip(0_u8..) {
            sender.send(&[of, n]).unwrap();
        }
    }
    for (receiver, of) in receivers.iter_mut().zip(0_u8..) {
        let want: Vec<_> = (0..50).map(|n| vec![of, n]).collect();
        assert_eq!(receive_until(receiver, &[of, 49]), want);
        assert_eq!(receiver.figures().datagrams, 50);
        assert_eq!(receiver.figures().bytes, 100);
    }
}

#[test]
fn only_the_named_sources_are_let_in() {
    let address = SocketAddr::from((group(3), free_port()));
    let sources = [1, 2, 3].map(|n| Ipv4Addr::new(127, 0, 0, n));
    let mut one = InputPlan { sources: vec![sources[0].into()], ..input(address, Some("lo")) };
    let mut only_first = Receiver::open(&one).unwrap();
    one.sources = vec![sources[0].into(), sources[1].into()];
    let mut first_two = Receiver::open(&one).unwrap();
    for source in sources.iter().rev() {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        socket.bind(&SocketAddr::from((*source, 0)).into()).unwrap();
        socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        socket.send_to(&source.octets(), &address.into()).unwrap();
    }
    assert_eq!(receive_until(&mut only_first, &[127, 0, 0, 1]), [[127, 0, 0, 1]]);
    assert_eq!(receive_until(&mut first_two, &[127, 0, 0, 1]), [[127, 0, 0, 2], [127, 0, 0, 1]]);
}

#[test]
fn an_interface_is_found_by_its_address_too() {
    let address = SocketAddr::from((group(4), free_port()));
    let by_address = Some(Interface::Address(Ipv4Addr::LOCALHOST.into()));
    let mut receiver = Receiver::open(&InputPlan { interface: by_address.clone(), ..input(address, None) }).unwrap();
    let sender = Sender::open(&OutputPlan { interface: by_address, ..output(address, None) }).unwrap();
    assert_eq!(sender.local_address().unwrap().ip(), Ipv4Addr::LOCALHOST);
    sender.send(b"by address").unwrap();
    receive_until(&mut receiver, b"by address");
}

#[test]
fn unicast_of_both_families_is_received() {
    for local in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let mut receiver = Receiver::open(&input(SocketAddr::new(local, 0), None)).unwrap();
        let sender = Sender::open(&output(receiver.local_address().unwrap(), None)).unwrap();
        // More than one batch.
        for n in 0..200_u8 {
            sender.send(&[n; 188]).unwrap();
        }
        let all = receive_until(&mut receiver, &[199; 188]);
        assert!(all.iter().map(|datagram| datagram[0]).eq(0..200));
        assert!(matches!(receiver.refresh(&Interfaces::read().unwrap()), Change::None));
    }
}

#[test]
fn an_address_that_another_has_is_named() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let error = Receiver::open(&input(address, None)).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&format!("udp://{address}")), "{error}");
}

#[test]
fn what_the_kernel_dropped_is_counted() {
    let mut receiver = Receiver::open(&InputPlan { receive_buffer: 8192, ..input(localhost(), None) }).unwrap();
    let buffer = receiver.figures().receive_buffer;
    assert!((8192..1 << 20).contains(&buffer), "{buffer}");
    let sender = Sender::open(&output(receiver.local_address().unwrap(), None)).unwrap();
    for _ in 0..300 {
        sender.send(&[0; 1316]).unwrap();
    }
    // The count comes with a datagram that found room again.
    while receiver.recv_batch(Span::ZERO, |_, _| {}) > 0 {}
    sender.send(&[1; 188]).unwrap();
    receive_until(&mut receiver, &[1; 188]);
    let figures = receiver.figures();
    assert!(figures.dropped > 0);
    assert_eq!(figures.datagrams + figures.dropped, 301);
}

#[test]
fn a_datagram_longer_than_a_frame_is_counted_and_left_out() {
    let mut receiver = Receiver::open(&input(localhost(), None)).unwrap();
    let sender = Sender::open(&output(receiver.local_address().unwrap(), None)).unwrap();
    for len in [2048, 2049, 60_000, 0, 188] {
        sender.send(&vec![7; len]).unwrap();
    }
    let lens: Vec<_> = receive_until(&mut receiver, &[7; 188]).iter().map(Vec::len).collect();
    assert_eq!(lens, [2048, 0, 188]);
    assert_eq!((receiver.figures().datagrams, receiver.figures().truncated), (3, 2));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "what the stamps are held against")]
fn stamps_lie_between_sending_and_receiving_and_in_order() {
    let unix = || i128::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap();
    let mut receiver = Receiver::open(&input(localhost(), None)).unwrap();
    let sender = Sender::open(&output(receiver.local_address().unwrap(), None)).unwrap();
    let mut stamps = Vec::new();
    let before = unix();
    for n in 1..=100 {
        sender.send(&[0; 188]).unwrap();
        until("a datagram", || {
            receiver.recv_batch(Span::from_millis(100), |_, at| stamps.push(at));
            (stamps.len() == n).then_some(())
        });
    }
    let after = unix();
    assert!(stamps.is_sorted());
    // Offset and stamp are read by two clocks, one after the other.
    let slack = 1_000_000;
    for at in stamps {
        let at = i128::from(at.nanos() + receiver.realtime_offset_ns());
        assert!((before - slack..=after + slack).contains(&at), "{before} {at} {after}");
    }
}

#[test]
fn netns_one_group_on_two_interfaces_never_mixes() {
    if !in_netns("netns_one_group_on_two_interfaces_never_mixes", TWO_LINKS) {
        return;
    }
    for to in ["239.1.2.3:5004", "[ff15::1:2:3]:5004", "[ff02::1:2:3]:5004"] {
        let to: SocketAddr = to.parse().unwrap();
        let mut receivers = ["v1", "w1"].map(|link| Receiver::open(&input(to, Some(link))).unwrap());
        let senders = ["v0", "w0"].map(|link| {
            // The scope of a link's own group is chosen by the interface.
            until("a route, once the link is up", || Sender::open(&output(to, Some(link))).ok())
        });
        for ((receiver, sender), of) in receivers.iter_mut().zip(&senders).zip(0_u8..) {
            send_until_received(sender, receiver, &[of, 99]);
        }
        for (sender, of) in senders.iter().zip(0_u8..) {
            for n in 0..20 {
                sender.send(&[of, n]).unwrap();
            }
        }
        for (receiver, of) in receivers.iter_mut().zip(0_u8..) {
            let mut all = receive_until(receiver, &[of, 19]);
            all.retain(|datagram| *datagram != [of, 99]);
            let want: Vec<_> = (0..20).map(|n| vec![of, n]).collect();
            assert_eq!(all, want, "{to}");
        }
        // Nothing was left over after the last of the other link.
        for (receiver, sender) in receivers.iter_mut().zip(&senders) {
            sender.send(b"end").unwrap();
            assert_eq!(receive_until(receiver, b"end"), [b"end"], "{to}");
        }
    }
}

#[test]
fn netns_ipv6_sources_are_let_in_by_name_only() {
    let script = format!("{TWO_LINKS}\nip addr add fd00::1/64 dev v0 nodad; ip addr add fd00::2/64 dev v0 nodad");
    if !in_netns("netns_ipv6_sources_are_let_in_by_name_only", &script) {
        return;
    }
    let to: SocketAddr = "[ff35::8000:1]:5004".parse().unwrap();
    let [wanted, other]: [IpAddr; 2] = ["fd00::1", "fd00::2"].map(|address| address.parse().unwrap());
    let mut receiver = Receiver::open(&InputPlan { sources: vec![wanted], ..input(to, Some("v1")) }).unwrap();
    let mut senders = Vec::new();
    for source in [other, wanted] {
        let plan = OutputPlan { interface: Some(Interface::Address(source)), ..output(to, None) };
        let sender = until("a route, once the link is up", || Sender::open(&plan).ok());
        assert_eq!(sender.local_address().unwrap().ip(), source);
        if source == wanted {
            send_until_received(&sender, &mut receiver, b"wanted");
        }
        senders.push(sender);
    }
    // The way is open by now, and yet only one of them has it.
    for _ in 0..20 {
        senders[0].send(b"other").unwrap();
    }
    senders[1].send(b"last").unwrap();
    let mut all = receive_until(&mut receiver, b"last");
    all.retain(|datagram| datagram != b"wanted");
    assert_eq!(all, [b"last"]);
}

// ─── A shard ───

#[test]
fn a_shard_receives_tells_does_as_told_and_stops() {
    let to = UdpSocket::bind(localhost()).unwrap();
    let setup = ShardSetup {
        name: "shard".to_owned(),
        engine: engine::Setup { channels: vec![channel(2), channel(1)] },
        inputs: (0..3).map(|_| input(localhost(), None)).collect(),
        outputs: vec![vec![output(to.local_addr().unwrap(), None)], Vec::new()],
        cpu: Some(0),
    };
    // An address that is known before the shard is open.
    let port = free_port();
    let mut setup = setup;
    setup.inputs[1].address.set_port(port);
    let (shard, mut handle) = Shard::open(&setup).unwrap();
    let running = shard.spawn().unwrap();

    let sender = Sender::open(&output(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), None)).unwrap();
    for _ in 0..100 {
        sender.send(&[0x47; 188]).unwrap();
    }
    let told = snapshot(&mut handle, "100 datagrams", |told| told.inputs[1].datagrams == 100);
    assert_eq!(told.inputs[1].bytes, 18_800);
    assert_eq!(told.inputs.iter().map(|input| input.datagrams).sum::<u64>(), 100);
    assert!(told.outputs[0][0].open && told.outputs[1].is_empty());
    assert_eq!(told.cpu, Some(0));
    assert!(told.rounds > 0 && told.processor_ns > 0 && told.realtime_offset_ns != 0);

    handle.command(Command::Engine(engine::Command::Take(InputId(999)))).unwrap();
    snapshot(&mut handle, "a refusal", |told| (told.commands_done, told.commands_refused) == (0, 1));

    // A socket takes another's place, and one that has no place comes back.
    for (index, refused) in [(0, 1), (7, 2)] {
        let socket = OutputSocket::open(&setup.outputs[0][0], &Interfaces::read().unwrap()).unwrap().unwrap();
        handle.command(Command::Output { channel: ChannelId(0), index, socket }).unwrap();
        let Retired::Output(_) = handle.retired.recv_timeout(Duration::from_secs(10)).unwrap();
        snapshot(&mut handle, "a command", |told| (told.commands_done, told.commands_refused) == (1, refused));
    }

    handle.command(Command::Stop).unwrap();
    running.join().unwrap();
    assert!(handle.command(Command::Stop).is_err(), "it has stopped");
}

#[test]
fn a_shard_puts_out_what_its_input_receives_with_and_without_rtp() {
    for delay in [Span::ZERO, Span::from_millis(50)] {
        let listeners = [0; 2].map(|_| Receiver::open(&input(localhost(), None)).unwrap());
        let mut outputs = listeners.each_ref().map(|to| output(to.local_address().unwrap(), None));
        outputs[1].rtp = true;
        let mut plan = input(localhost(), None);
        plan.address.set_port(free_port());
        let setup = ShardSetup {
            engine: engine::Setup { channels: vec![ChannelSetup { delay, ..channel(1) }] },
            inputs: vec![plan.clone()],
            outputs: vec![outputs.to_vec()],
            ..ShardSetup::default()
        };
        let (shard, handle) = Shard::open(&setup).unwrap();
        let running = shard.spawn().unwrap();
        let sender = Sender::open(&output(plan.address, None)).unwrap();
        let mut sent = Vec::new();
        for n in 0..40_u8 {
            let mut datagram = Vec::new();
            for packet in 0..7 {
                let mut bytes = [n; 188];
                bytes[..4].copy_from_slice(&[0x47, 0x01, 0x00, 0x10 | ((n % 16 * 7 + packet) % 16)]);
                datagram.extend_from_slice(&bytes);
            }
            sender.send(&datagram).unwrap();
            sent.push(datagram);
        }
        let [mut plain, mut rtp] = listeners;
        let last = sent.last().unwrap().clone();
        assert_eq!(receive_until(&mut plain, &last), sent);
        let mut sequence = Vec::new();
        until("the last datagram", || {
            rtp.recv_batch(Span::from_millis(100), |bytes, _| {
                let (header, payload) = bytes.split_at(12);
                assert_eq!(header[..2], [0x80, 33]);
                assert_eq!(payload, sent[sequence.len()]);
                sequence.push(u16::from_be_bytes([header[2], header[3]]));
            });
            (sequence.len() == sent.len()).then_some(())
        });
        assert!(sequence.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
        drop(handle);
        running.join().unwrap();
    }
}

#[test]
fn a_shard_without_a_handle_stops() {
    let (shard, handle) = Shard::open(&ShardSetup::default()).unwrap();
    let running = shard.spawn().unwrap();
    drop(handle);
    running.join().unwrap();
}

#[test]
fn sockets_that_do_not_fit_the_engine_are_refused() {
    let setup = ShardSetup { outputs: vec![Vec::new()], ..ShardSetup::default() };
    assert!(matches!(Shard::open(&setup), Err(OpenError::Mismatch { .. })));
}

/// Refreshes every watch, and has the shard do what comes of it. What was lost and what works (again), by URL.
fn refresh(handle: &mut ShardHandle) -> (BTreeSet<String>, Vec<Reason>) {
    let interfaces = Interfaces::read().unwrap();
    let (mut well, mut lost, mut commands) = (BTreeSet::new(), Vec::new(), Vec::new());
    for watch in &mut handle.watch {
        match watch.refresh(&interfaces) {
            Change::None => continue,
            Change::Lost { reason } => lost.push(reason),
            Change::Joined { index } => {
                assert!(index != 0);
                well.insert(watch.url().to_owned());
            }
            Change::Opened { command, .. } => {
                assert!(matches!(watch, Watch::Output(_)));
                well.insert(watch.url().to_owned());
                commands.push(command);
            }
        }
    }
    for command in commands {
        handle.command(command).unwrap();
    }
    (well, lost)
}

/// Refreshes until all of `urls` work.
fn until_well(handle: &mut ShardHandle, urls: &BTreeSet<String>) {
    let mut well = BTreeSet::new();
    until("all inputs and outputs", || {
        well.append(&mut refresh(handle).0);
        (well == *urls).then_some(())
    });
}

const ONE_LINK: &str = "
    echo 1 > /proc/sys/net/ipv4/conf/all/accept_local
    echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
    echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter
    echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad";

fn make_link() {
    ip("link add v0 type veth peer name v1");
    for (link, address) in [("v0", "10.1.0.1/24"), ("v1", "10.2.0.1/24")] {
        ip(&format!("addr add {address} dev {link}"));
        ip(&format!("link set {link} up"));
    }
}

/// Sends until every input has received something more: what is sent while a link comes up may be lost.
fn until_received(handle: &mut ShardHandle, feeds: &[OutputPlan]) {
    let datagrams = |told: &PlaneSnapshot| told.inputs.iter().map(|input| input.datagrams).collect::<Vec<_>>();
    let before = datagrams(handle.snapshot());
    let senders: Vec<_> =
        feeds.iter().map(|plan| until("a route, once the link is up", || Sender::open(plan).ok())).collect();
    until("a datagram on each input", || {
        for sender in &senders {
            sender.send(&[0x47; 188]).unwrap();
        }
        thread::sleep(Duration::from_millis(20));
        datagrams(handle.snapshot()).iter().zip(&before).all(|(now, before)| now > before).then_some(())
    });
}

#[test]
fn netns_an_interface_may_come_go_and_come_back() {
    if !in_netns("netns_an_interface_may_come_go_and_come_back", ONE_LINK) {
        return;
    }
    let groups = ["239.1.2.3:5004", "[ff15::1:2:3]:5004", "[ff02::1:2:3]:5004", "232.1.2.3:5004"];
    let groups = groups.map(|group| group.parse::<SocketAddr>().unwrap());
    let mut inputs = groups.map(|group| input(group, Some("v1")));
    inputs[3].sources = vec!["10.1.0.1".parse().unwrap()];
    let feeds = groups.map(|group| output(group, Some("v0")));
    // Another port, so that what goes out does not come in again.
    let outputs = groups.map(|group| output(SocketAddr::new(group.ip(), 5006), Some("v0")));
    let setup = ShardSetup {
        engine: engine::Setup { channels: vec![channel(4)] },
        inputs: inputs.to_vec(),
        outputs: vec![outputs.to_vec()],
        ..ShardSetup::default()
    };
    let urls: BTreeSet<_> = feeds.iter().chain(&outputs).map(|plan| plan.url.clone()).collect();
    let quiet = || (BTreeSet::new(), Vec::new());

    // Neither interface is there: that is no error, and told once.
    let (shard, mut handle) = Shard::open(&setup).unwrap();
    let running = shard.spawn().unwrap();
    assert_eq!(refresh(&mut handle), (BTreeSet::new(), vec![Reason::NoInterface; 8]));
    assert_eq!(refresh(&mut handle), quiet());
    snapshot(&mut handle, "all outputs closed", |told| {
        told.rounds > 0 && told.outputs[0].iter().all(|output| !output.open)
    });

    for life in 1..=3 {
        make_link();
        until_well(&mut handle, &urls);
        let told = snapshot(&mut handle, "all outputs open", |told| told.commands_done == 4 * life);
        assert!(told.commands_refused == 0 && told.outputs[0].iter().all(|output| output.open));
        assert_eq!(handle.retired.try_iter().count(), if life == 1 { 0 } else { 4 });
        until_received(&mut handle, &feeds);

        ip("link set v1 down");
        // The kernel takes its time to tell the other end that it has no carrier.
        let mut lost = Vec::new();
        until("what was lost", || {
            lost.append(&mut refresh(&mut handle).1);
            (lost.len() >= 8).then_some(())
        });
        assert_eq!(lost, [[Reason::Down; 4], [Reason::NoCarrier; 4]].concat());
        assert_eq!(refresh(&mut handle), quiet());
        ip("link set v1 up");
        until_well(&mut handle, &urls);
        until_received(&mut handle, &feeds);

        ip("link del v0");
        assert_eq!(refresh(&mut handle), (BTreeSet::new(), vec![Reason::NoInterface; 8]));
        assert_eq!(refresh(&mut handle), quiet());
    }
    handle.stop();
    running.join().unwrap();
}

#[test]
fn netns_an_address_may_come_later() {
    if !in_netns("netns_an_address_may_come_later", ONE_LINK) {
        return;
    }
    for address in ["10.2.0.1:5004", "[fd00::1]:5004"] {
        let address: SocketAddr = address.parse().unwrap();
        let mut receiver = Receiver::open(&input(address, None)).unwrap();
        let mut refresh = || receiver.refresh(&Interfaces::read().unwrap());
        assert!(matches!(refresh(), Change::Lost { reason: Reason::NoAddress }));
        assert!(matches!(refresh(), Change::None));
        make_link();
        ip("addr add fd00::1/64 dev v1 nodad");
        until("the address", || matches!(refresh(), Change::Joined { .. }).then_some(()));
        assert!(matches!(refresh(), Change::None));
        // A socket keeps a way that it found before the box knew that the address is its own: a new one each time.
        until("a datagram, once the link is up", || {
            let _ = Sender::open(&output(address, None)).map(|sender| sender.send(b"here"));
            let count = receiver.recv_batch(Span::from_millis(20), |bytes, _| assert_eq!(bytes, b"here"));
            (count > 0).then_some(())
        });
        ip("link del v0");
    }
}

#[test]
fn netns_a_destination_without_a_route_is_no_error_for_a_shard() {
    if !in_netns("netns_a_destination_without_a_route_is_no_error_for_a_shard", "") {
        return;
    }
    let interfaces = Interfaces::read().unwrap();
    for address in ["192.0.2.1:5004", "239.1.2.3:5004", "[2001:db8::1]:5004"] {
        let plan = output(address.parse().unwrap(), None);
        assert!(OutputSocket::open(&plan, &interfaces).unwrap().is_none(), "{address}");
        let error = Sender::open(&plan).unwrap_err().to_string();
        assert!(error.contains("cannot find a route"), "{error}");
    }
    // A group of no interface in particular waits for a route as well.
    let mut receiver = Receiver::open(&input("239.1.2.3:5004".parse().unwrap(), None)).unwrap();
    assert!(matches!(receiver.refresh(&interfaces), Change::Lost { reason: Reason::Refused(_) }));
    assert!(matches!(receiver.refresh(&interfaces), Change::None));
    ip("route add 224.0.0.0/4 dev lo");
    assert!(matches!(receiver.refresh(&interfaces), Change::Joined { index: 0 }));
    assert!(matches!(receiver.refresh(&interfaces), Change::None));
    let sender = Sender::open(&output("239.1.2.3:5004".parse().unwrap(), None)).unwrap();
    sender.send(b"routed").unwrap();
    receive_until(&mut receiver, b"routed");
}
