//! The service description table: ETSI EN 300 468 5.2.3.

use super::section::Section;

/// table_id of the table of the stream itself.
pub const ACTUAL: u8 = 0x42;
/// table_id of a table of another stream.
pub const OTHER: u8 = 0x46;
/// original_network_id and a reserved byte.
const FIXED: usize = 3;
/// What stands before the descriptors of a service.
const SERVICE: usize = 5;
/// service_descriptor (6.2.33).
const SERVICE_DESCRIPTOR: u8 = 0x48;

/// A section of the table. Whether its CRC_32 is right is for the caller to see.
#[derive(Clone, Copy, Debug)]
pub struct Sdt<'a> {
    section: Section<'a>,
    original_network_id: u16,
    services: &'a [u8],
}

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service<'a> {
    /// service_id, which is the program_number.
    pub service_id: u16,
    /// EIT_schedule_flag.
    pub eit_schedule: bool,
    /// EIT_present_following_flag.
    pub eit_present_following: bool,
    /// running_status, 0…7: 4 is running (table 6).
    pub running_status: u8,
    /// free_CA_mode: some of it may be scrambled.
    pub free_ca_mode: bool,
    /// What its service_descriptor says.
    pub described: Option<Described<'a>>,
}

/// What a service_descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described<'a> {
    /// service_type (table 87): 0x01 television, 0x02 radio, …
    pub service_type: u8,
    /// The bytes of the provider's name, as annex A codes text.
    pub provider: &'a [u8],
    /// The bytes of the service's name.
    pub name: &'a [u8],
}

impl<'a> Sdt<'a> {
    /// A view of a section; none if it is of another table.
    pub fn new(section: Section<'a>) -> Option<Self> {
        if !matches!(section.table_id(), ACTUAL | OTHER) || !section.has_long_syntax() {
            return None;
        }
        let (&[high, low, _], services) = section.contents().split_first_chunk::<FIXED>()?;
        Some(Self { section, original_network_id: u16::from_be_bytes([high, low]), services })
    }

    /// Whether it is of the stream that it came in.
    pub fn is_actual(self) -> bool {
        self.section.table_id() == ACTUAL
    }

    /// transport_stream_id.
    pub fn transport_stream_id(self) -> u16 {
        self.section.table_id_extension()
    }

    /// original_network_id.
    pub const fn original_network_id(self) -> u16 {
        self.original_network_id
    }

    /// The services, up to the first that is not whole.
    pub const fn services(self) -> Services<'a> {
        Services(self.services)
    }
}

/// The services of a section.
#[derive(Clone, Debug)]
pub struct Services<'a>(&'a [u8]);

impl<'a> Iterator for Services<'a> {
    type Item = Service<'a>;

    fn next(&mut self) -> Option<Service<'a>> {
        let (&[a, b, flags, high, low], rest) = self.0.split_first_chunk::<SERVICE>()?;
        let length = u16::from_be_bytes([high & 0x0F, low]);
        let (descriptors, rest) = rest.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some(Service {
            service_id: u16::from_be_bytes([a, b]),
            eit_schedule: flags & 2 != 0,
            eit_present_following: flags & 1 != 0,
            running_status: high >> 5,
            free_ca_mode: high & 0x10 != 0,
            described: described(descriptors),
        })
    }
}

/// The first service_descriptor that is whole.
fn described(mut descriptors: &[u8]) -> Option<Described<'_>> {
    while let &[tag, length, ref rest @ ..] = descriptors {
        let (body, rest) = rest.split_at_checked(usize::from(length))?;
        if tag == SERVICE_DESCRIPTOR
            && let &[service_type, provider_length, ref names @ ..] = body
            && let Some((provider, names)) = names.split_at_checked(usize::from(provider_length))
            && let Some((&name_length, names)) = names.split_first()
            && let Some(name) = names.get(..usize::from(name_length))
        {
            return Some(Described { service_type, provider, name });
        }
        descriptors = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(table_id: u8, services: &[u8]) -> Vec<u8> {
        let length = u16::try_from(5 + 3 + services.len() + 4).unwrap().to_be_bytes();
        let head = [table_id, 0xF0 | length[0], length[1], 0x12, 0x34, 0xC1, 0, 0, 0x00, 0x55, 0xFF];
        [&head[..], services, &[0; 4]].concat()
    }

    fn services(bytes: &[u8]) -> Vec<Service<'_>> {
        Sdt::new(Section::new(bytes).unwrap()).unwrap().services().collect()
    }

    const TWO: [u8; 34] = *b"\x01\x02\xFF\x80\x12\x5F\x04abcd\x48\x0A\x19\x04Prov\x03One\
        \x01\x03\xFC\x50\x06\x48\x04\x02\x03no";

    #[test]
    fn services_are_read_with_their_names() {
        let bytes = section(ACTUAL, &TWO);
        let sdt = Sdt::new(Section::new(&bytes).unwrap()).unwrap();
        assert_eq!((sdt.transport_stream_id(), sdt.original_network_id(), sdt.is_actual()), (0x1234, 0x55, true));
        let one = Service {
            service_id: 0x102,
            eit_schedule: true,
            eit_present_following: true,
            running_status: 4,
            free_ca_mode: false,
            described: Some(Described { service_type: 0x19, provider: b"Prov", name: b"One" }),
        };
        let two = Service {
            service_id: 0x103,
            eit_schedule: false,
            eit_present_following: false,
            running_status: 2,
            free_ca_mode: true,
            described: None,
        };
        assert_eq!(services(&bytes), [one, two]);
        assert!(!Sdt::new(Section::new(&section(OTHER, &[])).unwrap()).unwrap().is_actual());
    }

    #[test]
    fn what_is_cut_off_ends_the_list() {
        for end in 0..TWO.len() {
            let whole = usize::from(end >= 23);
            assert_eq!(services(&section(ACTUAL, &TWO[..end])).len(), whole, "{end} bytes");
        }
        for (id, size) in [(0x4A, 11), (ACTUAL, 9)] {
            let mut bytes = section(id, &[]);
            bytes.truncate(size);
            bytes[2] = u8::try_from(size - 3).unwrap();
            assert!(Sdt::new(Section::new(&bytes).unwrap()).is_none());
        }
    }

    #[test]
    fn chance_never_makes_it_panic() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut found = 0;
        for n in 0..20_000_usize {
            let mut bytes = section(ACTUAL, &TWO);
            for _ in 0..=n % 7 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let [at, value, ..] = state.to_be_bytes();
                bytes[11 + usize::from(at) % TWO.len()] = value;
            }
            let all = services(&bytes);
            assert!(all.len() <= TWO.len() / SERVICE);
            found += all.iter().filter(|s| s.described.is_some()).count();
        }
        assert!(found > 1000);
    }
}
