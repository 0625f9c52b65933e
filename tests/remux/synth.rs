//! Synthetic feeds: what leaves of them is looked at by the analyser.

use super::counting::ALLOCATIONS;
use super::rig::{Bytes, Rig, counter_of, last_pmt, pid_of};
use changeover::switch::remux::{self, ClockPolicy, Pcr, Remux, Sent};
use changeover::switch::{Handle, Store};
use changeover::synth::{Feed, Settings};
use changeover::tr101290::{Analyser, Indicator};
use changeover::ts::pes::Header;
use changeover::ts::{Outline, Packet};
use changeover::units::{Instant, Pid, Pts90k, Ticks27M};

fn main_feed() -> Settings {
    // its SDT takes two packets
    Settings { bit_rate: 4_000_000, service_name: "A long name ".repeat(20), gop: 5, ..Settings::default() }
}

/// Other PIDs, another clock, another language.
fn other_feed() -> Settings {
    Settings {
        video_pid: Pid::new(0x200),
        audio_pid: Pid::new(0x100),
        pmt_pid: Pid::new(0x101),
        program_number: 9,
        transport_stream_id: 77,
        language: *b"fra",
        start: Ticks27M(Ticks27M::WRAP - 300 * 90_000),
        seed: 5,
        ..main_feed()
    }
}

fn start(feeds: &[Settings]) -> (Rig, Vec<Feed>) {
    let mut rig = Rig::new(feeds.len());
    let feeds: Vec<_> = feeds.iter().cloned().map(Feed::new).collect();
    for (at, feed) in feeds.iter().enumerate() {
        let mut ahead = feed.clone();
        for _ in 0..400 {
            rig.watch(at, &[ahead.next_packet().bytes]);
        }
    }
    (rig, feeds)
}

#[test]
fn feeds_with_the_same_tables_leave_as_they_came() {
    let (mut rig, feeds) = start(&[main_feed(), main_feed()]);
    rig.remux.enter(0, 0);
    assert!(rig.remux.fit(1).identical && rig.remux.fit(1).has_same_codecs());
    let (mut tables, mut passed) = (0, 0);
    for (n, packet) in feeds[0].clone().take(20_000).enumerate() {
        let from = n / 4_000 % 2;
        if n % 4_000 == 0 && n > 0 {
            rig.remux.enter(from, 0);
        }
        let before = rig.passed;
        rig.watch(0, &[packet.bytes]);
        rig.watch(1, &[packet.bytes]);
        assert_eq!(rig.one(from, packet.bytes), [packet.bytes], "packet {n}");
        let looked_at = [0, 0x1000].contains(&pid_of(&packet.bytes)) || Packet::new(&packet.bytes).has_pcr();
        tables += usize::from(looked_at);
        passed += usize::from(rig.passed > before);
    }
    // but for the first of each PID after each of five entries
    assert!(passed >= 20_000 - tables - 5 * 4, "{passed} and {tables}");
    assert_eq!((rig.heap.open, rig.remux.counts()), (0, remux::Counts::default()));
}

/// What is sent of two feeds side by side: from a moment on that is asked for, each PID goes over where the other feed
/// begins a PES packet on it.
struct Mixer {
    rig: Rig,
    feeds: Vec<Feed>,
    /// The feed that video and audio come from.
    from: [usize; 2],
    wanted: usize,
    offsets: [i64; 2],
}

impl Mixer {
    fn step(&mut self, settings: &[Settings; 2]) {
        let packets: Vec<_> = self.feeds.iter_mut().map(|feed| feed.next_packet().bytes).collect();
        let kind_of =
            |feed: usize, pid| [settings[feed].video_pid, settings[feed].audio_pid].iter().position(|it| *it == pid);
        let view = Packet::new(&packets[self.wanted]);
        if let Some(kind) = kind_of(self.wanted, view.pid())
            && view.payload_unit_start_indicator()
            && (kind == 1 || view.random_access_indicator())
            && self.from[kind] != self.wanted
            // sound goes over only once the pictures did
            && (kind == 0 || self.from[0] == self.wanted)
        {
            self.from[kind] = self.wanted;
            if kind == 0 {
                self.rig.remux.enter(self.wanted, self.offsets[self.wanted]);
            }
        }
        for (feed, packet) in packets.into_iter().enumerate() {
            self.rig.watch(feed, &[packet]);
            let kind = kind_of(feed, Packet::new(&packet).pid()).unwrap_or(0);
            if self.from[kind] == feed {
                self.rig.send(feed, packet);
            }
        }
    }
}

/// An output that went over forty times, and ended whole.
fn mixed() -> Mixer {
    let settings = [main_feed(), other_feed()];
    let (rig, feeds) = start(&settings);
    let offset = settings[0].start.step_from(settings[1].start);
    let mut mixer = Mixer { rig, feeds, from: [0, 0], wanted: 0, offsets: [0, offset] };
    mixer.rig.remux.enter(0, 0);
    for round in 0..40 {
        mixer.wanted = round % 2;
        for _ in 0..1_500 {
            mixer.step(&settings);
        }
    }
    mixer.feeds.iter_mut().for_each(Feed::close);
    while !mixer.feeds.iter().all(Feed::is_closed) {
        mixer.step(&settings);
    }
    mixer
}

#[test]
fn ffmpeg_decodes_an_output_of_two_feeds_without_a_warning() {
    let mixer = mixed();
    let file = tempfile::NamedTempFile::with_suffix(".ts").unwrap();
    std::fs::write(file.path(), mixer.rig.out.concat()).unwrap();
    let arguments = ["-nostdin", "-v", "warning", "-i", file.path().to_str().unwrap(), "-map", "0", "-f", "null", "-"];
    let output = match std::process::Command::new("ffmpeg").args(arguments).output() {
        Ok(output) => output,
        Err(error) => panic!("ffmpeg does not run ({error}): install Debian's package `ffmpeg`"),
    };
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_output_of_two_feeds_has_no_fault() {
    let mixer = mixed();
    let Rig { out, heap, .. } = &mixer.rig;
    let mut analyser = Analyser::new(&changeover::tr101290::Settings::default());
    for packet in out {
        analyser.packet(Instant::ZERO, packet, &mut ());
    }
    for indicator in [
        Indicator::ContinuityCountError,
        Indicator::CrcError,
        Indicator::PcrDiscontinuityIndicatorError,
        Indicator::UnreferencedPid,
    ] {
        assert_eq!(analyser.count(indicator).events(), 0, "{}", indicator.name());
    }
    assert_eq!(analyser.streams().len(), 2);
    let pids: std::collections::BTreeSet<_> = out.iter().map(pid_of).collect();
    assert_eq!(pids.into_iter().collect::<Vec<_>>(), [0, 0x11, 0x100, 0x101, 0x1000, 0x1FFF]);
    assert_eq!(heap.open, 0);
    // times of each PID rise by what a picture or a frame lasts
    for (pid, step) in [(0x100, 3_600), (0x101, 24 * 90 * 4)] {
        let units = out.iter().map(Packet::new).filter(|p| p.pid().value() == pid && p.payload_unit_start_indicator());
        let times: Vec<_> = units.filter_map(|p| Header::parse(p.payload())?.decoding_time()).collect();
        assert!(times.len() > 300);
        for pair in times.windows(2) {
            let rises = Pts90k::step_from(pair[1], pair[0]);
            assert!((1..=step).contains(&rises), "{pid:#x}: {rises}");
        }
    }
    let clock: Vec<_> = out.iter().filter_map(|p| Packet::new(p).pcr()).collect();
    assert!(clock.windows(2).all(|pair| (1..=1_200_000).contains(&pair[1].step_from(pair[0]))));
    let map = last_pmt(out, 0x1000);
    assert_eq!((map.number, map.pcr, map.version), (1, 0x100, 39 % 32));
    assert_eq!(map.streams[1].2[2..5], *b"fra");
    let counts = mixer.rig.remux.counts();
    assert_eq!(counts, remux::Counts { dropped_midway: counts.dropped_midway, ..remux::Counts::default() });
}

#[test]
fn counters_run_on_through_a_thousand_changes_of_any_pid() {
    let settings = [main_feed(), other_feed(), Settings { video_pid: Pid::new(0x300), ..other_feed() }];
    let (mut rig, mut feeds) = start(&settings);
    for feed in [0, 1, 2] {
        rig.remux.enter(feed, 300 * feed as i64);
    }
    let mut state = 1u64;
    let mut chance = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let mut from = [0; 2];
    let mut changes = 0;
    while changes < 2_000 {
        if chance(10) == 0 {
            let kind = chance(2) as usize;
            from[kind] = chance(3) as usize;
            changes += 1;
        }
        if chance(100) == 0 {
            rig.remux.enter(chance(3) as usize, 0);
        }
        for (at, feed) in feeds.iter_mut().enumerate() {
            let packet = feed.next_packet().bytes;
            let kind =
                [settings[at].video_pid, settings[at].audio_pid].iter().position(|p| p.value() == pid_of(&packet));
            if kind.is_none_or(|kind| from[kind] == at) {
                rig.send(at, packet);
            }
        }
    }
    let mut last = std::collections::BTreeMap::new();
    let mut gaps = 0;
    for packet in rig.out.iter().filter(|packet| pid_of(packet) != 0x1FFF) {
        let view = Packet::new(packet);
        let counter = counter_of(packet);
        if let Some(last) = last.insert(pid_of(packet), counter) {
            let wanted = (last + u8::from(view.has_payload())) & 0x0F;
            gaps += usize::from(wanted != counter);
        }
    }
    assert_eq!((gaps, rig.heap.open), (0, 0));
    assert!(rig.out.len() > 20_000);
}

#[test]
fn a_loss_stays_one_and_a_duplicate_too() {
    let (mut rig, _) = start(&[main_feed(), other_feed()]);
    rig.remux.enter(0, 0);
    rig.send(0, super::rig::plain(0x101, 3));
    rig.remux.enter(1, 0);
    for counter in [9, 9, 10, 13, 14] {
        assert_eq!(rig.send(1, super::rig::plain(0x100, counter)), Sent::Packet);
    }
    let sent: Vec<_> = rig.out.iter().map(|packet: &Bytes| (pid_of(packet), counter_of(packet))).collect();
    assert_eq!(sent, [3, 4, 4, 5, 8, 9].map(|counter| (0x101, counter)));
}

/// Frames that are used again and again.
struct Ring {
    frames: Vec<Bytes>,
    next: u32,
}

impl Store for Ring {
    fn bytes(&self, handle: Handle) -> Option<&Bytes> {
        self.frames.get(handle.frame as usize)
    }

    fn bytes_mut(&mut self, handle: Handle) -> Option<&mut Bytes> {
        self.frames.get_mut(handle.frame as usize)
    }

    fn fresh(&mut self) -> Option<Handle> {
        self.next = (self.next + 1) % 64;
        Some(Handle { frame: self.next, offset: 0 })
    }

    fn release(&mut self, _: Handle) {}
}

#[test]
fn nothing_is_allocated_once_it_is_made() {
    let settings = [main_feed(), other_feed()];
    let packets: Vec<Vec<_>> =
        settings.iter().map(|feed| Feed::new(feed.clone()).take(20_000).map(|packet| packet.bytes).collect()).collect();
    let mut remux = Remux::new(&remux::Settings { feeds: 17, clock: ClockPolicy::Continue });
    let mut ring = Ring { frames: vec![[0; 188]; 64], next: 0 };
    ALLOCATIONS.set(Some(0));
    for n in 0..20_000 {
        if n % 700 == 399 {
            let feed = n / 700 % 2;
            remux.fit(feed);
            remux.enter(feed, n as i64 * 300);
            remux.psi(&mut ring, &mut |_, _| {});
            let clock = remux.pcr_pids().next();
            clock.and_then(|pid| remux.pcr_only(pid, Ticks27M(0), &mut ring));
            remux.null(&mut ring);
        }
        for (feed, packets) in packets.iter().enumerate() {
            let packet = Packet::new(&packets[n]);
            remux.watch(feed, packet);
            if !remux.passes(feed, Outline::of(packet))
                && let Some(handle) = ring.fresh()
            {
                ring.frames[handle.frame as usize] = packets[n];
                remux.packet(feed, handle, Outline::of(packet), Pcr::Keep, &mut ring, &mut |_, _| {});
            }
        }
    }
    assert_eq!(ALLOCATIONS.take(), Some(0));
    assert!(remux.on_air().is_some());
}
