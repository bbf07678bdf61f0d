//! Google Cloud Storage, as far as its XML API is that of S3: stands before an S3 store that asks for
//! no signature, asks for Google's token instead and passes on what is conditional.

use crate::Outcome;
use crate::fault::{answer, listen, message, pass_on};
use std::io::{BufReader, Write};
use std::net::TcpStream;

/// A running front; it ends with the process.
#[derive(Debug)]
pub struct Google {
    /// Where to reach it.
    pub endpoint: String,
}

impl Google {
    /// Stands before `store` (`host:port`); lets in who has the token.
    pub fn start(store: &str, token: &str) -> Outcome<Self> {
        let (store, token) = (store.to_owned(), token.to_owned());
        let endpoint = listen(move |client| serve(client, &store, &token))?;
        Ok(Self { endpoint })
    }
}

fn serve(client: &TcpStream, store: &str, token: &str) -> Outcome<()> {
    let mut requests = BufReader::new(client.try_clone()?);
    let mut client = client;
    while let Some((head, body)) = message(&mut requests, false)? {
        let Some(head) = as_s3(&String::from_utf8(head)?, token) else {
            answer(&mut client, "401 Unauthorized", "AuthenticationRequired")?;
            continue;
        };
        let Some((head, body)) = pass_on(store, head.as_bytes(), &body)? else {
            break;
        };
        client.write_all(&head)?;
        client.write_all(&body)?;
    }
    Ok(())
}

/// The head of a request as an S3 store takes it; `None` without the token.
fn as_s3(head: &str, token: &str) -> Option<String> {
    let mut is_known = false;
    let mut out = String::new();
    for line in head.split_inclusive("\r\n") {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match (name.to_ascii_lowercase().as_str(), value.trim()) {
            ("authorization", value) => is_known = value.strip_prefix("Bearer ") == Some(token),
            ("x-goog-if-generation-match", "0") => out.push_str("If-None-Match: *\r\n"),
            _ => out.push_str(line),
        }
    }
    is_known.then_some(out)
}
