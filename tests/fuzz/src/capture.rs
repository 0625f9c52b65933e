//! Any bytes as a file: a capture, or TS packets one after the other.

use std::io::Cursor;
use std::path::Path;

use changeover::replay::capture::Capture;
use changeover::replay::source::Source;
use changeover::units::BitRate;

/// One run: `data` is the file, read both ways to its end or to its first error.
pub fn run(data: &[u8]) {
    let path = Path::new("file");
    let most = data.len() as u64;
    if let Ok(mut capture) = Capture::read_from(path, Cursor::new(data.to_vec())) {
        let mut datagrams = 0;
        while let Ok(Some(datagram)) = capture.read() {
            assert!(datagram.payload.len() <= usize::from(u16::MAX));
            datagrams += 1;
            assert!(datagrams <= most, "more datagrams than bytes");
        }
        assert!(capture.figures().datagrams >= datagrams);
    }
    if let Ok(mut source) = Source::read_from(path, Cursor::new(data.to_vec()), BitRate(8_000_000)) {
        let (mut packets, mut last) = (0, None);
        while let Ok(Some(packet)) = source.read() {
            assert!(last.is_none_or(|last| last <= packet.at), "time runs back");
            last = Some(packet.at);
            packets += 1;
        }
        let figures = source.figures();
        assert_eq!(figures.packets, packets);
        // where packets are found again, the next begins within the one that was no packet
        assert!(packets.saturating_sub(figures.resynchronisations) * 188 <= most, "more packets than bytes");
    }
}
