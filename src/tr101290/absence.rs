//! Things that must come again and again, and the moment at which each is overdue.
//!
//! An absence is found by time passing, never by the thing coming back: each list of watched things knows a moment before
//! which none can be overdue, and is looked at again only then.

use super::pids::{Pids, Roles};
use crate::units::{Instant, Pid, Span};

/// One thing that must come again within its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    /// When it was last there, or when it began to be wanted.
    pub(super) last: Instant,
    /// Whether it is overdue.
    pub(super) absent: bool,
}

impl Watch {
    pub(super) const fn new(now: Instant) -> Self {
        Self { last: now, absent: false }
    }

    /// It is there.
    #[inline]
    pub(super) const fn seen(&mut self, at: Instant) {
        self.last = at;
        self.absent = false;
    }

    /// True once, when it has been missing for longer than `limit` at `now`; else lowers `due` to when it will have been.
    #[inline]
    pub(super) fn expire(&mut self, now: Instant, limit: Span, due: &mut Instant) -> bool {
        if self.absent {
            return false;
        }
        let at = self.last + limit;
        self.absent = at <= now;
        if !self.absent {
            *due = (*due).min(at);
        }
        self.absent
    }
}

/// One thing of the whole stream that must come again, once it is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    limit: Span,
    /// None until it is wanted: what never began is not overdue.
    pub(super) watch: Option<Watch>,
    pub(super) due: Instant,
}

impl Awaited {
    pub(super) const fn new(limit: Span) -> Self {
        Self { limit, watch: None, due: Instant::NEVER }
    }

    /// From now on it is wanted, if it was not before.
    pub(super) fn want(&mut self, at: Instant) {
        if self.watch.is_none() {
            self.seen(at);
        }
    }

    /// It is there.
    pub(super) fn seen(&mut self, at: Instant) {
        self.watch = Some(Watch::new(at));
        self.due = self.due.min(at + self.limit);
    }

    /// True once, when it is overdue.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        if now < self.due {
            return false;
        }
        self.due = Instant::NEVER;
        self.watch.as_mut().is_some_and(|watch| watch.expire(now, self.limit, &mut self.due))
    }

    pub(super) fn is_absent(&self) -> bool {
        self.watch.is_some_and(|watch| watch.absent)
    }
}

/// A PID that must come, or carry something, again and again.
#[derive(Clone, Copy, Debug)]
pub(super) struct WantedPid {
    pub(super) pid: Pid,
    pub(super) program: u16,
    pub(super) limit: Span,
    pub(super) watch: Watch,
}

/// PIDs that must come, or carry something, again and again; each of them has a role that nothing else gives.
#[derive(Debug)]
pub(super) struct WantedPids {
    role: Roles,
    /// In the order of their PIDs.
    pub(super) list: Vec<WantedPid>,
    pub(super) due: Instant,
}

impl WantedPids {
    pub(super) fn new(role: Roles, most: usize) -> Self {
        Self { role, list: Vec::with_capacity(most), due: Instant::NEVER }
    }

    /// Nothing is wanted.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.due = Instant::NEVER;
    }

    /// From now on these are wanted, each as (PID, program, limit), the first of a PID that is named twice; those that were
    /// wanted before keep their state.
    pub(super) fn follow(
        &mut self,
        wanted: impl Iterator<Item = (Pid, u16, Span)> + Clone,
        pids: &mut Pids,
        at: Instant,
    ) {
        for (pid, ..) in wanted.clone() {
            pids.entry(pid).roles.add(Roles::WANTED);
        }
        let role = self.role;
        self.list.retain(|item| {
            let roles = &mut pids.entry(item.pid).roles;
            let stays = roles.has(Roles::WANTED);
            if !stays {
                roles.remove(role);
                // of another list it may be one that is missing
                if role == Roles::STEADY {
                    roles.remove(Roles::ABSENT);
                }
            }
            stays
        });
        for (pid, program, limit) in wanted {
            let roles = &mut pids.entry(pid).roles;
            if !roles.has(Roles::WANTED) {
                continue;
            }
            roles.remove(Roles::WANTED);
            match self.list.binary_search_by_key(&pid, |item| item.pid) {
                Ok(place) => (self.list[place].program, self.list[place].limit) = (program, limit),
                Err(place) if self.list.len() < self.list.capacity() => {
                    roles.add(role);
                    self.list.insert(place, WantedPid { pid, program, limit, watch: Watch::new(at) });
                }
                Err(_) => {}
            }
        }
        self.due = at;
    }

    /// It came, or carried what it must.
    pub(super) fn seen(&mut self, pid: Pid, at: Instant) {
        if let Some(item) = self.list.iter_mut().find(|item| item.pid == pid) {
            item.watch.seen(at);
            self.due = self.due.min(at + item.limit);
        }
    }

    /// Tells of each that has become overdue by `now`.
    pub(super) fn expire(&mut self, now: Instant, mut overdue: impl FnMut(&WantedPid)) {
        if now < self.due {
            return;
        }
        self.due = Instant::NEVER;
        for item in &mut self.list {
            if item.watch.expire(now, item.limit, &mut self.due) {
                overdue(item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ns: i64) -> Instant {
        Instant::from_nanos(ns)
    }

    #[test]
    fn overdue_once_until_it_is_back() {
        let mut watch = Watch::new(at(10));
        let mut due = Instant::NEVER;
        assert!(!watch.expire(at(14), Span::from_nanos(5), &mut due));
        assert_eq!(due, at(15));
        assert!(watch.expire(at(15), Span::from_nanos(5), &mut due));
        assert!(!watch.expire(at(99), Span::from_nanos(5), &mut due));
        watch.seen(at(100));
        assert!(!watch.absent);
    }

    #[test]
    fn what_is_not_wanted_yet_is_not_overdue() {
        let mut awaited = Awaited::new(Span::from_nanos(5));
        assert!(!awaited.expire(at(99)));
        awaited.want(at(100));
        awaited.want(at(104));
        assert!(!awaited.expire(at(104)) && awaited.expire(at(105)) && awaited.is_absent());
        awaited.seen(at(200));
        assert!(!awaited.is_absent());
    }

    #[test]
    fn those_that_stay_wanted_keep_their_state_and_the_others_lose_their_role() {
        let (mut pids, mut list) = (Pids::default(), WantedPids::new(Roles::PTS, 2));
        let wanted = |numbers: &'static [u16]| numbers.iter().map(|&pid| (Pid::new(pid), 1, Span::from_nanos(5)));
        list.follow(wanted(&[1, 2, 1, 3]), &mut pids, at(0));
        assert_eq!(list.list.len(), 2, "as many as there is room for");
        list.seen(Pid::new(2), at(7));
        list.follow(wanted(&[2, 3]), &mut pids, at(9));
        let left: Vec<_> = list.list.iter().map(|item| (item.pid.value(), item.watch.last)).collect();
        assert_eq!(left, [(2, at(7)), (3, at(9))]);
        assert!(!pids.entry(Pid::new(1)).roles.any() && pids.entry(Pid::new(3)).roles.has(Roles::PTS));
        let mut overdue = Vec::new();
        list.expire(at(12), |item| overdue.push(item.pid.value()));
        assert_eq!((overdue, list.due), (vec![2], at(14)));
    }
}
