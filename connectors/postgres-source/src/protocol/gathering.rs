//! A socket that lets small pieces gather before they are read.
//!
//! The server sends each row on its own, and a reader that keeps up would be woken for each. Where
//! little comes at a time, the socket leaves the event loop, which would wake for every packet even
//! while nobody reads, and is looked at by the clock until it is found empty:
//!
//! ```text
//!   registered --(a small read soon after another)--> apart: a read every GATHER
//!        ^                                                  |
//!        +-------------------(nothing there)----------------+
//! ```
//!
//! The first data after a silence is read at once. Off until it is switched on, for questions and
//! answers must not wait.

use std::io::{self, Read as _, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// How long pieces gather: what it may add to a row's way to Kafka.
const GATHER: Duration = Duration::from_millis(2);
/// Reads of this many bytes are worth their wakeup.
const GATHER_BELOW: usize = 16 * 1024;
/// Reads closer together than this are a stream and no single events.
const TRICKLE: Duration = Duration::from_millis(6);

/// Switches the gathering of a socket on.
pub(super) type GatherSwitch = Arc<AtomicBool>;

/// A TCP socket that can gather.
#[derive(Debug)]
pub(super) struct GatheringSocket {
    place: Place,
    switch: GatherSwitch,
    last_read: Option<Instant>,
}

#[derive(Debug)]
enum Place {
    Registered(TcpStream),
    Apart(std::net::TcpStream, Pin<Box<Sleep>>),
    /// Moving between the two failed.
    Lost,
}

impl GatheringSocket {
    pub(super) fn new(tcp: TcpStream, switch: GatherSwitch) -> Self {
        Self {
            place: Place::Registered(tcp),
            switch,
            last_read: None,
        }
    }

    fn part(&mut self) -> io::Result<()> {
        self.place = match std::mem::replace(&mut self.place, Place::Lost) {
            Place::Registered(tcp) => Place::Apart(tcp.into_std()?, Box::pin(sleep(GATHER))),
            other => other,
        };
        Ok(())
    }

    fn register(&mut self) -> io::Result<()> {
        self.place = match std::mem::replace(&mut self.place, Place::Lost) {
            Place::Apart(socket, _) => Place::Registered(TcpStream::from_std(socket)?),
            other => other,
        };
        Ok(())
    }
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the socket was lost")
}

impl AsyncRead for GatheringSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.place {
                Place::Registered(tcp) => {
                    let before = buffer.filled().len();
                    ready!(Pin::new(tcp).poll_read(cx, buffer))?;
                    let length = buffer.filled().len() - before;
                    if this.switch.load(Ordering::Relaxed) {
                        let now = Instant::now();
                        let last = this.last_read.replace(now);
                        let trickles = last.is_some_and(|last| now - last < TRICKLE);
                        if trickles && (1..GATHER_BELOW).contains(&length) {
                            this.part()?;
                        }
                    }
                    return Poll::Ready(Ok(()));
                }
                Place::Apart(socket, timer) => {
                    ready!(timer.as_mut().poll(cx));
                    match socket.read(buffer.initialize_unfilled()) {
                        Ok(length) => {
                            buffer.advance(length);
                            if length < GATHER_BELOW {
                                timer.as_mut().reset(Instant::now() + GATHER);
                            }
                            return Poll::Ready(Ok(()));
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            this.register()?;
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                Place::Lost => return Poll::Ready(Err(lost())),
            }
        }
    }
}

impl AsyncWrite for GatheringSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            match &mut this.place {
                Place::Registered(tcp) => return Pin::new(tcp).poll_write(cx, bytes),
                Place::Apart(socket, _) => match socket.write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => this.register()?,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    done => return Poll::Ready(done),
                },
                Place::Lost => return Poll::Ready(Err(lost())),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket holds nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().place {
            Place::Registered(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Place::Apart(socket, _) => Poll::Ready(socket.shutdown(std::net::Shutdown::Write)),
            Place::Lost => Poll::Ready(Err(lost())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn everything_arrives_in_order_whether_it_trickles_or_pours() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = TcpStream::connect(listener.local_addr()?).await?;
        let (mut server, _) = listener.accept().await?;
        let switch = GatherSwitch::default();
        switch.store(true, Ordering::Relaxed);
        let mut socket = GatheringSocket::new(client, switch);
        let pieces = [1usize, 7, 300, 5, 200_000, 3, 1, 90_000, 2];
        let writer = tokio::spawn(async move {
            let mut next = 0u8;
            for (index, length) in pieces.iter().cycle().take(200).enumerate() {
                let piece: Vec<u8> = (0..*length)
                    .map(|_| {
                        next = next.wrapping_add(1);
                        next
                    })
                    .collect();
                server.write_all(&piece).await?;
                if index % 20 == 0 {
                    sleep(Duration::from_millis(8)).await;
                }
            }
            let mut answer = [0; 4];
            server.read_exact(&mut answer).await?;
            Ok::<_, io::Error>(answer)
        });
        let total: usize = pieces.iter().cycle().take(200).sum();
        let (mut expected, mut seen, mut parted) = (0u8, 0, false);
        let mut buffer = vec![0; 64 * 1024];
        while seen < total {
            let length = socket.read(&mut buffer).await?;
            assert!(length > 0, "ended after {seen} of {total}");
            for byte in &buffer[..length] {
                expected = expected.wrapping_add(1);
                assert_eq!(*byte, expected, "after {seen}");
            }
            seen += length;
            parted |= matches!(socket.place, Place::Apart(..));
        }
        assert!(parted, "small pieces gather");
        socket.write_all(b"done").await?;
        assert_eq!(&writer.await.expect("the writer returns")?, b"done");
        assert_eq!(socket.read(&mut buffer).await?, 0, "the end is seen");
        Ok(())
    }
}
