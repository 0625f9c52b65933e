//! The ways that one SRT connection goes by at once: `bond` and `members`.

use std::net::SocketAddr;

use super::plan::Interface;
use super::problem::{Place, Report};
use super::srt::{Bond, BondMode, Role, Way};
use super::srt_keys::{check_address, role_name};
use super::table::Table;
use super::url;
use crate::units::Span;

/// The keys of `srt` that are read here.
pub(super) const KEYS: [&str; 2] = ["bond", "members"];
const MEMBER_KEYS: [&str; 2] = ["address", "interface"];
const KINDS: [(&str, Kind); 3] = [
    ("accept", Kind::Accept),
    ("broadcast", Kind::Call(BondMode::Broadcast)),
    ("backup", Kind::Call(BondMode::Backup)),
];
/// The most members, besides the one that the URL is.
const MOST: usize = 7;

/// The shortest `idle` with which a way that stands by stays.
pub(super) const LEAST_IDLE: Span = Span::from_secs(3);

/// What `bond` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Accept,
    Call(BondMode),
}

/// What the keys say.
pub(super) struct Bonding {
    kind: Option<(Kind, Place)>,
    members: Vec<(Way, Place)>,
    /// Where the list stands.
    at: Option<Place>,
}

impl Bonding {
    /// Reads them from what stands under `srt`.
    pub(super) fn of(table: &Table<'_>, report: &mut Report) -> Self {
        let kind = table.choice("bond", &KINDS, report);
        let at = table.node("members").map(|node| node.place);
        let list = table.list("members", report);
        if let Some(excess) = list.get(MOST) {
            let count = list.len();
            report.error(excess.place, format!("{count} members are too many: at most {MOST} besides the URL"));
        }
        let mut members = Vec::new();
        for node in list.iter().take(MOST) {
            let Some(table) = Table::open(node, "an item of `members`", &MEMBER_KEYS, report) else { continue };
            let interface = table.value("interface", url::interface, report);
            if table.node("address").is_none() {
                report.error(node.place, "a member has no `address`: write {address: ADDRESS:PORT}");
            }
            let Some((address, zone)) = table.value("address", url::socket_address, report) else { continue };
            let place = table.at("address");
            check_address(address.ip(), Role::Caller, place, report);
            let interface = interface.or_else(|| zone.map(Interface::Name));
            if let Some(interface) = &interface
                && let Err(message) = url::check_interface(&address, interface)
            {
                report.error(table.at("interface"), message);
            }
            members.push((Way { address, interface }, place));
        }
        Self { kind, members, at }
    }

    /// What they come to for a connection of this `role`, whose first way is that of the URL.
    pub(super) fn settle(
        self,
        role: Role,
        address: SocketAddr,
        interface: Option<&Interface>,
        report: &mut Report,
    ) -> Option<Bond> {
        let Some((kind, place)) = self.kind else {
            if let Some(at) = self.at {
                report
                    .error(at, "`members` are the ways of a bond: write `bond: broadcast` or `bond: backup` with them");
            }
            return None;
        };
        match (kind, role) {
            (Kind::Accept, Role::Listener) | (Kind::Call(_), Role::Caller) => {}
            (_, Role::Rendezvous) => report.error(place, "a rendezvous cannot be bonded: leave `bond` out"),
            (Kind::Accept, Role::Caller) => report.error(
                place,
                "`bond: accept` is for a listener, and this is a caller: write broadcast or backup, and its `members`",
            ),
            (Kind::Call(_), Role::Listener) => {
                report.error(
                    place,
                    format!("a {} leaves the kind of bond to its callers: write `bond: accept`", role_name(role)),
                );
            }
        }
        let Kind::Call(mode) = kind else {
            if let Some(at) = self.at {
                report.error(at, "`members` are for a caller: a listener takes the ways that callers come by");
            }
            return Some(Bond::Accept);
        };
        if self.members.is_empty() && role == Role::Caller {
            report.error(
                self.at.unwrap_or(place),
                "a bond has two ways or more: name those besides the URL in `members`",
            );
        }
        let mut ways = vec![Way { address, interface: interface.cloned() }];
        for (way, place) in self.members {
            if ways.contains(&way) {
                report.error(place, format!("{} is in this bond already, by the same interface", way.address));
            }
            ways.push(way);
        }
        Some(Bond::Call { mode, others: ways.split_off(1) })
    }
}
