//! A TCP relay between a worker and its database: it can be pointed at another server, as a floating
//! address is after a failover, and it can cut connections, also in the middle of a message.

use crate::Outcome;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A running relay; it ends with the process.
#[derive(Debug, Clone)]
pub struct Relay {
    /// The port to connect to, on 127.0.0.1.
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    target: AtomicU16,
    /// How many more bytes of the server's pass before all connections are cut; negative for no end.
    left: AtomicI64,
    cuts: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// Stands before the server at 127.0.0.1 and this port.
    pub fn start(target: u16) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let relay = Self {
            port: listener.local_addr()?.port(),
            shared: Arc::new(Shared {
                target: AtomicU16::new(target),
                left: AtomicI64::new(-1),
                ..Shared::default()
            }),
        };
        let shared = Arc::clone(&relay.shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that is not there is the client's to notice.
                drop(shared.connect(client));
            }
        });
        Ok(relay)
    }

    /// Cuts what is open; new connections go to the server at this port.
    pub fn point_at(&self, target: u16) {
        self.shared.target.store(target, Ordering::Relaxed);
        self.shared.cut();
    }

    /// Cuts all connections once the servers have sent so many more bytes, be it inside a message.
    pub fn cut_after(&self, bytes: i64) {
        self.shared.left.store(bytes, Ordering::Relaxed);
    }

    /// How often it has cut.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, client: TcpStream) -> Outcome<()> {
        let server = TcpStream::connect(("127.0.0.1", self.target.load(Ordering::Relaxed)))?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|socket| socket.peer_addr().is_ok());
        open.extend([client.try_clone()?, server.try_clone()?]);
        drop(open);
        let (up_from, up_to) = (client.try_clone()?, server.try_clone()?);
        std::thread::spawn(move || pass(up_from, up_to, |_| None));
        let shared = Arc::clone(self);
        std::thread::spawn(move || pass(server, client, |length| shared.allowed(length)));
        Ok(())
    }

    /// How many of the next bytes pass before the cut; none if all do.
    fn allowed(&self, length: usize) -> Option<usize> {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let take =
            |left: i64| (left >= 0).then_some(if left > length { left - length } else { -1 });
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .ok()?;
        if before > length {
            return None;
        }
        self.cut();
        self.cuts.fetch_add(1, Ordering::Relaxed);
        usize::try_from(before).ok()
    }

    fn cut(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for socket in open.drain(..) {
            // It may be closed already.
            drop(socket.shutdown(Shutdown::Read));
        }
    }
}

/// Copies until either side ends, or until `allowed` says how much of the last piece still passes.
fn pass(mut from: TcpStream, mut to: TcpStream, allowed: impl Fn(usize) -> Option<usize>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length) = from.read(&mut buffer)
        && length > 0
    {
        let limit = allowed(length);
        let piece = buffer.get(..limit.unwrap_or(length)).unwrap_or_default();
        if to.write_all(piece).is_err() || limit.is_some() {
            break;
        }
    }
    for socket in [&from, &to] {
        drop(socket.shutdown(Shutdown::Both));
    }
}
