//! Which program and stream of a feed takes the place of which of the output's.
//!
//! A place once given is kept. For the others: programs by program_number, then in order; streams by what they are, in steps
//! from the same in all to the same kind, and in order within each step. Pictures may replace pictures and sound sound
//! however they are coded; anything else only its own coding.

use super::MAX_PROGRAMS;
use super::layout::{Key, Layout};
use super::pmt;
use super::routes::{Role, Routes};
use super::tables::Tables;
use crate::ts::stream::{Description, Kind};
use crate::units::Pid;

/// The most streams and ECM PIDs of a feed that are given a place.
pub(super) const MAX_STREAMS: usize = 128;

/// A PID that a PMT of the feed names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The program, as a place in the feed's tables.
    pub(super) program: usize,
    pub(super) pid: Pid,
    pub(super) role: Role,
    /// What it is; none of ECMs.
    pub(super) key: Option<Key>,
    /// The slot of the output that it takes; none where it needs a new one.
    pub(super) slot: Option<usize>,
}

const NOBODY: Wanted = Wanted { program: 0, pid: Pid::NULL, role: Role::Sections, key: None, slot: None };

/// All of a feed.
#[derive(Debug)]
pub(super) struct Plan {
    /// The program of the output for each of the feed's; none where it needs a new one.
    pub(super) programs: [Option<usize>; MAX_PROGRAMS],
    wanted: [Wanted; MAX_STREAMS],
    len: usize,
    /// What found no room.
    pub(super) left_out: u64,
}

impl Key {
    fn of(description: &Description) -> Self {
        let Description { kind, codec, language, audio_type, .. } = *description;
        Self { kind, codec, language, audio_type }
    }
}

/// How alike two streams must be, the strictest first.
const STEPS: [fn(&Key, &Key) -> bool; 4] = [
    |a, b| a == b,
    |a, b| (a.kind, a.codec, a.language) == (b.kind, b.codec, b.language),
    |a, b| (a.kind, a.codec) == (b.kind, b.codec),
    |a, b| a.kind == b.kind && matches!(a.kind, Kind::Video | Kind::Audio),
];

/// Whether a stream may lie on this PID: it is not reserved (ISO/IEC 13818-1 table 2-3), nor a PMT's.
fn can_be_listed(tables: &Tables, pid: Pid) -> bool {
    pid.value() >= 0x10 && pid != Pid::NULL && !tables.wants(pid)
}

impl Plan {
    pub(super) fn new(layout: &Layout, tables: &Tables, routes: &Routes) -> Self {
        let mut plan =
            Self { programs: programs(layout, tables, routes), wanted: [NOBODY; MAX_STREAMS], len: 0, left_out: 0 };
        for (at, program) in tables.programs().iter().enumerate() {
            let Some(section) = program.pmt() else { continue };
            for stream in pmt::streams(section) {
                let description = stream.describe();
                let role = Role::of(stream.stream_type, description.kind);
                plan.want(tables, at, stream.pid, role, Some(Key::of(&description)));
            }
            let of_streams = pmt::streams(section).flat_map(|stream| pmt::access(stream.descriptors()));
            for pid in pmt::access(pmt::program_info(section)).chain(of_streams) {
                plan.want(tables, at, pid, Role::Access, None);
            }
        }
        plan.give(layout, routes);
        plan
    }

    fn want(&mut self, tables: &Tables, program: usize, pid: Pid, role: Role, key: Option<Key>) {
        if !can_be_listed(tables, pid) || self.wanted().iter().any(|it| it.pid == pid) {
            return;
        }
        let Some(place) = self.wanted.get_mut(self.len) else {
            self.left_out += 1;
            return;
        };
        *place = Wanted { program, pid, role, key, slot: None };
        self.len += 1;
    }

    pub(super) fn wanted(&self) -> &[Wanted] {
        self.wanted.get(..self.len).unwrap_or(&[])
    }

    fn give(&mut self, layout: &Layout, routes: &Routes) {
        let Self { programs, wanted, len, .. } = self;
        let wanted = wanted.get_mut(..*len).unwrap_or(&mut []);
        let mut taken = [false; super::layout::MAX_SLOTS];
        let mut step = |fits: &dyn Fn(&Wanted, &super::layout::Slot) -> bool| {
            for one in wanted.iter_mut().filter(|it| it.slot.is_none()) {
                let Some(program) = programs.get(one.program).copied().flatten() else { continue };
                let found = layout.slots().iter().zip(&taken).position(|(slot, taken)| {
                    !taken
                        && usize::from(slot.program) == program
                        && slot.key.is_some() == one.key.is_some()
                        && fits(one, slot)
                });
                if let Some(found) = found {
                    one.slot = Some(found);
                    if let Some(taken) = taken.get_mut(found) {
                        *taken = true;
                    }
                }
            }
        };
        let kind = |key: Option<Key>| key.map(|key| key.kind);
        step(&|one, slot| {
            routes.any(one.pid).is_some_and(|old| {
                old.out == slot.pid
                    && old.role == one.role
                    && kind(old.key) == kind(one.key)
                    && old.program == slot.program
            })
        });
        step(&|one, slot| one.pid == slot.pid && one.key == slot.key);
        for fits in STEPS {
            step(&|one, slot| one.key.zip(slot.key).is_some_and(|(a, b)| fits(&a, &b)));
        }
    }
}

fn programs(layout: &Layout, tables: &Tables, routes: &Routes) -> [Option<usize>; MAX_PROGRAMS] {
    let mut given = [None; MAX_PROGRAMS];
    let mut taken = [false; MAX_PROGRAMS];
    let out = layout.programs();
    let mut step = |find: &dyn Fn(u16, &[bool; MAX_PROGRAMS]) -> Option<usize>| {
        for (to, program) in given.iter_mut().zip(tables.programs()) {
            let found = if to.is_none() { find(program.number, &taken) } else { None };
            if let Some((found, taken)) = found.and_then(|found| Some((found, taken.get_mut(found)?)))
                && found < out.len()
                && !*taken
            {
                *taken = true;
                *to = Some(found);
            }
        }
    };
    step(&|number, _| routes.programs.iter().find(|it| it.0 == number).map(|it| usize::from(it.1)));
    step(&|number, _| out.iter().position(|it| it.number == number));
    step(&|_, taken| taken.iter().position(|taken| !taken));
    given
}
