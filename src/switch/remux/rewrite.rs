//! One packet of a feed on its way into the output.

use super::counter::Source;
use super::routes::Role;
use super::times::{move_adaptation, moved_pcr, set_pcr, strip_pcr};
use super::{Counts, Pcr, Remux, Sent};
use crate::switch::{Handle, Store};
use crate::ts::{Outline, PACKET_SIZE, Packet, pes};
use crate::units::{Pid, Ticks27M};

pub(super) const DISCONTINUITY_INDICATOR: u8 = 0x80;
/// PIDs below this carry sections of no one program, wherever no PMT says otherwise: the CAT and service information.
const FIRST_OF_PROGRAMS: u16 = 0x20;

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A place of PAT or PMT.
    Table,
    /// A PID of the feed's tables.
    Listed(Role, Pid),
    /// Through, on its own PID.
    Through,
    /// Nowhere.
    Unmapped,
    /// Nowhere as long as another feed is on air.
    OffAir,
}

/// What is done with a packet's PCR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reference {
    None,
    Put(Ticks27M),
    Remove,
    /// The packet is nothing but this, and goes to another PID.
    Elsewhere(Pid, Ticks27M),
}

impl Remux {
    /// Rewrites a packet where it lies. What has to go before it is handed to `emit`: a PCR that stood on another PID than the
    /// output's. `pcr` is for the PCRs of the feed's programs; of others there is none to obey it.
    pub fn packet(
        &mut self,
        feed: usize,
        handle: Handle,
        outline: Outline,
        pcr: Pcr,
        store: &mut impl Store,
        emit: &mut impl FnMut(Handle, Outline),
    ) -> Sent {
        let is_read =
            |bytes: &&mut [u8; PACKET_SIZE]| outline.is_synchronised() && Packet::new(bytes).is_synchronised();
        let Some(bytes) = store.bytes_mut(handle).filter(is_read) else {
            self.counts.dropped_unreadable += 1;
            return Sent::Nothing;
        };
        // what the packet now is counts, whatever it was said to be
        let packet = Packet::new(bytes);
        let outline = Outline::of(packet);
        let pid = packet.pid();
        if pid == Pid::NULL {
            return Sent::Packet;
        }
        let way = self.way(feed, pid);
        let out = match way {
            Way::Table => {
                if !packet.transport_error_indicator() && self.air.packet(packet) {
                    self.adopt();
                }
                if self.ours {
                    return self.replace(pid, bytes);
                }
                self.layout.follow(Packet::new(bytes));
                pid
            }
            Way::Listed(_, out) => out,
            Way::Through => pid,
            Way::Unmapped => {
                self.counts.dropped_unmapped += 1;
                return Sent::Nothing;
            }
            Way::OffAir => {
                self.counts.dropped_off_air += 1;
                return Sent::Nothing;
            }
        };
        if self.is_handed_over(feed, pid, out, way, outline) && !begin_sections(bytes) {
            self.counts.dropped_midway += 1;
            return Sent::Nothing;
        }
        let (offset, nudge) = self.feeds.get(feed).map_or((0, 0), |feed| (feed.offset, feed.nudge));
        let found = packet_pcr(bytes);
        let reference = match found {
            Some(found) => {
                let moved = moved_pcr(found, offset, nudge);
                self.reference(feed, pid, out, way, pcr, [found, moved], outline.has_payload(), store, emit)
            }
            None => Reference::None,
        };
        let Some(bytes) = store.bytes_mut(handle) else { return Sent::Nothing };
        if self.ours && way == Way::Listed(Role::Clock, out) && !matches!(reference, Reference::Elsewhere(..)) {
            // what stands beside the PCRs of a PID of their own is nobody's
            return Sent::Nothing;
        }
        let out = match reference {
            Reference::Elsewhere(out, _) => out,
            Reference::None | Reference::Put(_) | Reference::Remove => out,
        };
        self.counter(feed, pid, out, way, reference, offset, bytes);
        match reference {
            Reference::None => {}
            Reference::Remove => {
                self.counts.pcr_stripped += 1;
                strip_pcr(bytes);
            }
            Reference::Put(pcr) | Reference::Elsewhere(_, pcr) => {
                if found != Some(pcr) {
                    set_pcr(bytes, pcr);
                }
                if self.clocks.is_step(out, pcr) {
                    bytes[5] |= DISCONTINUITY_INDICATOR;
                }
            }
        }
        if let Way::Listed(role, _) = way
            && !outline.transport_error_indicator()
        {
            self.mark(feed, pid, outline, bytes);
            if offset == 0 {
                return Sent::Packet;
            }
            self.times(feed, pid, role, offset, (handle, outline), bytes);
        }
        Sent::Packet
    }

    fn way(&self, at: usize, pid: Pid) -> Way {
        let is_entered = self.epochs.get(at).is_some_and(|epoch| *epoch > 0);
        let Some(feed) = self.feeds.get(at).filter(|_| is_entered) else { return Way::OffAir };
        let is_on_air = self.on_air == Some(at);
        let route = feed.routes.get(pid);
        match route {
            _ if pid == Pid::PAT => {}
            Some(route) if route.role != Role::Table => return Way::Listed(route.role, route.out),
            Some(_) => {}
            // a PMT's place before its program found one
            None if is_on_air && self.air.wants(pid) => {}
            None if is_on_air && self.ours && feed.blind && self.layout.has_table(pid) => {}
            None if !is_on_air => return Way::OffAir,
            None if !self.layout.uses(pid) => return Way::Through,
            // of a feed that is not known it is guessed that it is like the output
            None if feed.blind && !feed.routes.reaches(pid) => return Way::Through,
            None => return Way::Unmapped,
        }
        if is_on_air { Way::Table } else { Way::OffAir }
    }

    /// Whether this is of a PID with sections, and the last packet on it was of another source: the counters run on, so nothing
    /// tells a receiver that what follows does not belong to what it has.
    fn is_handed_over(&mut self, feed: usize, pid: Pid, out: Pid, way: Way, outline: Outline) -> bool {
        let has_sections = match way {
            Way::Table => true,
            Way::Listed(role, _) => matches!(role, Role::Sections | Role::Splice | Role::Access),
            Way::Through => pid.value() < FIRST_OF_PROGRAMS,
            Way::Unmapped | Way::OffAir => false,
        };
        let epoch = self.epochs.get(feed).copied().unwrap_or(0);
        has_sections
            && !outline.transport_error_indicator()
            && self.pids.entry(out).is_handed_over(Source::new(feed, epoch))
    }

    /// Puts a packet of our tables in the place of one of the feed's.
    fn replace(&mut self, pid: Pid, bytes: &mut [u8; PACKET_SIZE]) -> Sent {
        let packet = Packet::new(bytes);
        if packet.transport_error_indicator() || !packet.has_payload() {
            return Sent::Nothing;
        }
        let start = packet.payload_unit_start_indicator();
        match self.layout.place(&self.air, pid, start, bytes) {
            Some(out) => {
                bytes[3] |= self.pids.entry(out).next();
                Sent::Packet
            }
            None => Sent::Nothing,
        }
    }

    /// What is done with a PCR, `[as it is, moved]`. Those that go to other PIDs are sent.
    #[allow(clippy::too_many_arguments)]
    fn reference(
        &mut self,
        at: usize,
        pid: Pid,
        out: Pid,
        way: Way,
        pcr: Pcr,
        [found, moved]: [Ticks27M; 2],
        has_payload: bool,
        store: &mut impl Store,
        emit: &mut impl FnMut(Handle, Outline),
    ) -> Reference {
        let Some(feed) = self.feeds.get(at) else { return Reference::None };
        let is_clock = feed.routes.clocks.iter().any(|clock| clock.pid == pid);
        let is_known = !feed.routes.clocks.is_empty();
        if is_known && !is_clock {
            return match way {
                Way::Listed(..) if self.ours => Reference::Remove,
                Way::Listed(..) => Reference::Put(moved),
                Way::Table | Way::Through | Way::Unmapped | Way::OffAir => Reference::Put(found),
            };
        }
        let value = match pcr {
            Pcr::Keep => moved,
            Pcr::Strip => return Reference::Remove,
            Pcr::Set(value) => value,
        };
        if !is_known {
            return Reference::Put(value);
        }
        // PCRs on a PID of their own have counters of their own: where the output's PID has packets of a stream as well, they
        // must not be reckoned among those
        let own = if self.ours && way == Way::Listed(Role::Clock, out) { None } else { Some(out) };
        let carries = feed.routes.clocks.iter().any(|clock| clock.pid == pid && Some(clock.out) == own);
        let mut reference = if carries { Reference::Put(value) } else { Reference::Remove };
        let mut done = [Pid::PAT; super::MAX_PROGRAMS];
        for place in 0..super::MAX_PROGRAMS {
            let clock = self.feeds.get(at).and_then(|feed| feed.routes.clocks.get(place));
            let Some(clock) = clock.filter(|clock| clock.pid == pid && Some(clock.out) != own).copied() else {
                continue;
            };
            if done.contains(&clock.out) {
                continue;
            }
            done[place] = clock.out;
            if reference == Reference::Remove && !has_payload {
                reference = Reference::Elsewhere(clock.out, value);
            } else if let Some(handle) = self.pcr_only(clock.out, value, store)
                && let Some(bytes) = store.bytes(handle)
            {
                emit(handle, Outline::of(Packet::new(bytes)));
            }
        }
        reference
    }

    /// Writes PID and continuity counter, and takes note of whether the next ones may pass.
    #[allow(clippy::too_many_arguments)]
    fn counter(
        &mut self,
        feed: usize,
        pid: Pid,
        out: Pid,
        way: Way,
        reference: Reference,
        offset: i64,
        bytes: &mut [u8; PACKET_SIZE],
    ) {
        let outline = Outline::of(Packet::new(bytes));
        let loose = self.loose;
        let entry = self.pids.entry(out);
        let counter = if matches!(reference, Reference::Elsewhere(..)) {
            entry.last()
        } else {
            let epoch = self.epochs.get(feed).copied().unwrap_or(0);
            let counter = entry.count(Source::new(feed, epoch), outline, loose);
            let is_plain = match way {
                Way::Listed(role, _) => role != Role::Clock && offset == 0,
                Way::Through => true,
                Way::Table | Way::Unmapped | Way::OffAir => false,
            };
            if !outline.transport_error_indicator() {
                entry.let_pass(is_plain && pid == out);
            }
            counter
        };
        let [high, low] = out.value().to_be_bytes();
        bytes[1] = bytes[1] & 0xE0 | high;
        bytes[2] = low;
        bytes[3] = bytes[3] & 0xF0 | counter;
    }

    /// Marks the access unit that video is entered with.
    fn mark(&mut self, at: usize, pid: Pid, outline: Outline, bytes: &mut [u8; PACKET_SIZE]) {
        let Some(place) = self.links.iter().position(|link| (link.feed, link.pid) == (at, pid)) else { return };
        let packet = Packet::new(bytes);
        let (start, size) = (packet.payload_unit_start_indicator(), packet.payload().len());
        let Some(link) = self.links.get_mut(place) else { return };
        if packet.is_scrambled() || start && link.mark.is_under_way() {
            self.links.swap_remove(place);
        } else if outline.has_payload() {
            link.mark.push(start, bytes.get_mut(PACKET_SIZE - size..).unwrap_or(&mut []));
        }
    }

    /// Moves the times of a packet but for its PCR.
    fn times(
        &mut self,
        at: usize,
        pid: Pid,
        role: Role,
        offset: i64,
        (handle, outline): (Handle, Outline),
        bytes: &mut [u8; PACKET_SIZE],
    ) {
        move_adaptation(bytes, offset);
        let packet = Packet::new(bytes);
        if !matches!(role, Role::Pes | Role::Splice) || !outline.has_payload() {
            return;
        }
        let (start, is_scrambled) = (packet.payload_unit_start_indicator(), packet.is_scrambled());
        let size = packet.payload().len();
        let Self { feeds, counts, parted, .. } = self;
        let Some(route) = feeds.get_mut(at).and_then(|feed| feed.routes.get_mut(pid)) else { return };
        // the source's own counter
        let under = route.carry.next(outline.continuity_counter());
        if is_scrambled {
            counts.scrambled_unmoved += u64::from(start);
            *under = super::carry::Under::default();
            return;
        }
        let payload = bytes.get_mut(PACKET_SIZE - size..).unwrap_or(&mut []);
        if role == Role::Pes {
            let known = match start {
                true if size < pes::Head::MAX => parted.begin(at, pid, handle, payload),
                false if under.head.is_under_way() => parted.leaving(at, pid),
                true | false => None,
            };
            counts.pes_split += u64::from(!under.head.packet(start, payload, offset, known));
        } else {
            let outcome = under.sections.packet(start, payload, offset);
            let Counts { splice_moved, splice_encrypted, splice_unmoved, .. } = counts;
            *splice_moved += outcome.moved;
            *splice_encrypted += outcome.encrypted;
            *splice_unmoved += outcome.unmoved;
        }
    }
}

/// Makes a packet one that only begins sections: the end of an earlier one becomes stuffing of the adaptation field. False where
/// none begins in it.
fn begin_sections(bytes: &mut [u8; PACKET_SIZE]) -> bool {
    let packet = Packet::new(bytes);
    let at = PACKET_SIZE - packet.payload().len();
    if !packet.payload_unit_start_indicator() || packet.is_scrambled() {
        return packet.payload_unit_start_indicator();
    }
    let (Some(&pointer), had_field) = (bytes.get(at), packet.has_adaptation_field()) else { return false };
    let begin = at + usize::from(pointer);
    if begin + 1 >= PACKET_SIZE {
        return false;
    }
    if pointer == 0 {
        return true;
    }
    let is_bare = !had_field || bytes[4] == 0;
    bytes[at..begin].fill(0xFF);
    bytes[3] |= 0x20;
    // the field's own length aside, it now takes all up to the pointer_field
    bytes[4] = u8::try_from(begin - 5).unwrap_or(0);
    if is_bare && begin > 5 {
        bytes[5] = 0;
    }
    bytes[begin] = 0;
    true
}

/// The PCR of a packet that is believed.
fn packet_pcr(bytes: &[u8; PACKET_SIZE]) -> Option<Ticks27M> {
    let packet = Packet::new(bytes);
    if packet.transport_error_indicator() { None } else { packet.pcr() }
}
