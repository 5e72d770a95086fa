//! Window to the street: the listening socket with metrics, health and the live page.
//!
//! It reads the shared board and nothing else, changes nothing, and shows no person: whoever can open
//! the page learns what flows, never to whom.

mod health;
mod live;
mod rates;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock;
use crate::store::view::Board;
pub use health::{Health, Limits};
pub use rates::Rates;

/// What the window shows.
#[derive(Clone)]
pub struct Window {
    /// What the lanes have done.
    pub board: Arc<Board>,
    /// The metrics as Prometheus reads them.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// A link to the stand-in's inboxes.
    pub inbox: Option<String>,
    /// From when on silence is a fault.
    pub limits: Limits,
}

/// The socket cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}")]
pub struct CannotListen {
    address: SocketAddr,
    setting: &'static str,
    reason: io::Error,
}

/// What every answer is made from.
#[derive(Clone)]
struct Shared {
    window: Window,
    rates: Arc<Rates>,
    stopping: watch::Receiver<bool>,
}

// === impl CannotListen ===

impl CannotListen {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let setting = self.setting;
        match self.reason.kind() {
            io::ErrorKind::AddrInUse => {
                format!("another process listens there: set `{setting}` to another port")
            }
            io::ErrorKind::PermissionDenied => {
                format!("ports below 1024 need rights: set `{setting}` to a higher one")
            }
            _ => format!("set `{setting}` to an address of this machine"),
        }
    }
}

/// Opens the socket that `setting` names; port 0 takes a free one.
///
/// # Errors
/// [`CannotListen`].
pub async fn listen(address: SocketAddr, setting: &'static str) -> Result<TcpListener, CannotListen> {
    TcpListener::bind(address).await.map_err(|reason| CannotListen { address, setting, reason })
}

/// Answers until `stop` is done; then lets open answers finish and ends the live streams.
///
/// # Errors
/// What the socket says when it breaks.
pub async fn serve(
    listener: TcpListener,
    window: Window,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopped, stopping) = watch::channel(false);
    let rates = Arc::new(Rates::default());
    let sampling = tokio::spawn(sample(Arc::clone(&rates), Arc::clone(&window.board), stopping.clone()));
    let shared = Shared { window, rates, stopping };
    let signal = async move {
        stop.await;
        // Live streams never end by themselves and would keep the server for ever.
        let _ = stopped.send(true);
    };
    let served = axum::serve(listener, router(shared)).with_graceful_shutdown(signal).await;
    sampling.abort();
    served
}

async fn sample(rates: Arc<Rates>, board: Arc<Board>, mut stopping: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(rates::SAMPLE_EVERY);
    loop {
        tokio::select! {
            _ = every.tick() => rates.sample(&board.snapshot(clock::now())),
            _ = stopping.changed() => return,
        }
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(live::page))
        .route("/metrics", get(metrics))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/api/flow", get(live::flow))
        .route("/api/events", get(live::events))
        .fallback(|| async {
            (StatusCode::NOT_FOUND, "there is /, /metrics, /livez, /readyz and /api/flow\n")
        })
        .with_state(shared)
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, (shared.window.metrics)()).into_response()
}

/// Headers of a page that loads nothing from elsewhere and is shown inside nothing else.
const PAGE_HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];
