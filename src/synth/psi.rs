//! PAT, PMT and SDT, each as the transport packets of its one section.

use super::{Packet, Settings};
use crate::ts::crc32;

/// The PID of the service description table (ETSI EN 300 468, 5.1.3).
const SDT_PID: u16 = 0x11;
/// The original_network_id that nobody is given: for private use (ETSI TS 101 162).
const ORIGINAL_NETWORK_ID: u16 = 0xFF01;
/// What a service name may take of its descriptor.
const SERVICE_NAME_MAX: usize = 200;
const PROVIDER: &[u8] = b"changeover";

/// The program association section (ISO/IEC 13818-1 2.4.4.3).
pub(super) fn pat(settings: &Settings) -> Vec<[u8; Packet::SIZE]> {
    let mut body = Vec::new();
    body.extend(settings.program_number.to_be_bytes());
    body.extend((0xE000 | settings.pmt_pid.value()).to_be_bytes());
    packets(0, &section(0x00, settings.transport_stream_id, &body))
}

/// The program map section (ISO/IEC 13818-1 2.4.4.8), PCR on the video, the audio with its language.
pub(super) fn pmt(settings: &Settings) -> Vec<[u8; Packet::SIZE]> {
    let mut body = Vec::new();
    body.extend((0xE000 | settings.video_pid.value()).to_be_bytes());
    body.extend([0xF0, 0]);
    // MPEG-2 video
    body.push(0x02);
    body.extend((0xE000 | settings.video_pid.value()).to_be_bytes());
    body.extend([0xF0, 0]);
    if settings.audio {
        // MPEG-1 audio, with an ISO_639_language_descriptor
        body.push(0x03);
        body.extend((0xE000 | settings.audio_pid.value()).to_be_bytes());
        body.extend([0xF0, 6, 0x0A, 4]);
        body.extend(settings.language);
        body.push(0);
    }
    packets(settings.pmt_pid.value(), &section(0x02, settings.program_number, &body))
}

/// The service description section of the actual transport stream (ETSI EN 300 468, 5.2.3).
pub(super) fn sdt(settings: &Settings) -> Vec<[u8; Packet::SIZE]> {
    let name = dvb_text(&settings.service_name);
    let mut descriptor = vec![0x01];
    push_with_length(&mut descriptor, PROVIDER);
    push_with_length(&mut descriptor, &name);

    let mut body = Vec::new();
    body.extend(ORIGINAL_NETWORK_ID.to_be_bytes());
    body.push(0xFF);
    body.extend(settings.program_number.to_be_bytes());
    // no EIT; running, not scrambled
    body.push(0xFC);
    let mut descriptors = vec![0x48];
    push_with_length(&mut descriptors, &descriptor);
    body.extend((0x8000 | length16(&descriptors)).to_be_bytes());
    body.extend(&descriptors);
    packets(SDT_PID, &section(0x42, settings.transport_stream_id, &body))
}

/// `name` as DVB writes text (ETSI EN 300 468, annex A): ASCII as it is, anything else announced as UTF-8, and
/// cut between two characters where it is too long for the descriptor.
fn dvb_text(name: &str) -> Vec<u8> {
    let mut text = if name.is_ascii() { Vec::new() } else { vec![0x15] };
    for c in name.chars() {
        if text.len() + c.len_utf8() > SERVICE_NAME_MAX {
            break;
        }
        text.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    text
}

fn push_with_length(out: &mut Vec<u8>, bytes: &[u8]) {
    let [_, length] = length16(bytes).to_be_bytes();
    out.push(length);
    out.extend(bytes);
}

/// The length of something that this file builds, of a few hundred bytes at most.
fn length16(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

/// A whole section, version 0, current, the only one of its table, with its CRC_32.
fn section(table_id: u8, extension: u16, body: &[u8]) -> Vec<u8> {
    let mut out = vec![table_id];
    // DVB's tables set the bit that in MPEG's own is zero
    let flags = if table_id < 0x40 { 0xB000 } else { 0xF000 };
    out.extend((flags | (length16(body) + 9)).to_be_bytes());
    out.extend(extension.to_be_bytes());
    out.extend([0xC1, 0, 0]);
    out.extend(body);
    out.extend(crc32(&out).to_be_bytes());
    out
}

/// The packets that carry a section, their continuity counters still zero.
fn packets(pid: u16, section: &[u8]) -> Vec<[u8; Packet::SIZE]> {
    // the pointer_field, then the section right behind it
    let payload: Vec<u8> = core::iter::once(0).chain(section.iter().copied()).collect();
    payload
        .chunks(Packet::SIZE - 4)
        .enumerate()
        .map(|(n, chunk)| {
            let mut packet = [0xFF; Packet::SIZE];
            let [high, low] = pid.to_be_bytes();
            let unit_start = if n == 0 { 0x40 } else { 0 };
            packet[..4].copy_from_slice(&[0x47, unit_start | high, low, 0x10]);
            packet[4..4 + chunk.len()].copy_from_slice(chunk);
            packet
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The section that `packets` carry, without the stuffing.
    fn joined(packets: &[[u8; Packet::SIZE]]) -> Vec<u8> {
        let mut bytes: Vec<u8> = packets.iter().flat_map(|p| p[4..].iter().copied()).collect();
        assert_eq!(bytes.remove(0), 0, "pointer_field");
        let length = usize::from(u16::from_be_bytes([bytes[1] & 0x0F, bytes[2]])) + 3;
        assert!(bytes.split_off(length).iter().all(|&b| b == 0xFF));
        bytes
    }

    #[test]
    fn the_crc_of_every_section_checks_to_zero() {
        let settings = Settings { service_name: "Étoile ".repeat(60), ..Settings::default() };
        for (packets, count) in [(pat(&settings), 1), (pmt(&settings), 1), (sdt(&settings), 2)] {
            assert_eq!(packets.len(), count);
            let section = joined(&packets);
            assert_eq!(crc32(&section), 0);
            assert_eq!(section[5], 0xC1, "version 0, current");
            assert!(packets.iter().skip(1).all(|p| p[1] & 0x40 == 0));
        }
    }

    #[test]
    fn the_pmt_names_the_streams_it_is_set_to() {
        let with = joined(&pmt(&Settings::default()));
        assert_eq!(with[12..17], [0x02, 0xE1, 0x00, 0xF0, 0x00]);
        assert_eq!(with[17..28], [0x03, 0xE1, 0x01, 0xF0, 0x06, 0x0A, 0x04, b'e', b'n', b'g', 0x00]);
        let without = joined(&pmt(&Settings { audio: false, ..Settings::default() }));
        assert_eq!(without.len(), with.len() - 11);
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let text = dvb_text(&"é".repeat(300));
        assert_eq!(text.len(), 199);
        assert_eq!(core::str::from_utf8(&text[1..]), Ok("é".repeat(99).as_str()));
        assert_eq!(dvb_text("Plain"), b"Plain");
    }
}
