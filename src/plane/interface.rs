//! The box's network interfaces at a moment.

use std::io;
use std::net::IpAddr;

use super::sys;
use crate::config::Interface;

/// All interfaces as they are now. Read once for as many watches as there are: it asks the kernel for everything.
#[derive(Clone, Debug, Default)]
pub struct Interfaces(Vec<Link>);

/// One interface.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its name, `eth1`.
    pub name: String,
    /// Its index, which changes when it is taken away and comes back.
    pub index: u32,
    /// Whether it is switched on (`IFF_UP`).
    pub up: bool,
    /// Whether it has a carrier (`IFF_RUNNING`).
    pub running: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl Interfaces {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When it does not tell, for want of memory or file descriptors.
    pub fn read() -> io::Result<Self> {
        let mut links: Vec<Link> = Vec::new();
        for line in sys::interface_addresses()? {
            let place = match links.iter().position(|link| link.name == line.name) {
                Some(place) => place,
                None => {
                    let Some(index) = sys::interface_index(&line.name) else { continue };
                    let has = |flag: i32| line.flags & flag.cast_unsigned() != 0;
                    let (up, running) = (has(libc::IFF_UP), has(libc::IFF_RUNNING));
                    links.push(Link { name: line.name, index, up, running, addresses: Vec::new() });
                    links.len() - 1
                }
            };
            links[place].addresses.extend(line.address);
        }
        Ok(Self(links))
    }

    /// The interface that is meant; none where there is none of that name or with that address.
    pub fn find(&self, interface: &Interface) -> Option<&Link> {
        self.0.iter().find(|link| match interface {
            Interface::Name(name) => link.name == *name,
            Interface::Address(address) => link.addresses.contains(address),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_found_by_name_and_by_address() {
        let interfaces = Interfaces::read().unwrap();
        let by_name = interfaces.find(&Interface::Name("lo".to_owned())).unwrap();
        let by_address = interfaces.find(&Interface::Address("127.0.0.1".parse().unwrap())).unwrap();
        assert_eq!(by_name.index, by_address.index);
        assert!(by_name.up);
        assert!(interfaces.find(&Interface::Name("no such one".to_owned())).is_none());
    }
}
