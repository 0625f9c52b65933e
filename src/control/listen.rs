//! Connections of the HTTP API: taken, bounded in number and time, and let go.
//!
//! Whoever connects can hold one of [`Limits::connections`] places for at most [`Limits::life`], and for
//! [`Limits::header`] without having sent a whole request header: a client that is slow, on purpose or not, never
//! holds the others up for longer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// What a client may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// How long a request header may take to arrive, which is also how long an idle connection stays open.
    pub header: Duration,
    /// How long a request may take from its header to its response.
    pub request: Duration,
    /// How long a connection may live, however busy it is.
    pub life: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            header: Duration::from_secs(5),
            request: Duration::from_secs(10),
            life: Duration::from_secs(60),
        }
    }
}

/// The most bytes of a request's header.
const HEADER_BYTES: usize = 16 * 1024;

/// Answers everybody who connects to `listener` with `app`, until `stop` becomes true.
pub async fn serve(listener: TcpListener, app: Router, limits: Limits, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (app, stop) = (app.clone(), stop.clone());
                tokio::spawn(async move {
                    converse(stream, app, limits, stop).await;
                    drop(place);
                });
            }
            // Out of descriptors, or a client that was gone before it was taken: there may be another in a moment.
            Err(error) => {
                tracing::debug!(%error, "HTTP API: a connection could not be taken");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, app: Router, limits: Limits, mut stop: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(%error, "HTTP API: a connection ended badly");
            }
            return;
        }
        () = sleep(limits.life) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits.request, connection).await;
}
