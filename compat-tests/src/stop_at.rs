//! A proxy between a sink and its store that stops at one named point of an upload and holds it there,
//! so that the worker can be killed at exactly that point.

use crate::Outcome;
use crate::fault::{final_answer, message};
use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// What a sink asks of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An object of one part.
    Put,
    /// The beginning of an upload in parts.
    Begin,
    /// The part of this number.
    Part(u32),
    /// The end of an upload in parts.
    Complete,
}

/// Where in a request it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The store has heard nothing.
    Before,
    /// The store has half of it.
    Inside,
    /// The store has acted and the sink does not know.
    After,
    /// The sink knows; nothing else happened since.
    Known,
}

/// A running proxy; it ends with the process. It stops once, and passes everything on afterwards.
#[derive(Clone, Debug)]
pub struct StopAt {
    /// Where to reach it.
    pub endpoint: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: String,
    step: Step,
    when: When,
    /// Nobody else stops.
    taken: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    reached: bool,
    released: bool,
}

impl StopAt {
    /// Stands before `store` (`host:port`).
    pub fn start(store: &str, step: Step, when: When) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let shared = Arc::new(Shared {
            store: store.to_owned(),
            step,
            when,
            taken: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let proxy = Self {
            endpoint: format!("http://{}", listener.local_addr()?),
            shared: Arc::clone(&shared),
        };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A connection that breaks is the client's to notice.
                std::thread::spawn(move || drop(shared.serve(&client)));
            }
        });
        Ok(proxy)
    }

    /// Whether the point has been reached.
    pub fn reached(&self) -> bool {
        self.shared.state().reached
    }

    /// Lets go of what is held.
    pub fn release(&self) {
        self.shared.state().released = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The point is reached; waits to be let go.
    fn hold(&self) {
        let mut state = self.state();
        state.reached = true;
        while !state.released {
            state = self
                .changed
                .wait_timeout(state, Duration::from_secs(120))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn serve(&self, client: &TcpStream) -> Outcome<()> {
        let mut requests = BufReader::new(client.try_clone()?);
        let mut client = client;
        while let Some((head, body)) = message(&mut requests, false)? {
            let stops = step(&head) == Some(self.step) && !self.taken.swap(true, Ordering::SeqCst);
            let when = stops.then_some(self.when);
            if when == Some(When::Before) {
                self.hold();
                break;
            }
            let mut upstream = TcpStream::connect(&self.store)?;
            upstream.write_all(&head)?;
            if when == Some(When::Inside) {
                upstream.write_all(body.get(..body.len() / 2).unwrap_or_default())?;
                upstream.flush()?;
                self.hold();
                upstream.shutdown(Shutdown::Both)?;
                break;
            }
            upstream.write_all(&body)?;
            let without_body = head.starts_with(b"HEAD ");
            let mut answers = BufReader::new(upstream);
            let Some((head, body)) = final_answer(&mut answers, without_body)? else {
                break;
            };
            if when == Some(When::After) {
                self.hold();
                break;
            }
            client.write_all(&head)?;
            client.write_all(&body)?;
            if when == Some(When::Known) {
                self.state().reached = true;
            }
        }
        client.shutdown(Shutdown::Both)?;
        Ok(())
    }
}

/// What a request is, by its first line.
fn step(head: &[u8]) -> Option<Step> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let given = |name: &str| {
        query
            .split('&')
            .find_map(|pair| match pair.split_once('=') {
                Some((key, value)) => (key == name).then_some(value),
                None => (pair == name).then_some(""),
            })
    };
    // `/bucket` alone is no object.
    path.trim_matches('/').split_once('/')?;
    match (method, given("uploads"), given("uploadId")) {
        ("POST", Some(_), _) => Some(Step::Begin),
        ("POST", _, Some(_)) => Some(Step::Complete),
        ("PUT", _, Some(_)) => Some(Step::Part(given("partNumber")?.parse().ok()?)),
        ("PUT", None, None) => Some(Step::Put),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_known_by_their_first_line() {
        for (line, expected) in [
            ("PUT /b/a/k HTTP/1.1", Some(Step::Put)),
            ("POST /b/k?uploads HTTP/1.1", Some(Step::Begin)),
            ("POST /b/k?uploads= HTTP/1.1", Some(Step::Begin)),
            (
                "PUT /b/k?partNumber=2&uploadId=x HTTP/1.1",
                Some(Step::Part(2)),
            ),
            ("POST /b/k?uploadId=x HTTP/1.1", Some(Step::Complete)),
            ("DELETE /b/k?uploadId=x HTTP/1.1", None),
            ("GET /b?list-type=2 HTTP/1.1", None),
            ("PUT /b HTTP/1.1", None),
        ] {
            assert_eq!(
                step(format!("{line}\r\n\r\n").as_bytes()),
                expected,
                "{line}"
            );
        }
    }
}
