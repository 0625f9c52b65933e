//! Any bytes as TS packets, one a millisecond: an analyser and what it says of them.

use changeover::tr101290::{Analyser, Indicator, Observer, Place, Settings};
use changeover::units::{Instant, Span};

/// Events must come in the order of their times, but for those of PCRs that are judged later.
struct InOrder {
    last: Instant,
    events: u64,
}

impl Observer for InOrder {
    fn event(&mut self, at: Instant, indicator: Indicator, _place: Place) {
        self.events += 1;
        if indicator != Indicator::PcrAccuracyError {
            assert!(self.last <= at, "{} at {at:?}, after {:?}", indicator.name(), self.last);
            self.last = at;
        }
    }
}

/// One run: `data` is packets of 188 bytes; what is left over at the end is so many milliseconds of silence.
pub fn run(data: &[u8]) {
    let mut analyser = Analyser::new(&Settings::default());
    let mut observer = InOrder { last: Instant::ZERO, events: 0 };
    let (packets, rest) = data.as_chunks::<188>();
    let mut now = Instant::ZERO;
    for (i, packet) in packets.iter().enumerate() {
        // every other one finds its driver late
        if i % 2 == 0 {
            while analyser.deadline() <= now {
                let due = analyser.deadline();
                analyser.advance(due, &mut observer);
                assert!(analyser.deadline() > due, "due again at once");
            }
        }
        analyser.packet(now, packet, &mut observer);
        now += Span::from_millis(1);
    }
    let silence: u32 = rest.iter().map(|&byte| u32::from(byte)).sum();
    analyser.advance(now + Span::from_millis(silence), &mut observer);

    let by_pid: u64 = analyser.pids().map(|(_, packets)| packets).sum();
    let count = |indicator| analyser.count(indicator).events();
    let unread = count(Indicator::SyncByteError) + count(Indicator::TransportError);
    assert_eq!(by_pid + unread, packets.len() as u64, "packets in are packets accounted for");
    assert_eq!(analyser.packets(), packets.len() as u64);
    assert_eq!(Indicator::ALL.into_iter().map(count).sum::<u64>(), observer.events);
    for indicator in Indicator::ALL {
        let _ = (analyser.is_absent(indicator), analyser.last_there(indicator, |_| true));
    }
    let _ = analyser.clocks(now).count() + analyser.contents().count();
    if let Some((_, _, info)) = analyser.splice().last {
        let _ = info.to_string();
    }
    for service in analyser.services() {
        let _ = changeover::replay::text::decode(service.name.bytes());
    }
}
