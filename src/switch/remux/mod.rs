//! What is rewritten in the packets of the output, so that feeds with other PIDs, clocks and counters make one stream.
//!
//! The first feed that is entered defines the layout. As long as it alone, and feeds with the same tables, are sent, packets
//! leave as they came. From the first other feed on, PAT and PMTs are made here, in the places of the feed's own.
//!
//! Invariants:
//!
//! - A PID of the output keeps its meaning for ever: a stream that comes back comes back on its PID. What the feed on air has
//!   nothing for is listed neither in the PAT nor in a PMT meanwhile.
//! - On each PID the continuity counters run on, whichever feed each packet is of: a discontinuity is one that the source
//!   itself had, and a legal duplicate stays one.
//! - PCR, OPCR, PTS, DTS, ESCR, DTS_next_AU and the times of splice information move by one and the same offset.
//! - The access unit that video is entered with, and no other, is marked where it lies as one whose leading pictures are not there.
//! - A PCR steps by other than 0…100 ms after a cut only with discontinuity_indicator.
//! - version_number rises when the contents of a table change and never else; no section is parted by another.
//! - A packet with transport_error_indicator is believed in nothing but its PID.
//! - Nothing is allocated once it is made.
//!
//! What is not done: a time that lies in two packets is left as it is and counted where the second has not arrived when the first
//! leaves, and in splice information always, since the first of its bytes hang on the last; other tables on the PID of a PMT, and
//! a PCR there, have no place once the tables are made here.
//!
//! The tables of the feed on air are followed in the packets that are sent, not in those that arrive: what a delay line still
//! holds back changes nothing yet.

mod bits;
mod carry;
mod clocks;
mod counter;
mod counts;
mod fit;
mod layout;
mod parted;
mod plan;
mod pmt;
mod psi;
mod rewrite;
mod routes;
mod splice;
mod tables;
mod times;

pub use clocks::Step;
pub use counts::Counts;
pub use fit::Fit;

use super::{Handle, Store};
use crate::ts::pictures::{BrokenLink, Codec};
use crate::ts::{Outline, PACKET_SIZE, Packet, PidTable, SYNC_BYTE, pes};
use crate::units::{Pid, Ticks27M};

use clocks::Clocks;
use counter::{OutPid, Source};
use layout::Layout;
use parted::Parted;
use plan::Plan;
use routes::Routes;
use tables::Tables;

/// The most feeds: inputs, and a slate.
pub const MAX_FEEDS: usize = 17;
/// The most programs of a feed, and of the output.
pub const MAX_PROGRAMS: usize = 16;

/// What is done about clocks that do not meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockPolicy {
    /// The times of a feed are moved so that the output's clock runs on.
    #[default]
    Continue,
    /// They stay, and the step is signalled.
    Signal,
}

/// How it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many feeds, 1 to [`MAX_FEEDS`].
    pub feeds: usize,
    /// What is done about their clocks.
    pub clock: ClockPolicy,
}

impl Settings {
    /// The bytes that a channel takes. Much of it is by PID, and what a feed does not use is not touched.
    pub const fn memory(&self) -> usize {
        let of_pids = Pid::COUNT * (size_of::<OutPid>() + size_of::<Pid>() + size_of::<u16>());
        size_of::<Remux>()
            + self.feeds * (size_of::<Feed>() + Tables::memory() + Routes::memory())
            + Tables::memory()
            + Layout::memory()
            + Clocks::memory()
            + Parted::memory()
            + MAX_PROGRAMS * size_of::<Link>()
            + of_pids
    }
}

/// What is done with the PCR of a packet that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pcr {
    /// It is moved by the feed's offset.
    Keep,
    /// It is taken out, and its six bytes become stuffing.
    Strip,
    /// It becomes this, in the output's time.
    Set(Ticks27M),
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is to be sent. Its outline is to be taken anew: all of it may have been rewritten.
    Packet,
    /// It has no place in the output: to be released. A null packet may go in its place.
    Nothing,
}

/// A feed.
#[derive(Debug)]
struct Feed {
    /// As it arrives.
    tables: Tables,
    routes: Routes,
    /// What its times are moved by, in ticks of 90 kHz.
    offset: i64,
    /// What its PCRs are moved by besides, in ticks of 27 MHz.
    nudge: i64,
    /// Not all of its tables were known when it was last read.
    blind: bool,
    scrambled: bool,
}

/// An access unit under way that is to be marked.
#[derive(Debug)]
struct Link {
    feed: usize,
    pid: Pid,
    mark: BrokenLink,
}

/// The state of one output.
#[derive(Debug)]
pub struct Remux {
    pids: PidTable<OutPid>,
    /// How often each feed was entered.
    epochs: [u32; MAX_FEEDS],
    on_air: Option<usize>,
    /// Packets of the feeds may be left out.
    loose: bool,
    /// The tables are made here.
    ours: bool,
    /// The feed on air was entered before all its tables were known.
    pending: bool,
    clock: ClockPolicy,
    feeds: Vec<Feed>,
    /// What the feed on air said of itself in the packets sent.
    air: Tables,
    layout: Layout,
    clocks: Clocks,
    links: Vec<Link>,
    parted: Parted,
    counts: Counts,
}

impl Remux {
    /// The state before anything was sent.
    pub fn new(settings: &Settings) -> Self {
        let feed = || Feed {
            tables: Tables::new(),
            routes: Routes::new(),
            offset: 0,
            nudge: 0,
            blind: true,
            scrambled: false,
        };
        Self {
            pids: PidTable::default(),
            epochs: [0; MAX_FEEDS],
            on_air: None,
            loose: false,
            ours: false,
            pending: false,
            clock: settings.clock,
            feeds: core::iter::repeat_with(feed).take(settings.feeds.clamp(1, MAX_FEEDS)).collect(),
            air: Tables::new(),
            layout: Layout::new(),
            clocks: Clocks::new(),
            links: Vec::with_capacity(MAX_PROGRAMS),
            parted: Parted::new(),
            counts: Counts::default(),
        }
    }

    /// Every packet of every feed, as it arrives.
    #[inline]
    pub fn watch(&mut self, feed: usize, packet: Packet<'_>) {
        let Some(feed) = self.feeds.get_mut(feed) else { return };
        if feed.tables.wants(packet.pid()) {
            feed.watch(packet, &mut self.counts);
        } else if packet.is_scrambled() && packet.is_synchronised() && !packet.transport_error_indicator() {
            feed.scrambled |= packet.pid() != Pid::NULL;
        }
    }

    /// Where every packet of every feed lies until it leaves, as it arrives. Without it a PTS, DTS or ESCR that lies in two packets
    /// cannot be moved, nor is it known to [`Remux::head`].
    #[inline]
    pub fn note(&mut self, feed: usize, handle: Handle, packet: Packet<'_>) {
        if self.parted.wants(packet) {
            self.parted.note(feed, handle, packet);
        }
    }

    /// The head of the PES packet that begins in the packet at `handle` and goes on in the next, where that has arrived.
    #[inline]
    pub fn head(&self, handle: Handle, packet: Packet<'_>) -> Option<pes::Header> {
        let payload = packet.payload();
        let is_short = packet.payload_unit_start_indicator() && payload.len() < pes::Head::MAX;
        if is_short { pes::Header::parse(&self.parted.find(handle, payload)?) } else { None }
    }

    /// Whether a packet leaves exactly as it came; if so, it is counted. If not, [`Remux::packet`] is to be called, which
    /// may leave it as it is all the same: PCRs and tables are looked at.
    #[inline]
    pub fn passes(&mut self, feed: usize, outline: Outline) -> bool {
        if self.loose || outline.has_pcr() || !outline.is_synchronised() {
            return false;
        }
        let pid = outline.pid();
        let epoch = self.epochs.get(feed).copied().unwrap_or(0);
        pid == Pid::NULL || self.pids.entry(pid).passes(Source::new(feed, epoch), outline)
    }

    /// From now on packets of the feeds may be left out, and their absence is not to be seen in the counters; or that is over.
    pub fn loosen(&mut self, is_loose: bool) {
        self.loose = is_loose;
        self.pids.iter_mut().for_each(|pid| pid.let_pass(false));
    }

    /// What the output would have to change for this feed, by what arrived of it so far.
    pub fn fit(&self, feed: usize) -> Fit {
        let Some(feed) = self.feeds.get(feed) else { return Fit::default() };
        let plan = Plan::new(&self.layout, &feed.tables, &feed.routes);
        Fit {
            known: feed.tables.is_complete(),
            identical: !self.ours && feed.tables.is_complete() && self.layout.is_same(&feed.tables),
            scrambled: feed.scrambled,
            ..Fit::of(&self.layout, &plan, feed.tables.programs().len())
        }
    }

    /// Packets of the feed may be sent from now on, their times moved by `offset` ticks of 27 MHz, and the tables are its
    /// own. PTS and PCR must move by the same, so what is not a whole tick of 90 kHz (300) is dropped, and with
    /// [`ClockPolicy::Signal`] all. It is one for all programs: of those whose clock it does not fit, the step is signalled.
    /// Packets of feeds entered before may still be sent, on the PIDs of their streams.
    pub fn enter(&mut self, feed: usize, offset: i64) {
        let Some((entered, epoch)) = self.feeds.get_mut(feed).zip(self.epochs.get_mut(feed)) else { return };
        *epoch = epoch.wrapping_add(1).max(1);
        entered.offset = match self.clock {
            ClockPolicy::Continue => offset.div_euclid(300),
            ClockPolicy::Signal => 0,
        };
        entered.nudge = 0;
        entered.routes.enter();
        self.air.copy(&entered.tables);
        self.on_air = Some(feed);
        self.pending = true;
        self.clocks.cut();
        self.adopt();
    }

    /// PCRs of a feed are moved by so many ticks of 27 MHz more, until it is entered again: so that they stand to the bytes of the
    /// output as those before them, which a tick of 90 kHz is too coarse for.
    pub fn nudge(&mut self, feed: usize, ticks: i64) {
        if self.clock == ClockPolicy::Continue
            && let Some(feed) = self.feeds.get_mut(feed)
        {
            feed.nudge = ticks;
        }
    }

    /// The access unit that begins in this packet, the feed's next of its PID, is what video is entered with: it is marked as one
    /// whose leading pictures are not there, and its DTS is moved by so many ticks of 90 kHz besides.
    pub fn open(&mut self, at: usize, handle: Handle, delay: i64, store: &mut impl Store) {
        let Some((feed, bytes)) = self.feeds.get(at).zip(store.bytes_mut(handle)) else { return };
        let packet = Packet::new(bytes);
        let size = packet.payload().len();
        if packet.is_scrambled() || packet.transport_error_indicator() {
            return;
        }
        let pid = packet.pid();
        let Some(route) = feed.routes.get(pid) else { return };
        if let Some(codec) = route.key.and_then(|key| Codec::named(key.codec)) {
            self.links.retain(|link| (link.feed, link.pid) != (at, pid));
            if self.links.len() == MAX_PROGRAMS {
                self.links.remove(0);
            }
            self.links.push(Link { feed: at, pid, mark: BrokenLink::new(codec) });
        }
        times::move_dts(bytes.get_mut(PACKET_SIZE - size..).unwrap_or(&mut []), delay);
    }

    /// The PIDs of two feeds that are one PID of the output, were `new` entered after `old`: how many were written.
    pub fn pairs(&self, old: usize, new: usize, into: &mut [(Pid, Pid)]) -> usize {
        let Some((old, new)) = self.feeds.get(old).zip(self.feeds.get(new)) else { return 0 };
        let plan = Plan::new(&self.layout, &new.tables, &new.routes);
        let wanted = plan.wanted().iter().filter(|one| one.key.is_some());
        let found = wanted.filter_map(|one| {
            let out = self.layout.slots().get(one.slot?)?.pid;
            Some((old.routes.from(out)?, one.pid))
        });
        found.zip(into).map(|(pair, place)| *place = pair).count()
    }

    /// The next packets are this feed's, with the times they have: counters run on, and what the clocks step by is
    /// signalled.
    pub fn cut(&mut self, feed: usize) {
        self.enter(feed, 0);
    }

    /// The oldest step of a PCR that had to be signalled and was not yet told.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.clocks.poll()
    }

    /// The feed that was entered last.
    pub const fn on_air(&self) -> Option<usize> {
        self.on_air
    }

    /// Where a PID of a feed that was entered leaves; none where its tables do not list it.
    pub fn output_pid(&self, feed: usize, pid: Pid) -> Option<Pid> {
        Some(self.feeds.get(feed)?.routes.get(pid)?.out)
    }

    /// The PCR PIDs of the output's programs, each once.
    pub fn pcr_pids(&self) -> impl Iterator<Item = Pid> + '_ {
        self.layout.clocks()
    }

    /// What a PCR of a feed that was entered leaves as.
    pub fn moved(&self, feed: usize, pcr: Ticks27M) -> Ticks27M {
        self.feeds.get(feed).map_or(pcr, |feed| times::moved_pcr(pcr, feed.offset, feed.nudge))
    }

    /// The last PCR that was sent on a PID.
    pub fn last_pcr(&self, pid: Pid) -> Option<Ticks27M> {
        self.clocks.last(pid)
    }

    /// What became of packets and tables other than was meant.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// A null packet.
    pub fn null(&mut self, store: &mut impl Store) -> Option<Handle> {
        self.make(store, |bytes| bytes[..4].copy_from_slice(&[SYNC_BYTE, 0x1F, 0xFF, 0x10]))
    }

    /// A packet of nothing but a PCR, on one of [`Remux::pcr_pids`]. Its counter is that of the PID's last packet (ISO/IEC
    /// 13818-1 2.4.3.3).
    pub fn pcr_only(&mut self, pid: Pid, pcr: Ticks27M, store: &mut impl Store) -> Option<Handle> {
        let counter = self.pids.entry(pid).last();
        let [high, low] = pid.value().to_be_bytes();
        let handle = self.make(store, |bytes| {
            bytes[..6].copy_from_slice(&[SYNC_BYTE, high, low, 0x20 | counter, 183, 0x10]);
            times::set_pcr(bytes, pcr);
        })?;
        if self.clocks.is_step(pid, pcr)
            && let Some(bytes) = store.bytes_mut(handle)
        {
            bytes[5] |= rewrite::DISCONTINUITY_INDICATOR;
        }
        Some(handle)
    }

    /// The whole PAT and all PMTs, after what was begun of them. Nothing before the first feed's were known.
    pub fn psi(&mut self, store: &mut impl Store, emit: &mut impl FnMut(Handle, Outline)) {
        for only_begun in [true, false] {
            for table in 0..self.layout.tables() {
                if self.layout.is_due(table, only_begun) && !self.table(table, store, emit) {
                    return;
                }
            }
        }
    }

    /// A table up to its end. False where the store has no more room.
    fn table(&mut self, table: usize, store: &mut impl Store, emit: &mut impl FnMut(Handle, Outline)) -> bool {
        loop {
            let Some(handle) = self.make(store, |_| {}) else { return false };
            let Some(bytes) = store.bytes_mut(handle) else { return false };
            let Some(pid) = self.layout.table(table, bytes) else {
                store.release(handle);
                return true;
            };
            bytes[3] |= self.pids.entry(pid).next();
            emit(handle, Outline::of(Packet::new(bytes)));
            if !self.layout.is_due(table, true) {
                return true;
            }
        }
    }

    /// A packet out of nowhere, stuffed and then filled.
    fn make(&mut self, store: &mut impl Store, fill: impl FnOnce(&mut [u8; PACKET_SIZE])) -> Option<Handle> {
        let Some(handle) = store.fresh() else {
            self.counts.no_room += 1;
            return None;
        };
        let Some(bytes) = store.bytes_mut(handle) else {
            self.counts.no_room += 1;
            store.release(handle);
            return None;
        };
        *bytes = [0xFF; PACKET_SIZE];
        fill(bytes);
        Some(handle)
    }

    /// Makes the layout, the feed's routes and the tables agree with what the feed on air says of itself.
    fn adopt(&mut self) {
        let Self { feeds, layout, air, pids, .. } = self;
        let Some((at, feed)) = self.on_air.and_then(|at| Some((at, feeds.get_mut(at)?))) else { return };
        pids.iter_mut().for_each(|pid| pid.let_pass(false));
        feed.blind = !air.is_complete();
        if air.pat().is_none() {
            // it passes as if it were what the output is, until it says what it is
            return;
        }
        if self.pending && !layout.is_empty() && !layout.is_same(air) {
            self.ours = true;
        }
        self.pending &= feed.blind;
        if !self.ours {
            layout.clear();
            feeds.iter_mut().for_each(|feed| feed.routes.programs.clear());
        }
        let Some(feed) = feeds.get_mut(at) else { return };
        let plan = Plan::new(layout, air, &feed.routes);
        self.counts.left_out += layout.apply(&plan, air, &mut feed.routes, self.ours.then_some((&*pids, at)));
        if self.ours {
            layout.build(air, &feed.routes);
        } else {
            layout.take(air);
        }
    }
}

impl Feed {
    #[cold]
    fn watch(&mut self, packet: Packet<'_>, counts: &mut Counts) {
        if packet.is_synchronised() && self.tables.packet(packet) {
            self.scrambled = false;
        }
        let (left_out, too_long) = self.tables.take_left_out();
        counts.left_out += left_out;
        counts.psi_too_long += too_long;
    }
}
