//! One session with the server: framing, simple queries and `COPY ... TO STDOUT`.
//!
//! Everything is the simple query protocol in text form, which a replication session speaks too,
//! so that there is one client for both. What is read arrives in large pieces and is handed out as
//! shared slices of them. It never reconnects by itself. Answers for Debezium's `JdbcConnection`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::gathering::{GatherSwitch, GatheringSocket};
use super::host_name::{HostName, host_name};
use super::login;
use super::replication::LONG_FRAME;
use super::tls::{SslMode, TlsSettings};
use crate::error::{ConnectFailure, PgError, ServerError};

/// How long one address may take to answer; the driver's `connectTimeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a read asks for: large enough that a system call is nothing per row, small enough that a
/// record that outlives its batch does not hold much.
const READ_SIZE: usize = 128 * 1024;
/// Below this much free space the buffer is replaced before a read.
const READ_MINIMUM: usize = 16 * 1024;
/// A frame's length is believed when so much of it has arrived.
const BELIEVED_SIZE: usize = 16 * READ_SIZE;
/// No message of the server is longer; a length beyond it means that this is not Postgres.
const FRAME_LIMIT: usize = 0x7fff_ffff;

/// Where and as whom to connect.
#[derive(Clone)]
pub struct ConnectionSettings {
    /// `database.hostname`.
    pub host: String,
    /// `database.port`.
    pub port: u16,
    /// `database.user`.
    pub user: String,
    /// `database.password`.
    pub password: Option<String>,
    /// `database.dbname`.
    pub database: String,
    /// The `database.ssl*` keys.
    pub tls: TlsSettings,
    /// `database.tcpKeepAlive`.
    pub keep_alive: bool,
}

impl fmt::Debug for ConnectionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionSettings")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// Ordinary SQL.
    Ordinary,
    /// `replication=database`.
    Replication,
}

pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// One message of the server.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) tag: u8,
    pub(super) body: Bytes,
}

/// A row of a simple query's answer, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(Vec<Option<String>>);

impl Row {
    /// The column at `index`; null and a missing column are the same.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        self.0.get(index).and_then(Option::as_deref)
    }

    /// The column at `index` as text, null as the empty text.
    #[must_use]
    pub fn text(&self, index: usize) -> &str {
        self.get(index).unwrap_or_default()
    }

    /// Whether the column at `index` is true.
    #[must_use]
    pub fn flag(&self, index: usize) -> bool {
        self.get(index) == Some("t")
    }

    /// The column at `index` as a number.
    ///
    /// # Errors
    /// The column is null or no number of that type.
    pub fn number<T: std::str::FromStr>(&self, index: usize) -> Result<T, PgError> {
        self.text(index)
            .parse()
            .map_err(|_| PgError::Protocol(format!("column {index} is {:?}", self.get(index))))
    }
}

/// An open session.
pub struct Connection {
    pub(super) io: Box<dyn Io>,
    pub(super) input: BytesMut,
    /// `host:port`, for errors.
    pub(super) server: Arc<str>,
    server_version: u32,
    gather: GatherSwitch,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encryption {
    Never,
    IfOffered,
    Always,
}

impl Connection {
    /// Connects and logs in. `application` shows in `pg_stat_activity`.
    ///
    /// # Errors
    /// The server cannot be reached, lacks the demanded TLS, or refuses the login.
    pub async fn open(
        settings: &ConnectionSettings,
        kind: SessionKind,
        application: &str,
    ) -> Result<Self, PgError> {
        let attempt = |encryption| Self::attempt(settings, kind, application, encryption);
        // A server whose pg_hba.conf has no line for (un)encrypted sessions answers with 28000.
        let no_hba_entry = |error: &PgError| error.sqlstate() == Some("28000");
        match settings.tls.mode {
            SslMode::Disable => attempt(Encryption::Never).await,
            SslMode::Allow => match attempt(Encryption::Never).await {
                Err(error) if no_hba_entry(&error) => {
                    attempt(Encryption::Always).await.map_err(|_second| error)
                }
                other => other,
            },
            SslMode::Prefer => match attempt(Encryption::IfOffered).await {
                Err(error) if no_hba_entry(&error) => {
                    attempt(Encryption::Never).await.map_err(|_second| error)
                }
                other => other,
            },
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                attempt(Encryption::Always).await
            }
        }
    }

    async fn attempt(
        settings: &ConnectionSettings,
        kind: SessionKind,
        application: &str,
        encryption: Encryption,
    ) -> Result<Self, PgError> {
        let failure = |source| ConnectFailure {
            host: settings.host.clone(),
            port: settings.port,
            source,
        };
        let failed = |source| PgError::Attempt {
            source: failure(source),
        };
        let tcp = connect(settings).await?;
        tcp.set_nodelay(true).map_err(failed)?;
        if settings.keep_alive {
            socket2::SockRef::from(&tcp)
                .set_keepalive(true)
                .map_err(failed)?;
        }
        let gather = GatherSwitch::default();
        let mut tcp = GatheringSocket::new(tcp, Arc::clone(&gather));
        let io: Box<dyn Io>;
        let mut encrypted = false;
        if encryption != Encryption::Never {
            let mut request = BytesMut::new();
            frontend::ssl_request(&mut request);
            tcp.write_all(&request).await.map_err(failed)?;
            match tcp.read_u8().await.map_err(failed)? {
                b'S' => {
                    let name = ServerName::try_from(settings.host.clone()).map_err(|error| {
                        failed(io::Error::new(io::ErrorKind::InvalidInput, error))
                    })?;
                    let connector = TlsConnector::from(settings.tls.client_config()?);
                    let tls = tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(name, tcp));
                    let tls =
                        tls.await
                            .map_err(|_elapsed| failed(timed_out()))?
                            .map_err(|source| PgError::Tls {
                                reason: handshake_problem(&source),
                                source: failure(source),
                            })?;
                    io = Box::new(tls);
                    encrypted = true;
                }
                b'N' if encryption == Encryption::Always => return Err(PgError::NoTls),
                b'N' => io = Box::new(tcp),
                byte => {
                    return Err(PgError::NoAnswerToTls {
                        source: failure(io::Error::new(
                            io::ErrorKind::InvalidData,
                            format!("answer {byte:#04x} to the TLS request: this is no Postgres"),
                        )),
                    });
                }
            }
        } else {
            io = Box::new(tcp);
        }
        let server = Arc::from(format!("{}:{}", settings.host, settings.port));
        let mut connection = Self {
            io,
            input: BytesMut::new(),
            server,
            server_version: 0,
            gather,
        };
        let parameters = login::login(&mut connection, settings, kind, application).await?;
        connection.server_version = parameters.server_version;
        tracing::debug!(server = %connection.server, application, encrypted, "opened a session");
        Ok(connection)
    }

    /// The server's version as `server_version_num` counts, for instance 150018.
    #[must_use]
    pub fn server_version(&self) -> u32 {
        self.server_version
    }

    pub(super) fn broken(&self, doing: &'static str) -> impl Fn(io::Error) -> PgError + use<> {
        let server = Arc::clone(&self.server);
        move |source| PgError::Io {
            server: server.to_string(),
            doing,
            source,
        }
    }

    pub(super) async fn send(&mut self, message: &[u8]) -> Result<(), PgError> {
        let broken = self.broken("writing");
        self.io.write_all(message).await.map_err(&broken)?;
        self.io.flush().await.map_err(&broken)
    }

    /// From now on this is a stream: small pieces may gather before they are read.
    pub(super) fn let_gather(&self) {
        self.gather.store(true, Ordering::Relaxed);
    }

    /// Reads what there is, and says how much that was. Cancelling it loses nothing.
    pub(super) async fn fill(&mut self) -> Result<usize, PgError> {
        make_room(&mut self.input);
        let broken = self.broken("reading");
        match self.io.read_buf(&mut self.input).await.map_err(&broken)? {
            0 => Err(broken(io::ErrorKind::UnexpectedEof.into())),
            length => Ok(length),
        }
    }

    pub(super) async fn read_frame(&mut self) -> Result<Frame, PgError> {
        loop {
            if let Some((tag, body)) = frame_at(&self.input, 0)? {
                let mut whole = self.input.split_to(body.end);
                whole.advance(body.start);
                return Ok(Frame {
                    tag,
                    body: whole.freeze(),
                });
            }
            self.fill().await?;
        }
    }

    /// All whole frames that have arrived, at least one.
    pub(super) async fn read_chunk(&mut self) -> Result<Bytes, PgError> {
        loop {
            let mut end = 0;
            while let Some((_, body)) = frame_at(&self.input, end)? {
                end = body.end;
            }
            if end > 0 {
                return Ok(self.input.split_to(end).freeze());
            }
            self.fill().await?;
        }
    }

    /// Runs `sql` (one or several statements) and returns all rows.
    ///
    /// # Errors
    /// The server's, or a broken connection.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Row>, PgError> {
        self.send_query(sql).await?;
        let mut rows = Vec::new();
        let mut failure = None;
        loop {
            let frame = self.read_frame().await?;
            match frame.tag {
                b'D' => rows.push(data_row(&frame.body)?),
                b'E' => failure = Some(server_error(&frame.body)),
                b'Z' => break,
                b'T' | b'C' | b'I' | b'N' | b'S' => {}
                tag => return Err(unexpected(tag, "a query")),
            }
        }
        failure.map_or(Ok(rows), |error| Err(PgError::Server(error)))
    }

    /// The first row of `sql`'s answer.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn query_first(&mut self, sql: &str) -> Result<Option<Row>, PgError> {
        Ok(self.query(sql).await?.into_iter().next())
    }

    /// The names of the columns that `sql` answers.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn query_columns(&mut self, sql: &str) -> Result<Vec<String>, PgError> {
        self.send_query(sql).await?;
        let mut names = Vec::new();
        let mut failure = None;
        loop {
            let frame = self.read_frame().await?;
            match frame.tag {
                b'T' => names = column_names(&frame.body),
                b'E' => failure = Some(server_error(&frame.body)),
                b'Z' => break,
                b'D' | b'C' | b'I' | b'N' | b'S' => {}
                tag => return Err(unexpected(tag, "a query")),
            }
        }
        failure.map_or(Ok(names), |error| Err(PgError::Server(error)))
    }

    /// Starts `COPY ... TO STDOUT`; rows come from [`Self::copy_chunk`].
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn copy_out(&mut self, sql: &str) -> Result<(), PgError> {
        self.send_query(sql).await?;
        let mut failure = None;
        loop {
            let frame = self.read_frame().await?;
            match frame.tag {
                b'H' => return Ok(()),
                b'E' => failure = Some(server_error(&frame.body)),
                b'Z' => {
                    return Err(failure.map_or_else(
                        || PgError::Protocol("COPY ended before it began".to_owned()),
                        PgError::Server,
                    ));
                }
                b'N' | b'S' => {}
                tag => return Err(unexpected(tag, "COPY")),
            }
        }
    }

    /// The length of the next row of a `COPY`, if that is long; none of it is read for that.
    ///
    /// # Errors
    /// A broken connection.
    pub async fn long_row(&mut self) -> Result<Option<usize>, PgError> {
        loop {
            if let Some((tag, length)) = frame_begun(&self.input) {
                return Ok((tag == b'd' && length > LONG_FRAME).then_some(length));
            }
            self.fill().await?;
        }
    }

    /// The next rows of a `COPY`: a buffer and the ranges of the rows in it. `None` at its end.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn copy_chunk(&mut self) -> Result<Option<(Bytes, Vec<Range<usize>>)>, PgError> {
        let mut failure = None;
        loop {
            let chunk = self.read_chunk().await?;
            let mut rows = Vec::new();
            let mut at = 0;
            while let Some((tag, body)) = frame_at(&chunk, at)? {
                at = body.end;
                match tag {
                    b'd' => rows.push(body),
                    b'E' => failure = Some(server_error(chunk.get(body).unwrap_or_default())),
                    b'Z' => {
                        if let Some(error) = failure {
                            return Err(PgError::Server(error));
                        }
                        // Rows and the end may share a chunk; the end is then told once more.
                        if !rows.is_empty() {
                            self.push_back_ready();
                            return Ok(Some((chunk, rows)));
                        }
                        return Ok(None);
                    }
                    b'c' | b'C' | b'N' | b'S' => {}
                    tag => return Err(unexpected(tag, "COPY")),
                }
            }
            if !rows.is_empty() && failure.is_none() {
                return Ok(Some((chunk, rows)));
            }
        }
    }

    /// Puts a `ReadyForQuery` in front of the (then empty) input.
    fn push_back_ready(&mut self) {
        debug_assert!(
            self.input.is_empty(),
            "nothing follows ReadyForQuery unasked"
        );
        self.input.extend_from_slice(&[b'Z', 0, 0, 0, 5, b'I']);
    }

    /// Says goodbye, so that the server frees the session at once.
    pub async fn close(mut self) {
        let mut message = BytesMut::new();
        frontend::terminate(&mut message);
        // The session is over either way.
        if self.send(&message).await.is_ok() {
            drop(self.io.shutdown().await);
        }
    }

    pub(super) async fn send_query(&mut self, sql: &str) -> Result<(), PgError> {
        let mut message = BytesMut::new();
        frontend::query(sql, &mut message)
            .map_err(|error| PgError::Config(format!("SQL with a zero byte: {error}")))?;
        self.send(&message).await
    }
}

/// What Java says of a handshake that ended early; other reasons are told in our client's words.
fn handshake_problem(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "Remote host terminated the handshake".to_owned(),
        io::ErrorKind::ConnectionReset => "Connection reset".to_owned(),
        _ => error.to_string(),
    }
}

fn timed_out() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
    )
}

async fn connect(settings: &ConnectionSettings) -> Result<TcpStream, PgError> {
    let failed = |source| PgError::Attempt {
        source: ConnectFailure {
            host: settings.host.clone(),
            port: settings.port,
            source,
        },
    };
    let addresses = addresses(&settings.host, settings.port)
        .await
        .map_err(failed)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in addresses {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => last = error,
            Err(_elapsed) => last = timed_out(),
        }
    }
    Err(if last.kind() == io::ErrorKind::ConnectionRefused {
        PgError::Refused {
            host: settings.host.clone(),
            port: settings.port,
            source: last,
        }
    } else {
        failed(last)
    })
}

/// Where a host is found, as Java finds it.
async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host_name(host) {
        HostName::Address(address) => Ok(vec![(address, port).into()]),
        HostName::Ambiguous => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "not an address of decimal numbers",
        )),
        HostName::Name => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
    }
}

/// Room for the next read: for the rest of a long frame, or for a usual piece.
pub(super) fn make_room(input: &mut BytesMut) {
    let wanted = match frame_begun(input) {
        Some((_, length)) => {
            // A frame that claims to be huge gets room once some of it has arrived, not on its word;
            // then all of it, for a buffer that grows stands in memory twice.
            let most = match input.len() < BELIEVED_SIZE {
                true => BELIEVED_SIZE,
                false => FRAME_LIMIT,
            };
            (length.min(FRAME_LIMIT) + 1)
                .saturating_sub(input.len())
                .min(most)
        }
        None => 0,
    };
    let free = input.capacity() - input.len();
    if free < wanted.max(READ_MINIMUM) {
        input.reserve(wanted.max(READ_SIZE));
    }
}

/// The tag and the claimed length of the frame that the input begins with.
pub(super) fn frame_begun(input: &[u8]) -> Option<(u8, usize)> {
    let &[tag, a, b, c, d] = input.first_chunk::<5>()?;
    Some((tag, u32::from_be_bytes([a, b, c, d]) as usize))
}

/// The frame that starts at `at`: its tag and where its body lies, if it is all there.
pub(super) fn frame_at(buffer: &[u8], at: usize) -> Result<Option<(u8, Range<usize>)>, PgError> {
    let Some(&[tag, a, b, c, d]) = buffer.get(at..).and_then(|rest| rest.first_chunk::<5>()) else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if !(4..=FRAME_LIMIT).contains(&length) {
        return Err(PgError::Protocol(format!(
            "a message of {length} bytes with tag {tag:#04x}"
        )));
    }
    let end = at + 1 + length;
    Ok((end <= buffer.len()).then_some((tag, at + 5..end)))
}

pub(super) fn unexpected(tag: u8, during: &str) -> PgError {
    PgError::Protocol(format!("message {:?} during {during}", char::from(tag)))
}

fn data_row(body: &[u8]) -> Result<Row, PgError> {
    let short = || PgError::Protocol("a row that ends too early".to_owned());
    let mut at = 2;
    let count = body
        .first_chunk::<2>()
        .copied()
        .map(u16::from_be_bytes)
        .ok_or_else(short)?;
    let mut columns = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let length = body
            .get(at..)
            .and_then(|rest| rest.first_chunk::<4>())
            .ok_or_else(short)?;
        at += 4;
        match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                let text = at.checked_add(length).and_then(|end| body.get(at..end));
                columns.push(Some(
                    String::from_utf8_lossy(text.ok_or_else(short)?).into_owned(),
                ));
                at += length;
            }
            Err(_null) => columns.push(None),
        }
    }
    Ok(Row(columns))
}

/// Reads the names out of a `RowDescription`.
fn column_names(body: &[u8]) -> Vec<String> {
    // What stands between two names: table, column, type, its size and modifier, format.
    const BETWEEN: usize = 4 + 2 + 4 + 2 + 4 + 2;
    let mut names = Vec::new();
    let mut rest = body.get(2..).unwrap_or_default();
    while let Some(length) = rest.iter().position(|&byte| byte == 0) {
        names.push(String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned());
        rest = rest.get(length + 1 + BETWEEN..).unwrap_or_default();
    }
    names
}

/// Reads an `ErrorResponse`.
pub(super) fn server_error(body: &[u8]) -> ServerError {
    let mut error = ServerError::default();
    for field in body.split(|&byte| byte == 0) {
        let Some((&kind, text)) = field.split_first() else {
            break;
        };
        let text = String::from_utf8_lossy(text).into_owned();
        match kind {
            b'S' if error.severity.is_empty() => error.severity = text,
            // The severity that is never translated.
            b'V' => error.severity = text,
            b'C' => error.code = text,
            b'M' => error.message = text,
            b'D' => error.detail = Some(text),
            b'H' => error.hint = Some(text),
            _ => {}
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_whole_or_not_at_all() {
        let bytes = [b'Z', 0, 0, 0, 5, b'I', b'C', 0, 0, 0, 9];
        assert_eq!(frame_at(&bytes, 0).unwrap(), Some((b'Z', 5..6)));
        assert_eq!(frame_at(&bytes, 6).unwrap(), None);
        assert_eq!(frame_at(&bytes, 11).unwrap(), None);
        assert!(frame_at(&[b'H', 0, 0, 0, 1], 0).is_err());
        assert!(frame_at(b"HTTP/1.1 400", 0).unwrap().is_none());
    }

    #[test]
    fn an_error_response_is_read_field_by_field() {
        let error = server_error(b"SFEHLER\0VERROR\0C42P01\0Mno table\0Dwhich\0\0");
        assert_eq!(error.severity, "ERROR");
        assert_eq!(error.code, "42P01");
        assert_eq!(error.to_string(), "ERROR: no table\n  Detail: which");
    }

    #[test]
    fn a_row_keeps_null_apart_from_empty() {
        let row = data_row(&[0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).unwrap();
        assert_eq!((row.get(0), row.get(1)), (None, Some("")));
        assert!(data_row(&[0, 1, 0, 0, 0, 9, 1]).is_err());
    }

    #[test]
    fn a_claimed_length_does_not_allocate_by_itself() {
        let mut input = BytesMut::from(&[b'd', 0x7f, 0xff, 0xff, 0xff][..]);
        make_room(&mut input);
        assert!(input.capacity() < 32 * READ_SIZE);
    }
}
