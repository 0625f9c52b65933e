//! What libsrt 1.5 lays out in memory.

use std::ffi::{c_int, c_void};
use std::ptr;

/// `SRT_MSGCTRL`.
#[repr(C)]
pub(super) struct MessageControl {
    pub(super) flags: c_int,
    pub(super) ttl_ms: c_int,
    pub(super) in_order: c_int,
    pub(super) boundary: c_int,
    pub(super) source_time: i64,
    pub(super) sequence: i32,
    pub(super) number: i32,
    pub(super) group: *mut c_void,
    pub(super) group_size: usize,
}

/// `SRT_EPOLL_EVENT`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Event {
    pub(super) socket: c_int,
    pub(super) events: c_int,
}

/// `SRT_TRACEBSTATS`, all that has happened to a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Statistics {
    pub(super) age_ms: i64,
    pub(super) sent: i64,
    pub(super) received: i64,
    pub(super) send_lost: c_int,
    pub(super) receive_lost: c_int,
    pub(super) sent_again: c_int,
    pub(super) acks_sent: c_int,
    pub(super) acks_received: c_int,
    pub(super) naks_sent: c_int,
    pub(super) naks_received: c_int,
    pub(super) sending_us: i64,
    pub(super) send_dropped: c_int,
    pub(super) receive_dropped: c_int,
    pub(super) undecrypted: c_int,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_receive_lost: u64,
    pub(super) bytes_sent_again: u64,
    pub(super) bytes_send_dropped: u64,
    pub(super) bytes_receive_dropped: u64,
    pub(super) bytes_undecrypted: u64,
    /// The same since the last call that cleared them.
    pub(super) part: Part,
    pub(super) send_period_us: f64,
    pub(super) flow_window: c_int,
    pub(super) congestion_window: c_int,
    pub(super) flight: c_int,
    pub(super) rtt_ms: f64,
    pub(super) bandwidth_mbps: f64,
    pub(super) send_room: c_int,
    pub(super) receive_room: c_int,
    pub(super) limit_mbps: f64,
    pub(super) mss: c_int,
    pub(super) send_buffer_packets: c_int,
    pub(super) send_buffer_bytes: c_int,
    pub(super) send_buffer_ms: c_int,
    pub(super) send_latency_ms: c_int,
    pub(super) receive_buffer_packets: c_int,
    pub(super) receive_buffer_bytes: c_int,
    pub(super) receive_buffer_ms: c_int,
    pub(super) receive_latency_ms: c_int,
    filter: [c_int; 8],
    pub(super) reorder_tolerance: c_int,
    pub(super) unique_sent: i64,
    pub(super) unique_received: i64,
    pub(super) unique_bytes_sent: u64,
    pub(super) unique_bytes_received: u64,
    unique_part: [i64; 4],
    /// What a later 1.5 may add.
    spare: [u64; 32],
}

/// The part of the statistics that is since they were last cleared.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) sent: i64,
    pub(super) received: i64,
    pub(super) send_lost: c_int,
    pub(super) receive_lost: c_int,
    pub(super) sent_again: c_int,
    pub(super) received_again: c_int,
    acks_and_naks: [c_int; 4],
    pub(super) send_mbps: f64,
    pub(super) receive_mbps: f64,
    sending_us: i64,
    reorder_distance: c_int,
    belated_ms: f64,
    belated: i64,
    dropped: [c_int; 3],
    bytes: [u64; 7],
}

impl MessageControl {
    /// As `srt_msgctrl_init` has it: a message that never expires, whole, and sent now.
    pub(super) fn new() -> Self {
        Self {
            flags: 0,
            ttl_ms: -1,
            in_order: 0,
            boundary: 0,
            source_time: 0,
            sequence: -1,
            number: -1,
            group: ptr::null_mut(),
            group_size: 0,
        }
    }
}

/// `SRT_SOCKGROUPCONFIG`: a way that a group is to call by.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct MemberConfig {
    pub(super) socket: c_int,
    pub(super) from: libc::sockaddr_storage,
    pub(super) to: libc::sockaddr_storage,
    pub(super) weight: u16,
    pub(super) options: *mut c_void,
    pub(super) error: c_int,
    pub(super) token: c_int,
}

/// `SRT_SOCKGROUPDATA`: how a way of a group stands.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct MemberData {
    pub(super) socket: c_int,
    pub(super) peer: libc::sockaddr_storage,
    pub(super) state: c_int,
    pub(super) weight: u16,
    /// `SRT_MEMBERSTATUS`.
    pub(super) status: c_int,
    pub(super) result: c_int,
    pub(super) token: c_int,
}
