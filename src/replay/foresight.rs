//! What a switch from one of two streams to the other would cost: the splicer of a channel looks at both, and nothing is sent.

use std::collections::VecDeque;

use crate::engine::Forecast;
use crate::switch::splice::{Entry, Kind, OnAir, Request, Settings, Splicer};
use crate::tr101290::{self, Analyser};
use crate::ts::{PACKET_SIZE, Packet};
use crate::units::{Instant, Span};

/// Two streams, the first of which would be on air.
pub(super) struct Foresight {
    splicer: Splicer,
    analysers: [Analyser; 2],
    known: [Option<u32>; 2],
    numbers: [u64; 2],
    window: Span,
    /// Of the first, what the output is judged by and has not left yet.
    waiting: VecDeque<(Instant, [u8; PACKET_SIZE])>,
}

impl Foresight {
    /// Packets leave `window` after they came.
    pub(super) fn new(window: Span) -> Self {
        let analyser = || Analyser::new(&tr101290::Settings::default());
        Self {
            splicer: Splicer::new(&Settings { feeds: 2, window, entry: Entry::Next, capacity: 1 }),
            analysers: [analyser(), analyser()],
            known: [None; 2],
            numbers: [0; 2],
            window,
            waiting: VecDeque::new(),
        }
    }

    /// A packet of either comes.
    pub(super) fn packet(&mut self, stream: usize, bytes: &[u8; PACKET_SIZE], at: Instant) {
        let analyser = &mut self.analysers[stream & 1];
        analyser.packet(at, bytes, &mut ());
        let revision = Some(analyser.revision());
        if core::mem::replace(&mut self.known[stream & 1], revision) != revision {
            self.splicer.structure(stream, analyser.programs(), analyser.streams(), |_| {});
        }
        let packet = Packet::new(bytes);
        self.splicer.watch(stream, self.numbers[stream & 1], at, packet);
        self.numbers[stream & 1] += 1;
        if stream == 0 && (packet.payload_unit_start_indicator() || packet.has_pcr()) {
            self.waiting.push_back((at + self.window, *bytes));
        }
        while let Some((due, bytes)) = self.waiting.pop_front_if(|(due, _)| *due <= at) {
            self.leave(due, &bytes);
        }
    }

    fn leave(&mut self, at: Instant, bytes: &[u8; PACKET_SIZE]) {
        let packet = Packet::new(bytes);
        self.splicer.sent(0, 0, packet, None);
        let clock = self.analysers[0].programs().first().and_then(|program| program.pcr_pid);
        if let Some(pcr) = packet.pcr().filter(|_| clock == Some(packet.pid())) {
            self.splicer.clock(pcr, at);
        }
    }

    /// What a planned switch would cost now, where the two stand to each other as `kind` says.
    pub(super) fn forecast(&mut self, kind: Kind, now: Instant) -> Option<Forecast> {
        let from = Some(OnAir { feed: 0, offset: 0, extra: 0 });
        let [one, other] = &self.analysers;
        let constant = one.constant_rate().is_some() && one.constant_rate() == other.constant_rate();
        let limit = Request::LIMIT_PLANNED;
        let request = Request { from, to: 1, kind, planned: true, alive: true, constant, limit };
        self.splicer.forecast(request, &[], now).map(|forecast| Forecast::of_splice(forecast, kind))
    }
}
