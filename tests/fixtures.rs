//! The captures of `pcap-fixtures/`: each is made anew and compared, replayed and held to its journal, and each shows
//! what its README says.
#![allow(clippy::unwrap_used)]

mod incidents;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use changeover::replay::analyse;
use changeover::replay::report::Report;
use changeover::tr101290::Indicator;
use changeover::ts;

use incidents::scenes;
use incidents::verify::{Outcome, difference, folder, packets_of, run};

/// The input's own figures, taken from its flow of the committed capture.
fn analysed(outcome: &Outcome, input: usize) -> Report {
    let path = folder().join(format!("{}.pcapng", outcome.incident.name));
    let flow: SocketAddr = outcome.incident.flows[input].destination;
    analyse::capture(&path, Some(flow), |_| {}).unwrap()
}

fn seconds(value: &serde_json::Value) -> f64 {
    value.as_f64().unwrap()
}

/// From the end of the last datagram of an input before `decided` to that moment.
fn silence(outcome: &Outcome, input: usize, decided: f64) -> f64 {
    let datagrams = outcome.incident.flows[input].stream.0.iter().map(|datagram| outcome.incident.seconds(datagram.at));
    decided - datagrams.filter(|at| *at <= decided).fold(f64::MIN, f64::max)
}

#[test]
fn a_silent_main_is_left_after_its_200_ms_and_returned_to() {
    let outcome = run(scenes::silent_main());
    assert_eq!(outcome.switches(), [("backup", "input_loss"), ("main", "failback")]);
    let away = outcome.events("switch")[1];
    let silence = silence(&outcome, 0, seconds(&away["decided"]));
    // the journal's times are in whole microseconds, rounded down
    assert!((0.199_999..=0.205).contains(&silence), "decided after {silence} s");
    // a switch is complete with the first packet of the backup
    assert!(seconds(&away["t"]) - seconds(&away["decided"]) < 0.020, "{away}");
}

#[test]
fn continuity_errors_are_borne_up_to_their_limit() {
    let outcome = run(scenes::continuity_errors());
    assert_eq!(outcome.switches(), [("backup", "continuity_count_error"), ("main", "failback")]);
    assert_eq!(outcome.events("raised")[0]["value"], 6, "the first above 5");
    assert_eq!(analysed(&outcome, 0).indicators.report(Indicator::ContinuityCountError).count, 12);
}

#[test]
fn a_video_that_vanishes_is_missed_after_its_time() {
    let outcome = run(scenes::pid_loss());
    assert_eq!(outcome.switches(), [("backup", "pid_error"), ("main", "failback")]);
    let [raised] = outcome.raised("main", "pid_error")[..] else { panic!("raised once") };
    assert_eq!(outcome.raised("main", "input_loss"), [0.0; 0], "the rest goes on");
    assert!(outcome.raised("main", "pcr_repetition_error")[0] > raised, "the PCR's limit is longer");
}

#[test]
fn a_pat_and_a_pmt_that_stop_are_missed() {
    let outcome = run(scenes::pat_pmt_loss());
    assert_eq!(outcome.switches(), [("backup", "pat_error_2"), ("main", "failback"), ("backup", "pmt_error_2")]);
}

#[test]
fn rtp_in_another_order_and_twice_comes_out_as_it_was_sent() {
    let outcome = run(scenes::rtp_reorder());
    assert_eq!(outcome.switches(), []);
    let mut sent = outcome.incident.flows[0].stream.clone();
    sent.0.sort_by_key(|datagram| datagram.bytes[2..4].to_vec());
    sent.0.dedup_by(|a, b| a.bytes == b.bytes);
    assert!(packets_of(&sent).eq(outcome.packets().copied()));
    let transport = analysed(&outcome, 0).transport.unwrap();
    assert_eq!((transport.rtp_lost, transport.rtp_restarts), (0, 0));
    assert!(transport.rtp_reordered > 30 && transport.rtp_late > 30, "{transport:?}");
}

#[test]
fn rtp_that_never_comes_is_counted_and_left() {
    let outcome = run(scenes::rtp_loss());
    assert_eq!(outcome.switches(), [("backup", "rtp_loss"), ("main", "failback")]);
    assert_eq!(analysed(&outcome, 0).transport.unwrap().rtp_lost, 7);
}

#[test]
fn any_packing_goes_in_and_seven_packets_of_188_bytes_come_out() {
    let outcome = run(scenes::packing());
    assert_eq!(outcome.switches(), [("backup", "input_loss"), ("main", "failback")]);
    assert_eq!(outcome.mixed(), 1, "the return to the main feed falls into an output datagram");
    let full = outcome.out.iter().filter(|datagram| datagram.bytes.len() == 7 * 188).count();
    assert!(full * 3 > outcome.out.len(), "{full} of {} are full", outcome.out.len());
}

#[test]
fn clocks_and_sequence_numbers_that_wrap_at_the_cut_go_on() {
    let outcome = run(scenes::wrap());
    assert_eq!(outcome.switches(), [("backup", "input_loss")]);
    assert_eq!(outcome.events("clock_step").len(), 0);
    let pcr = |packet: &[u8; 188]| ts::Packet::new(packet).pcr();
    let pcrs = outcome.packets().zip(outcome.owners()).filter_map(|(packet, owner)| Some((pcr(packet)?.0, owner?)));
    let pcrs: Vec<(u64, usize)> = pcrs.collect();
    let wraps: Vec<[usize; 2]> = pcrs.windows(2).filter(|w| w[1].0 < w[0].0).map(|w| [w[0].1, w[1].1]).collect();
    assert_eq!(wraps, [[0, 1]], "the clock wraps from the main feed's last PCR to the backup's first");
    let [main, backup] = [0, 1].map(|input| analysed(&outcome, input).transport.unwrap());
    assert_eq!((main.rtp_restarts, backup.rtp_restarts, backup.rtp_lost), (0, 0, 0));
}

#[test]
fn an_output_without_any_input_is_muted_and_comes_back() {
    let outcome = run(scenes::both_lost());
    let muted = seconds(&outcome.events("muted")[0]["t"]);
    let last = outcome.raised("backup", "input_loss")[0];
    assert!((0.999_999..=1.000_001).contains(&(muted - last)), "{muted} after {last}");
    let unmuted = seconds(&outcome.events("unmuted")[0]["t"]);
    let while_muted = outcome.out.iter().filter(|datagram| {
        #[allow(clippy::cast_precision_loss)]
        let at = datagram.at as f64 / 1e9;
        // a datagram that was not full leaves within its 10 ms
        at > muted + 0.010 && at < unmuted
    });
    assert_eq!(while_muted.count(), 0);
}

#[test]
fn an_input_that_flaps_is_not_returned_to_for_ever() {
    let outcome = run(scenes::ping_pong());
    let back_and_forth = [("backup", "input_loss"), ("main", "failback")];
    assert_eq!(outcome.switches(), [back_and_forth[0], back_and_forth[1], back_and_forth[0]]);
    assert_eq!(outcome.raised("main", "input_loss").len(), 4);
    let [_, away, back, _] = outcome.events("switch")[..] else { panic!("four switches") };
    let stay = seconds(&back["decided"]) - seconds(&away["decided"]);
    assert!((0.499_999..=0.501).contains(&stay), "the dwell time decides, not the time of health: {stay} s");
}

#[test]
fn what_is_no_transport_stream_is_only_counted() {
    let outcome = run(scenes::foreign());
    assert_eq!(outcome.switches(), []);
    let first = seconds(&outcome.events("raised")[0]["t"]);
    assert!(first > outcome.summary.seconds, "nothing is raised before the capture ends");
    let mut good = outcome.incident.flows[0].stream.clone();
    good.0.retain(|datagram| datagram.bytes.len() >= 7 * 188);
    assert!(packets_of(&good).eq(outcome.packets().copied()));
    let transport = analysed(&outcome, 0).transport.unwrap();
    assert!(transport.foreign > 80 && transport.odd > 10, "{transport:?}");
}

#[test]
fn ipv6_is_switched_like_ipv4() {
    let outcome = run(scenes::ipv6());
    assert_eq!(outcome.switches(), [("backup", "input_loss"), ("main", "failback")]);
}

#[test]
fn of_two_that_are_unhealthy_the_less_bad_is_on_air() {
    let outcome = run(scenes::least_bad());
    assert_eq!(outcome.switches(), [("backup", "least_bad"), ("main", "pcr_repetition_error")]);
}

/// No file lies there of which nobody knows what it is for, and the README tells of each fixture.
#[test]
fn the_folder_holds_the_fixtures_and_their_readme() {
    let mut expected: BTreeSet<String> = [".gitattributes", "README.md"].map(String::from).into();
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for incident in scenes::all() {
        let name = incident.name;
        assert!(readme.contains(&format!("| `{name}` |")), "{name} is not in the README");
        expected.extend(["journal", "pcapng", "yaml"].map(|end| format!("{name}.{end}")));
    }
    let found: BTreeSet<String> =
        folder().read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_difference_names_the_line_and_both_texts() {
    let old: String = (1..=20).map(|n| format!("line {n}\n")).collect();
    assert_eq!(difference(&old, &old), None);
    let new = old.replace("line 7\n", "line seven\n").replace("line 8\n", "");
    let expected = "from line 7 on\n  expected line 7\n  expected line 8\n  got      line seven\n";
    assert_eq!(difference(&old, &new).unwrap(), expected);
    let text = difference("", &old).unwrap();
    assert!(text.contains("expected nothing") && text.contains("and 8 lines more"), "{text}");
}
