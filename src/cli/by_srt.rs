//! What `analyse` does for a source by SRT besides receiving it.

use std::path::Path;

use changeover::config::{Backend, InputPlan, SrtSource};
use changeover::plane::{Receiver, SrtFigures, SrtState, SrtStatus, What};
use changeover::replay::report::SrtReport;

use super::Status;
use super::output::complain;

/// Whether a source is a URL of SRT.
pub(super) fn is_srt(source: &str) -> bool {
    source.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("srt"))
}

/// How a URL is received, with a passphrase from a file or an environment variable.
pub(super) fn plan(url: &str, file: Option<&Path>, variable: Option<&str>) -> Result<InputPlan, Status> {
    let file = file.map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
    let file = file.as_ref().map(|file| file.to_string_lossy());
    let source = SrtSource::of(url, file.as_deref(), variable).map_err(|errors| {
        for error in errors {
            complain(format_args!("changeover: {error}"));
        }
        Status::Usage
    })?;
    if source.is_exposed {
        complain(format_args!(
            "changeover: warning: a passphrase on the command line is read by whoever lists this machine's processes: name a \
             file of it with --passphrase-file, or a variable with --passphrase-env"
        ));
    }
    for warning in source.warnings {
        complain(format_args!("changeover: warning: {warning}"));
    }
    Ok(source.plan)
}

/// What happened to the connection since it was last asked, in sentences.
pub(super) fn told(receiver: &Receiver, url: &str) -> Vec<String> {
    let words = |what: What| match what {
        What::Up { peer, stream_id } => match stream_id {
            Some(id) => format!("{url}: connected with {peer}, stream id {id:?}"),
            None => format!("{url}: connected with {peer}"),
        },
        What::Down { peer, reason } => format!("{url}: the connection with {peer} ended: {reason}"),
        What::Refused { peer, reason, .. } => format!("{url}: {peer} was turned away: {reason}"),
        What::Failed { reason } => format!("{url}: not connected: {reason}; it is tried again"),
        What::Member { peer, state, .. } => format!("{url}: the way by {peer} {state}"),
    };
    receiver.srt_events().map(|event| words(event.what)).collect()
}

/// What came of a source by SRT; the figures of the last connection are kept when it ends.
#[derive(Debug, Default)]
pub(super) struct Connection(SrtReport);

impl Connection {
    /// Looks how it stands.
    pub(super) fn look(&mut self, status: &SrtStatus) {
        let SrtStatus { state, backend, connections, connected, refused, overflow, .. } = status;
        let report = &mut self.0;
        report.backend = match backend {
            Some(Backend::Libsrt) => "libsrt",
            Some(Backend::Rsrt | Backend::Auto) | None => "rsrt",
        };
        report.up = *state == SrtState::Up;
        (report.connected, report.refused, report.overflow) = (*connected, *refused, *overflow);
        if let Some(figures) = connections.iter().flatten().next() {
            self.fill(figures);
        }
    }

    fn fill(&mut self, figures: &SrtFigures) {
        self.0 = SrtReport {
            peer: Some(figures.peer.to_string()),
            encryption: Some(match figures.key_length {
                16 => "AES-128",
                24 => "AES-192",
                32 => "AES-256",
                _ => "none",
            }),
            latency_ms: Some(figures.latency.millis()),
            rtt_ms: Some(figures.rtt.millis()),
            packets: Some(figures.packets),
            lost: Some(figures.lost),
            retransmitted: Some(figures.retransmitted),
            unrecovered: Some(figures.dropped),
            undecrypted: Some(figures.undecrypted),
            ..std::mem::take(&mut self.0)
        };
    }

    /// As it was when it was last looked.
    pub(super) fn report(&self) -> SrtReport {
        self.0.clone()
    }
}
