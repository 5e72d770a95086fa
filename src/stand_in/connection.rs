//! Connection: a listening socket that can be shut for a while, and connections that can be cut.
//!
//! HTTP frameworks answer every request; a service that dies does not. Cutting happens below them: a cut
//! connection takes no byte more, so the client sees what it would see of a crash.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::clock::Tick;

/// How long the door stays shut, counted from when that was said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shut {
    since: Tick,
    lasts: Duration,
}

/// The listening socket. While it is shut nobody listens, and connections are refused.
pub(super) struct Door {
    address: SocketAddr,
    listener: Option<TcpListener>,
    shut: watch::Receiver<Option<Shut>>,
}

/// One connection.
pub(super) struct Wire {
    stream: TcpStream,
    cut: Cut,
}

/// The scissors for one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Cut(Arc<AtomicBool>);

// === impl Shut ===

impl Shut {
    pub(super) fn for_seconds(seconds: f64) -> Option<Self> {
        let lasts = Duration::try_from_secs_f64(seconds).ok().filter(|lasts| !lasts.is_zero())?;
        Some(Self { since: Tick::now(), lasts })
    }

    pub(super) fn remaining(self) -> Duration {
        self.lasts.saturating_sub(self.since.elapsed())
    }
}

// === impl Door ===

impl Door {
    pub(super) fn new(listener: TcpListener, shut: watch::Receiver<Option<Shut>>) -> io::Result<Self> {
        Ok(Self { address: listener.local_addr()?, listener: Some(listener), shut })
    }

    fn shut_for(&mut self) -> Duration {
        self.shut.borrow_and_update().map_or(Duration::ZERO, Shut::remaining)
    }

    /// A listening socket, or a moment's wait when somebody else sits on the address.
    async fn listener(&mut self) -> &TcpListener {
        loop {
            if self.listener.is_none() {
                self.listener = TcpListener::bind(self.address).await.ok();
            }
            match self.listener {
                Some(ref listener) => return listener,
                None => _ = tokio::time::timeout(Duration::from_millis(50), self.shut.changed()).await,
            }
        }
    }
}

impl Listener for Door {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            let shut_for = self.shut_for();
            if !shut_for.is_zero() {
                self.listener = None;
                _ = tokio::time::timeout(shut_for, self.shut.changed()).await;
                continue;
            }
            let mut changes = self.shut.clone();
            let accepted = tokio::select! {
                accepted = async { self.listener().await.accept().await } => accepted,
                Ok(()) = changes.changed() => continue,
            };
            if let Ok((stream, peer)) = accepted {
                _ = stream.set_nodelay(true);
                return (Wire { stream, cut: Cut::default() }, peer);
            }
            // Out of file handles, most likely: others must be given the time to close theirs.
            _ = tokio::time::timeout(Duration::from_millis(50), changes.changed()).await;
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

// === impl Cut ===

impl Cut {
    /// Cuts the connection: not a byte more goes either way.
    pub(super) fn now(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl Connected<IncomingStream<'_, Door>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().cut.clone()
    }
}

// === impl Wire ===

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
