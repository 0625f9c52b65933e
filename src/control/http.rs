//! The HTTP API: what runs, as JSON and as metrics, and the way to take an input.
//!
//! It listens on a loopback address, and a browser on the same machine is no way in: a request has to name a loopback
//! host (a page of elsewhere whose name was rebound to 127.0.0.1 names its own), and one that changes something has to
//! be `application/json`, which a page of elsewhere cannot send without being allowed to. Every error is JSON with a
//! member `error`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{interval, timeout};

use super::metrics;
use super::notify::Pulse;
use super::rack::Rack;
use super::take::{self, Refusal};
use super::view::{ChannelView, RackView};

/// The most bytes of a request's body.
pub const BODY_LIMIT: usize = 64 * 1024;

/// Everything that is answered. A request that took longer than `limit` is given up.
pub fn router(rack: Arc<Rack>, limit: Duration) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(openmetrics))
        .route("/api/v1/channels", get(channels))
        .route("/api/v1/channels/{name}", get(channel))
        .route("/api/v1/channels/{name}/take", post(take))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn(only_to_loopback))
        .layer(middleware::from_fn(move |request: Request, next: Next| async move {
            match timeout(limit, next.run(request)).await {
                Ok(response) => response,
                Err(_) => error(StatusCode::REQUEST_TIMEOUT, "the request did not arrive whole in time"),
            }
        }))
        .with_state(rack)
}

/// How long a shard may stand still before it counts as dead; ten times as long as it may be between two snapshots.
const STANDSTILL: Duration = Duration::from_secs(1);

/// Whether the data plane moves on, which is seen from the rounds of every shard.
async fn healthz(State(rack): State<Arc<Rack>>) -> Response {
    let mut pulse = Pulse::default();
    pulse.beats(&rack.snapshots());
    let beat = async {
        let mut often = interval(Duration::from_millis(20));
        while !pulse.beats(&rack.snapshots()) {
            often.tick().await;
        }
    };
    match timeout(STANDSTILL, beat).await {
        Ok(()) => Json(json!({ "status": "ok" })).into_response(),
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "the data plane stands still"),
    }
}

async fn openmetrics(State(rack): State<Arc<Rack>>) -> Response {
    match metrics::openmetrics(&rack) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written"),
    }
}

async fn channels(State(rack): State<Arc<Rack>>) -> Response {
    Json(RackView::of(&rack)).into_response()
}

/// The name of a channel in a path.
type Name = Result<Path<String>, PathRejection>;

async fn channel(State(rack): State<Arc<Rack>>, name: Name) -> Response {
    let Ok(Path(name)) = name else { return bad_name() };
    match rack.channel(&name) {
        Some(channel) => Json(ChannelView::of(&rack, channel, &rack.snapshot(channel.shard))).into_response(),
        None => refuse(Refusal::no_such_channel(&rack, &name)),
    }
}

/// The body of a take.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Take {
    input: String,
}

async fn take(
    State(rack): State<Arc<Rack>>,
    name: Name,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Ok(Path(name)) = name else { return bad_name() };
    if !is_json(&headers) {
        return error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body has to be sent as `Content-Type: application/json`",
        );
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return error(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body may have {BODY_LIMIT} bytes at most"));
        }
        Err(rejection) => return error(rejection.status(), "the body could not be read"),
    };
    let wanted: Take = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(problem) => {
            let message = format!("the body is not what it has to be, like {{\"input\": \"backup\"}}: {problem}");
            return error(StatusCode::BAD_REQUEST, &message);
        }
    };
    match take::take(&rack, &name, &wanted.input).await {
        Ok(channel) => Json(channel).into_response(),
        Err(refusal) => refuse(refusal),
    }
}

async fn no_such_path(request: Request) -> Response {
    let body = json!({
        "error": format!("there is no `{}` here", request.uri().path()),
        "paths": [
            "GET /healthz",
            "GET /metrics",
            "GET /api/v1/channels",
            "GET /api/v1/channels/NAME",
            "POST /api/v1/channels/NAME/take",
        ],
    });
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

async fn no_such_method(request: Request) -> Response {
    let message = format!("`{}` cannot be {}ed", request.uri().path(), request.method());
    error(StatusCode::METHOD_NOT_ALLOWED, &message)
}

/// Lets only those requests on that were meant for this machine by whoever made them.
async fn only_to_loopback(request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return error(StatusCode::BAD_REQUEST, "the request has to have one `Host` header");
    };
    let named = host.to_str().is_ok_and(is_loopback);
    let asked = request.uri().authority().is_none_or(|authority| is_loopback(authority.as_str()));
    if named && asked {
        next.run(request).await
    } else {
        let message = "this API is for requests to a loopback host: localhost, 127.0.0.1 or [::1]";
        error(StatusCode::MISDIRECTED_REQUEST, message)
    }
}

/// Whether `host`, with or without a port, is this machine from its own inside. The port may be any, since that of a
/// tunnel is another.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        Some((_, "")) => return false,
        Some(_) | None => host,
    };
    if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_ipv6() && address.to_canonical().is_loopback());
    }
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4() && address.is_loopback())
}

/// Whether the body is said to be JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn bad_name() -> Response {
    error(StatusCode::BAD_REQUEST, "the name in the path is not UTF-8")
}

fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

fn refuse(refusal: Refusal) -> Response {
    let status = match &refusal {
        Refusal::NoSuchChannel { .. } | Refusal::NoSuchInput { .. } => StatusCode::NOT_FOUND,
        Refusal::Disabled { .. } | Refusal::Held { .. } | Refusal::NotTaken { .. } => StatusCode::CONFLICT,
        Refusal::QueueFull { .. } | Refusal::NoAnswer { .. } => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut body = ErrorBody { error: refusal.to_string(), ..ErrorBody::default() };
    match refusal {
        Refusal::NoSuchChannel { channels, .. } => body.channels = Some(channels),
        Refusal::NoSuchInput { inputs, .. } => body.inputs = Some(inputs),
        Refusal::NotTaken { state, .. } => body.channel = Some(state),
        Refusal::Disabled { .. } | Refusal::Held { .. } | Refusal::QueueFull { .. } | Refusal::NoAnswer { .. } => {}
    }
    (status, Json(body)).into_response()
}

/// An error, and what there is instead of what was asked for.
#[derive(Default, Serialize)]
struct ErrorBody {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<Box<ChannelView>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            ":",
            ":80",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8080",
            "10.0.0.1",
            "::1",
            "[::1",
            "[127.0.0.1]",
            "localhost:",
            "localhost:99999",
            "localhost:80:80",
            "[fe80::1]",
            "0.0.0.0",
            "user@localhost",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn json_is_json_with_or_without_parameters() {
        let headers = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            headers
        };
        assert!(is_json(&headers("application/json")));
        assert!(is_json(&headers("Application/JSON; charset=utf-8")));
        assert!(!is_json(&headers("text/plain")));
        assert!(!is_json(&headers("text/plain; application/json")));
        assert!(!is_json(&HeaderMap::new()));
    }
}
