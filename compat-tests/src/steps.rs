//! Requests written down in a file, sent byte by byte, their answers noted raw: what a client
//! library would smooth over (odd paths, doubled headers, broken bodies) is what is compared.
//!
//! A step is `{"do": "GET /path"}` with, as it needs: `body` (JSON), `raw` (text), `hex`, `big` (a list
//! of texts and how often each), `headers` (null takes one away), `until` (a text that has to appear,
//! or a list of such), `pause` (seconds to wait afterwards).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::recording::Recording;
use crate::{Outcome, wait};

/// Headers that two honest workers cannot share, or that only frame the body.
const UNCOMPARED: [&str; 4] = ["date", "server", "content-length", "transfer-encoding"];

/// What came back.
#[derive(Debug, Clone)]
pub struct Raw {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, what is no UTF-8 replaced.
    pub body: String,
}

impl Raw {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Sends one request on a connection of its own.
///
/// # Errors
/// The worker cannot be reached, or answers with what is no HTTP.
pub fn send(
    address: &str,
    request: &str,
    headers: &[(String, String)],
    body: Option<&[u8]>,
) -> Outcome<Raw> {
    let mut head = format!("{request} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("Connection: close\r\n\r\n");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(100)))?;
    stream.write_all(head.as_bytes())?;
    // A refusal may come, and the connection go, before the body is through.
    if let Some(body) = body
        && let Err(error) = stream.write_all(body)
        && error.kind() != std::io::ErrorKind::BrokenPipe
        && error.kind() != std::io::ErrorKind::ConnectionReset
    {
        return Err(error.into());
    }
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes)
        && bytes.is_empty()
    {
        return Err(error.into());
    }
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Outcome<Raw> {
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or("an answer without an end of its headers")?;
    let (head, body) = bytes.split_at(end + 4);
    let head = String::from_utf8_lossy(head).into_owned();
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .ok_or("an answer without a status")?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = headers
        .iter()
        .any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked {
        unchunked(body)?
    } else {
        body.to_vec()
    };
    Ok(Raw {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn unchunked(mut rest: &[u8]) -> Outcome<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest
            .windows(2)
            .position(|window| window == b"\r\n")
            .ok_or("a chunk without a length")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end])?.trim(), 16)?;
        let start = end + 2;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(start..start + length).ok_or("a chunk cut short")?);
        rest = rest.get(start + length + 2..).ok_or("a chunk cut short")?;
    }
}

fn body(step: &Value) -> Outcome<Option<Vec<u8>>> {
    if let Some(body) = step.get("body") {
        return Ok(Some(serde_json::to_vec(body)?));
    }
    if let Some(raw) = step["raw"].as_str() {
        return Ok(Some(raw.as_bytes().to_vec()));
    }
    if let Some(hex) = step["hex"].as_str() {
        let digit = |at: usize| hex.get(at..at + 2).unwrap_or_default();
        let bytes = (0..hex.len() / 2).map(|at| u8::from_str_radix(digit(at * 2), 16));
        return Ok(Some(bytes.collect::<Result<_, _>>()?));
    }
    let Some(parts) = step["big"].as_array() else {
        return Ok(None);
    };
    let mut text = String::new();
    for part in parts {
        let count = part[1].as_u64().unwrap_or(1);
        text.push_str(
            &part[0]
                .as_str()
                .unwrap_or_default()
                .repeat(usize::try_from(count)?),
        );
    }
    Ok(Some(text.into_bytes()))
}

/// Does every step of a file at `address` and notes the answers. `fill` is put into the steps first.
///
/// # Errors
/// A step cannot be sent, or what it waits for does not come.
pub fn run(
    steps: &str,
    fill: &[(&str, &str)],
    address: &str,
    recording: &mut Recording,
) -> Outcome<()> {
    let mut filled = steps.to_owned();
    for (from, to) in fill {
        filled = filled.replace(from, to);
    }
    let written: Vec<Value> = serde_json::from_str(steps)?;
    let filled: Vec<Value> = serde_json::from_str(&filled)?;
    for (number, (step, written)) in filled.iter().zip(&written).enumerate() {
        let request = step["do"].as_str().ok_or("a step without `do`")?;
        let body = body(step)?;
        let mut headers = Vec::new();
        let named = step["headers"].as_object();
        if body.is_some() && named.is_none_or(|named| !named.contains_key("Content-Type")) {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        for (name, value) in named.into_iter().flatten() {
            if let Some(value) = value.as_str() {
                headers.push((name.clone(), value.to_owned()));
            }
        }
        let until = match &step["until"] {
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
            one => Vec::from_iter(one.as_str()),
        };
        let answer = wait::until(
            &format!("step {number}, {request}, to show {}", until.join(" and ")),
            Duration::from_secs(60),
            || {
                let answer = send(address, request, &headers, body.as_deref())?;
                match until.iter().all(|text| answer.body.contains(text)) {
                    true => Ok(Some(answer)),
                    false => Err(format!("it answers {} {}", answer.status, answer.body).into()),
                }
            },
        )?;
        std::thread::sleep(Duration::from_secs_f64(
            step["pause"].as_f64().unwrap_or_default(),
        ));
        recording.note(&title(written), &shown(&answer));
    }
    Ok(())
}

/// The step in the recording: what was sent, as far as it is short.
fn title(step: &Value) -> String {
    let request = step["do"].as_str().unwrap_or_default();
    let sent = ["headers", "body", "raw", "hex", "big"]
        .iter()
        .filter_map(|part| step.get(part))
        .map(|part| format!(" {part}"));
    let text: String = std::iter::once(request.to_owned()).chain(sent).collect();
    text.chars()
        .take(200)
        .collect::<String>()
        .replace(['\t', '\n'], " ")
}

/// Status, the headers that count, and the body; of what is long, a beginning, the length and an end.
fn shown(answer: &Raw) -> String {
    const WHOLE: usize = 20_000;
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, value)| {
            // Every step asks for the connection to be closed.
            !UNCOMPARED.contains(&name.as_str())
                && (name.as_str(), value.as_str()) != ("connection", "close")
        })
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    headers.sort();
    // A page is for people, and names the server.
    let page = answer
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/html"));
    let body = if page {
        let title = answer.body.split("<title>").nth(1);
        title
            .and_then(|rest| rest.split("</title>").next())
            .unwrap_or_default()
            .to_owned()
    } else if answer.body.len() > WHOLE {
        let start: String = answer.body.chars().take(200).collect();
        let end: String = answer.body.chars().rev().take(200).collect();
        let end: String = end.chars().rev().collect();
        format!("{start}…{} characters…{end}", answer.body.chars().count())
    } else {
        answer.body.clone()
    };
    format!("{} [{}] {body}", answer.status, headers.join("; "))
}

#[cfg(test)]
mod tests {
    use super::{parse, unchunked};

    #[test]
    fn an_answer_is_taken_apart() {
        let answer =
            parse(b"HTTP/1.1 404 Not Found\r\nContent-Type: a/b\r\n\r\nx").expect("an answer");
        assert_eq!((answer.status, answer.body.as_str()), (404, "x"));
        assert_eq!(answer.header("content-type"), Some("a/b"));
    }

    #[test]
    fn chunks_are_put_together() {
        assert_eq!(
            unchunked(b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n").expect("chunks"),
            b"abcd"
        );
        assert!(unchunked(b"3\r\nab").is_err());
    }
}
