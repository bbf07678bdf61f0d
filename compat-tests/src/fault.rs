//! A proxy between a sink and its store that misbehaves as stores and networks do: errors, slowness,
//! connections cut before or after the store has acted.
//!
//! Speaks HTTP only as far as it has to: a request is read whole, passed on as it stands, and its
//! answer given back, dropped or replaced.

use crate::Outcome;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What is done to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// 503 without asking the store.
    Overloaded,
    /// The store acts, but the answer is a 500.
    Broken,
    /// The connection ends before the store hears anything.
    Cut,
    /// The store acts, and the connection ends without an answer.
    Lost,
    /// The answer comes late.
    Slow,
}

/// A running proxy; it ends with the process.
#[derive(Debug, Clone)]
pub struct FaultProxy {
    /// Where to reach it.
    pub endpoint: String,
    misbehaves: Arc<AtomicBool>,
    faults: Arc<AtomicU64>,
}

impl FaultProxy {
    /// Stands before `store` (`host:port`); of a hundred requests `share` go wrong.
    pub fn start(store: &str, share: u64) -> Outcome<Self> {
        let mut proxy = Self {
            endpoint: String::new(),
            misbehaves: Arc::new(AtomicBool::new(true)),
            faults: Arc::default(),
        };
        let (own, store) = (proxy.clone(), store.to_owned());
        proxy.endpoint = listen(move |client| own.serve(client, &store, share))?;
        Ok(proxy)
    }

    /// From now on it only passes on.
    pub fn behave(&self) {
        self.misbehaves.store(false, Ordering::Relaxed);
    }

    /// How many requests have gone wrong.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    fn fault(&self, share: u64) -> Fault {
        static STATE: AtomicU64 = AtomicU64::new(0x9e37_79b9_7f4a_7c15);
        if !self.misbehaves.load(Ordering::Relaxed) {
            return Fault::None;
        }
        // A fixed sequence, so that a run can be repeated as far as threads allow.
        let state = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = mixed ^ (mixed >> 27);
        if mixed % 100 >= share {
            return Fault::None;
        }
        self.faults.fetch_add(1, Ordering::Relaxed);
        match (mixed >> 32) % 5 {
            0 => Fault::Overloaded,
            1 => Fault::Broken,
            2 => Fault::Cut,
            3 => Fault::Lost,
            _ => Fault::Slow,
        }
    }

    fn serve(&self, client: &TcpStream, store: &str, share: u64) -> Outcome<()> {
        let mut requests = BufReader::new(client.try_clone()?);
        let mut client = client;
        while let Some((head, body)) = message(&mut requests, false)? {
            let fault = self.fault(share);
            match fault {
                Fault::Cut => break,
                Fault::Overloaded => {
                    answer(&mut client, "503 Service Unavailable", "SlowDown")?;
                    continue;
                }
                Fault::Slow => std::thread::sleep(Duration::from_millis(400)),
                Fault::None | Fault::Broken | Fault::Lost => {}
            }
            let Some((head, body)) = pass_on(store, &head, &body)? else {
                break;
            };
            match fault {
                Fault::Lost => break,
                Fault::Broken => answer(&mut client, "500 Internal Server Error", "InternalError")?,
                _ => {
                    client.write_all(&head)?;
                    client.write_all(&body)?;
                }
            }
        }
        client.shutdown(std::net::Shutdown::Both)?;
        Ok(())
    }
}

/// Serves each connection in a thread of its own until the process ends; gives the address.
pub(crate) fn listen(
    serve: impl Fn(&TcpStream) -> Outcome<()> + Send + Sync + 'static,
) -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            // A connection that breaks is the client's to notice.
            std::thread::spawn(move || drop(serve(&client)));
        }
    });
    Ok(endpoint)
}

/// Asks the store; gives its answer's head and body.
pub(crate) fn pass_on(
    store: &str,
    head: &[u8],
    body: &[u8],
) -> Outcome<Option<(Vec<u8>, Vec<u8>)>> {
    let mut upstream = TcpStream::connect(store)?;
    upstream.write_all(head)?;
    upstream.write_all(body)?;
    final_answer(&mut BufReader::new(upstream), head.starts_with(b"HEAD "))
}

pub(crate) fn answer(client: &mut &TcpStream, status: &str, code: &str) -> Outcome<()> {
    let body = format!("<Error><Code>{code}</Code><Message>by the proxy</Message></Error>");
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    Ok(client.write_all(text.as_bytes())?)
}

/// The answer to a request; what only says that the body may come is none.
pub(crate) fn final_answer(
    from: &mut impl BufRead,
    without_body: bool,
) -> Outcome<Option<(Vec<u8>, Vec<u8>)>> {
    loop {
        match message(from, without_body)? {
            Some((head, _)) if head.starts_with(b"HTTP/1.1 100") => {}
            given => return Ok(given),
        }
    }
}

/// A request or an answer: head and body as they stand. `None` at the connection's end.
pub(crate) fn message(
    from: &mut impl BufRead,
    without_body: bool,
) -> Outcome<Option<(Vec<u8>, Vec<u8>)>> {
    let mut head = Vec::new();
    let (mut length, mut chunked) = (0usize, false);
    loop {
        let start = head.len();
        if from.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&head[start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = Vec::new();
    if without_body {
        return Ok(Some((head, body)));
    }
    if !chunked {
        body.resize(length, 0);
        from.read_exact(&mut body)?;
        return Ok(Some((head, body)));
    }
    loop {
        let start = body.len();
        from.read_until(b'\n', &mut body)?;
        let size = String::from_utf8_lossy(&body[start..]).trim().to_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or("0"), 16)?;
        let start = body.len();
        body.resize(start + size + 2, 0);
        from.read_exact(&mut body[start..])?;
        if size == 0 {
            return Ok(Some((head, body)));
        }
    }
}
