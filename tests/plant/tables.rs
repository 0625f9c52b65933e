//! The tables of the clean stream, as sections with their CRC_32, and sections of any other kind.

use mpeg2ts_reader::mpegts_crc::sum32;

use super::{AUDIO, DATA, ECM, ECM_AUDIO, EMM, PMT_1, PMT_2, VIDEO, VIDEO_2};

/// stream_type, elementary_PID, descriptors.
pub type Listed = (u8, u16, &'static [u8]);

/// What the first program's PMT lists: MPEG-2 video, MPEG-1 audio with an ECM of its own, private PES.
pub const STREAMS_1: [Listed; 3] =
    [(0x02, VIDEO, &[]), (0x03, AUDIO, &[0x09, 4, 0x0B, 0, 0xE1, ECM_AUDIO as u8]), (0x06, DATA, &[])];

/// A section with the long syntax, version 0 and current.
pub fn long(table_id: u8, extension: u16, section_number: u8, last: u8, body: &[u8]) -> Vec<u8> {
    let mut section = vec![table_id];
    section.extend((0xB000 | (body.len() + 9) as u16).to_be_bytes());
    section.extend(extension.to_be_bytes());
    section.extend([0xC1, section_number, last]);
    section.extend(body);
    seal(section)
}

/// A section with the short syntax and no CRC_32, as a TDT.
pub fn short(table_id: u8, body: &[u8]) -> Vec<u8> {
    [&[table_id, 0x70, body.len() as u8], body].concat()
}

/// A CRC_32 behind it.
pub fn seal(mut section: Vec<u8>) -> Vec<u8> {
    section.extend(sum32(&section).to_be_bytes());
    section
}

/// A PAT section of programs, 0 for the network.
pub fn pat(section_number: u8, last: u8, programs: &[(u16, u16)]) -> Vec<u8> {
    let entry = |&(number, pid): &(u16, u16)| [number.to_be_bytes(), (0xE000 | pid).to_be_bytes()].concat();
    long(0x00, 1, section_number, last, &programs.iter().flat_map(entry).collect::<Vec<_>>())
}

pub fn both_programs() -> Vec<u8> {
    pat(0, 0, &[(0, 0x10), (1, PMT_1), (2, PMT_2)])
}

/// CA_descriptors for these PIDs.
pub fn conditional_access(pids: &[u16]) -> Vec<u8> {
    let descriptor = |&pid: &u16| [&[0x09, 4, 0x0B, 0][..], &(0xE000 | pid).to_be_bytes()].concat();
    pids.iter().flat_map(descriptor).collect()
}

pub fn cat(pids: &[u16]) -> Vec<u8> {
    long(0x01, 0xFFFF, 0, 0, &conditional_access(pids))
}

pub fn pmt(program: u16, pcr_pid: u16, ecm_pids: &[u16], streams: &[Listed]) -> Vec<u8> {
    let access = conditional_access(ecm_pids);
    let mut body = (0xE000 | pcr_pid).to_be_bytes().to_vec();
    body.extend((0xF000 | access.len() as u16).to_be_bytes());
    body.extend(access);
    for &(stream_type, pid, descriptors) in streams {
        body.push(stream_type);
        body.extend((0xE000 | pid).to_be_bytes());
        body.extend((0xF000 | descriptors.len() as u16).to_be_bytes());
        body.extend(descriptors);
    }
    long(0x02, program, 0, 0, &body)
}

/// The first program's PMT with these streams.
pub fn pmt_1(streams: &[Listed]) -> Vec<u8> {
    pmt(1, VIDEO, &[ECM], streams)
}

/// The second program's PMT with this PCR_PID.
pub fn pmt_2(pcr_pid: u16) -> Vec<u8> {
    pmt(2, pcr_pid, &[], &[(0x1B, VIDEO_2, &[])])
}

/// An SDT of service 1, which says that it has the present and the following event, or not.
pub fn sdt(table_id: u8, extension: u16, events: bool) -> Vec<u8> {
    long(table_id, extension, 0, 0, &[0xFF, 1, 0xFF, 0, 1, 0xFC | u8::from(events), 0x80, 0])
}

/// An EIT of service 1 with no event in it.
pub fn eit(table_id: u8, section_number: u8) -> Vec<u8> {
    long(table_id, 1, section_number, 1, &[0, 1, 0xFF, 1, 1, table_id])
}

/// The tables that the stream has once.
pub fn nit(table_id: u8, network: u16) -> Vec<u8> {
    long(table_id, network, 0, 0, &[0xF0, 0, 0xF0, 0])
}

pub fn bat() -> Vec<u8> {
    long(0x4A, 7, 0, 0, &[0xF0, 0, 0xF0, 0])
}

const UTC: [u8; 5] = [0xE9, 0x9C, 0x12, 0x00, 0x00];

pub fn tdt() -> Vec<u8> {
    short(0x70, &UTC)
}

/// It has a CRC_32 and the short syntax (EN 300 468 5.2.6).
pub fn tot() -> Vec<u8> {
    seal([&[0x73, 0x70, 11][..], &UTC, &[0xF0, 0]].concat())
}

pub fn emm_cat() -> Vec<u8> {
    cat(&[EMM])
}
