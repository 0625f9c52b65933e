//! Where the packets of a feed go: for each PID of its PMTs, the PID of the output and what is rewritten in them.

use super::carry::Carry;
use super::layout::Key;
use crate::ts::stream::Kind;
use crate::units::Pid;

/// The most PIDs that a feed has in its PMTs.
pub(super) const MAX_ROUTES: usize = 192;

/// What a PID carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// PES packets.
    Pes,
    /// Sections without times.
    Sections,
    /// Splice information.
    Splice,
    /// ECMs.
    Access,
    /// PMTs.
    Table,
    /// PCRs and nothing that a PMT lists.
    Clock,
}

impl Role {
    pub(super) const fn of(stream_type: u8, kind: Kind) -> Self {
        match (kind, stream_type) {
            (Kind::Splice, _) => Self::Splice,
            // private sections, DSM-CC, metadata sections and carousels (ISO/IEC 13818-1 table 2-34)
            (_, 0x05 | 0x0A..=0x0D | 0x14 | 0x16..=0x18) => Self::Sections,
            (Kind::Video | Kind::Audio | Kind::Subtitles | Kind::Sparse | Kind::Data, _) => Self::Pes,
        }
    }
}

/// Where one PID goes.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) pid: Pid,
    pub(super) out: Pid,
    pub(super) role: Role,
    /// What it was when it was given its place.
    pub(super) key: Option<Key>,
    /// The program of the output.
    pub(super) program: u8,
    /// Whether the feed's tables still list it. If not, it only says where the PID goes should it come back.
    pub(super) live: bool,
    pub(super) carry: Carry,
}

/// The PCRs of a program: the feed's PCR_PID and the output's.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockRoute {
    pub(super) pid: Pid,
    pub(super) out: Pid,
}

/// All of a feed.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    /// The place of each PID's route plus one, 0 where it has none.
    index: Box<[u8; Pid::COUNT]>,
    list: Vec<Route>,
    pub(super) clocks: Vec<ClockRoute>,
    /// The programs that were given a place: program_number and the output's program.
    pub(super) programs: Vec<(u16, u8)>,
}

impl Routes {
    pub(super) fn new() -> Self {
        Self {
            index: Box::new([0; Pid::COUNT]),
            list: Vec::with_capacity(MAX_ROUTES),
            clocks: Vec::with_capacity(super::MAX_PROGRAMS),
            programs: Vec::with_capacity(super::MAX_PROGRAMS),
        }
    }

    /// The bytes that one takes beside itself.
    pub(super) const fn memory() -> usize {
        Pid::COUNT
            + MAX_ROUTES * size_of::<Route>()
            + super::MAX_PROGRAMS * (size_of::<ClockRoute>() + size_of::<(u16, u8)>())
    }

    fn place(&self, pid: Pid) -> Option<usize> {
        self.index.get(pid.index()).and_then(|place| usize::from(*place).checked_sub(1))
    }

    /// Where a PID goes, or went.
    pub(super) fn any(&self, pid: Pid) -> Option<&Route> {
        self.list.get(self.place(pid)?)
    }

    /// Where a PID of the feed's tables goes.
    pub(super) fn get(&self, pid: Pid) -> Option<&Route> {
        self.any(pid).filter(|route| route.live)
    }

    pub(super) fn get_mut(&mut self, pid: Pid) -> Option<&mut Route> {
        let place = self.place(pid)?;
        self.list.get_mut(place).filter(|route| route.live)
    }

    /// What of the feed's tables goes to a PID of the output.
    pub(super) fn from(&self, out: Pid) -> Option<Pid> {
        self.list.iter().find(|route| route.live && route.out == out).map(|route| route.pid)
    }

    /// Whether anything of the feed's tables goes to this PID of the output.
    pub(super) fn reaches(&self, out: Pid) -> bool {
        self.list.iter().any(|route| route.live && route.out == out)
    }

    /// The feed is entered anew: what was begun on its PIDs is not gone on with.
    pub(super) fn enter(&mut self) {
        self.list.iter_mut().for_each(|route| route.carry = Carry::default());
    }

    /// The tables are read anew: nothing is listed until it is set.
    pub(super) fn begin(&mut self) {
        self.list.iter_mut().for_each(|route| route.live = false);
        self.clocks.clear();
    }

    /// Sets where a PID goes, unless it was set since [`Routes::begin`]. False where there is no room.
    pub(super) fn set(&mut self, pid: Pid, out: Pid, role: Role, key: Option<Key>, program: u8) -> bool {
        let carry = match self.place(pid).and_then(|place| self.list.get_mut(place)) {
            Some(old) if old.live => return true,
            Some(old) => {
                let carry = if old.role == role { core::mem::take(&mut old.carry) } else { Carry::default() };
                *old = Route { pid, out, role, key, program, live: true, carry };
                return true;
            }
            None => Carry::default(),
        };
        if self.list.len() == MAX_ROUTES {
            self.list.retain(|route| route.live);
            self.index.fill(0);
            for (place, route) in self.list.iter().enumerate() {
                self.index[route.pid.index()] = u8::try_from(place + 1).unwrap_or(0);
            }
        }
        if self.list.len() == MAX_ROUTES {
            return false;
        }
        self.list.push(Route { pid, out, role, key, program, live: true, carry });
        self.index[pid.index()] = u8::try_from(self.list.len()).unwrap_or(0);
        true
    }
}
