//! The doors of the REST API: sockets, TLS, and what is served behind each.
//!
//! A handshake that hangs holds up nobody else. Answers for `RestServer.createConnectors`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use connect_api::{Error, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Api, admin_app, app, tls};
use crate::config::{Listener, WorkerConfig};

/// How long a client may take for its side of a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Finished handshakes that wait to be served.
const WAITING: usize = 64;

/// What is behind a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// All of the API.
    Everything,
    /// `/admin/loggers` alone.
    Administration,
}

/// A bound listener.
pub struct Door {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    behind: Behind,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

impl Door {
    /// The port that it is bound to.
    pub fn port(&self) -> u16 {
        self.socket.local_addr().map_or(0, |address| address.port())
    }
}

/// Binds all listeners of a worker: those of the API first, then those of its administration.
///
/// # Errors
/// An address cannot be bound, or TLS cannot be had.
pub async fn open(config: &WorkerConfig) -> Result<Vec<Door>> {
    let mut doors = Vec::new();
    for listener in &config.listeners {
        doors.push(bind(config, listener, Behind::Everything).await?);
    }
    for listener in config.admin_listeners.iter().flatten() {
        doors.push(bind(config, listener, Behind::Administration).await?);
    }
    Ok(doors)
}

async fn bind(config: &WorkerConfig, listener: &Listener, behind: Behind) -> Result<Door> {
    let prefix = match behind {
        Behind::Everything => "listeners.https.",
        Behind::Administration => "admin.listeners.https.",
    };
    let tls = match listener.tls {
        true => Some(tls::acceptor(config, prefix)?),
        false => None,
    };
    let host = match listener.host.as_str() {
        "" => "0.0.0.0",
        host => host,
    };
    let address = match host.contains(':') {
        true => format!("[{host}]:{}", listener.port),
        false => format!("{host}:{}", listener.port),
    };
    let socket = TcpListener::bind(&address).await.map_err(|error| {
        Error::fatal(format!("binding the REST API to {address}")).with_source(error)
    })?;
    Ok(Door {
        socket,
        tls,
        behind,
    })
}

/// Serves what is behind a door until `shutdown` completes; requests under way are answered.
///
/// # Errors
/// The server fails.
pub async fn serve(
    door: Door,
    api: Api,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let router = match door.behind {
        Behind::Everything => app(api),
        Behind::Administration => admin_app(api),
    };
    let service = router.into_make_service_with_connect_info::<Peer>();
    axum::serve(Incoming::new(door), service)
        .with_graceful_shutdown(shutdown)
        .await
        .map_err(|error| Error::fatal("serving the REST API").with_source(error))
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// Whether it came by TLS.
    pub(super) tls: bool,
}

impl Connected<IncomingStream<'_, Incoming>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Incoming>) -> Self {
        Self {
            address: *stream.remote_addr(),
            tls: matches!(stream.io(), Stream::Tls(_)),
        }
    }
}

/// Connections as they become ready to be served.
struct Incoming {
    address: io::Result<SocketAddr>,
    ready: mpsc::Receiver<(Stream, SocketAddr)>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Incoming {
    fn new(door: Door) -> Self {
        let address = door.socket.local_addr();
        let (sender, ready) = mpsc::channel(WAITING);
        let accepting = tokio::spawn(accept(door.socket, door.tls, sender));
        Self {
            address,
            ready,
            accepting,
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    ready: mpsc::Sender<(Stream, SocketAddr)>,
) {
    loop {
        let (stream, address) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: others will be closed.
                tracing::warn!(%error, "accepting a connection of the REST API");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "sending answers of the REST API at once");
        }
        match &tls {
            None => {
                if ready.send((Stream::Plain(stream), address)).await.is_err() {
                    return;
                }
            }
            Some(tls) => {
                let handshake = tls.accept(stream);
                let ready = ready.clone();
                tokio::spawn(async move {
                    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                        Ok(Ok(stream)) => {
                            drop(ready.send((Stream::Tls(Box::new(stream)), address)).await);
                        }
                        Ok(Err(error)) => {
                            tracing::debug!(%address, %error, "TLS handshake of the REST API");
                        }
                        Err(_) => {
                            tracing::debug!(%address, "TLS handshake of the REST API took too long");
                        }
                    }
                });
            }
        }
    }
}

impl axum::serve::Listener for Incoming {
    type Io = Stream;
    type Addr = SocketAddr;
    async fn accept(&mut self) -> (Stream, SocketAddr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // Accepting never ends before this is dropped.
            None => std::future::pending().await,
        }
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.address {
            Ok(address) => Ok(*address),
            Err(error) => Err(error.kind().into()),
        }
    }
}

/// A connection.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
