//! The startup exchange: who we are, and the proof of it.
//!
//! Trust, cleartext password, md5 and SCRAM-SHA-256. GSS and SSPI are refused by name. Session
//! settings fix every text form that the column decoders read, whatever role or database say.

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;

use super::connection::{Connection, ConnectionSettings, SessionKind, server_error, unexpected};
use crate::error::PgError;

/// What the server said about itself.
pub(super) struct Parameters {
    /// As `server_version_num` counts.
    pub(super) server_version: u32,
}

pub(super) async fn login(
    connection: &mut Connection,
    settings: &ConnectionSettings,
    kind: SessionKind,
    application: &str,
) -> Result<Parameters, PgError> {
    let mut startup = vec![
        ("user", settings.user.as_str()),
        ("database", settings.database.as_str()),
        ("application_name", application),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("IntervalStyle", "postgres"),
        ("TimeZone", "UTC"),
        ("bytea_output", "hex"),
        // Any positive value asks for the shortest digits that read back exactly.
        ("extra_float_digits", "3"),
    ];
    if kind == SessionKind::Replication {
        startup.push(("replication", "database"));
    }
    let mut message = BytesMut::new();
    frontend::startup_message(startup, &mut message).map_err(|error| {
        PgError::Config(format!("a connection setting has a zero byte: {error}"))
    })?;
    connection.send(&message).await?;
    authenticate(connection, settings).await?;

    let mut parameters = Parameters { server_version: 0 };
    loop {
        let frame = connection.read_frame().await?;
        match frame.tag {
            b'S' => {
                let mut fields = frame.body.split(|&byte| byte == 0);
                if fields.next() == Some(b"server_version") {
                    let text = String::from_utf8_lossy(fields.next().unwrap_or_default());
                    parameters.server_version = version_number(&text);
                }
            }
            b'Z' => return Ok(parameters),
            b'E' => return Err(PgError::Server(server_error(&frame.body))),
            b'K' | b'N' => {}
            tag => return Err(unexpected(tag, "login")),
        }
    }
}

async fn authenticate(
    connection: &mut Connection,
    settings: &ConnectionSettings,
) -> Result<(), PgError> {
    let mut scram: Option<ScramSha256> = None;
    loop {
        let frame = connection.read_frame().await?;
        match frame.tag {
            b'E' => return Err(PgError::Server(server_error(&frame.body))),
            b'N' | b'v' => continue,
            b'R' => {}
            tag => return Err(unexpected(tag, "authentication")),
        }
        let Some((method, data)) = frame.body.split_first_chunk::<4>() else {
            return Err(PgError::Protocol(
                "an authentication request of no method".to_owned(),
            ));
        };
        let refused = |error: std::io::Error| {
            PgError::Fatal(format!(
                "SCRAM login of user \"{}\" failed: {error}",
                settings.user
            ))
        };
        let mut answer = BytesMut::new();
        match u32::from_be_bytes(*method) {
            0 => return Ok(()),
            3 => write_password(password(settings)?.as_bytes(), &mut answer)?,
            5 => {
                let salt = data.first_chunk::<4>().copied().ok_or_else(|| {
                    PgError::Protocol("an md5 authentication request without salt".to_owned())
                })?;
                let (user, password) = (settings.user.as_bytes(), password(settings)?.as_bytes());
                write_password(md5_hash(user, password, salt).as_bytes(), &mut answer)?;
            }
            10 => {
                let mut offered = data.split(|&byte| byte == 0);
                if !offered.any(|mechanism| mechanism == SCRAM_SHA_256.as_bytes()) {
                    return Err(PgError::Fatal(format!(
                        "the server asks for SASL without {SCRAM_SHA_256}"
                    )));
                }
                let exchange = scram.insert(ScramSha256::new(
                    password(settings)?.as_bytes(),
                    ChannelBinding::unsupported(),
                ));
                frontend::sasl_initial_response(SCRAM_SHA_256, exchange.message(), &mut answer)
                    .map_err(refused)?;
            }
            11 => {
                let exchange = scram.as_mut().ok_or_else(|| unexpected(b'R', "SCRAM"))?;
                exchange.update(data).map_err(refused)?;
                frontend::sasl_response(exchange.message(), &mut answer).map_err(refused)?;
            }
            12 => {
                let exchange = scram.as_mut().ok_or_else(|| unexpected(b'R', "SCRAM"))?;
                exchange.finish(data).map_err(refused)?;
                continue;
            }
            method => {
                return Err(PgError::Fatal(format!(
                    "the server asks for authentication method {method} (7: GSS, 9: SSPI), which \
                     is not supported; use password, md5 or SCRAM-SHA-256 for user \"{}\"",
                    settings.user
                )));
            }
        }
        connection.send(&answer).await?;
    }
}

fn password(settings: &ConnectionSettings) -> Result<&str, PgError> {
    settings
        .password
        .as_deref()
        .filter(|password| !password.is_empty())
        .ok_or_else(|| {
            PgError::Fatal(
            "The server requested password-based authentication, but no password was provided. \
             Set database.password."
                .to_owned(),
        )
        })
}

fn write_password(password: &[u8], answer: &mut BytesMut) -> Result<(), PgError> {
    frontend::password_message(password, answer)
        .map_err(|error| PgError::Config(format!("the password has a zero byte: {error}")))
}

/// `15.18 (Debian 15.18-0+deb12u1)` as 150018, `9.6.24` as 90624.
fn version_number(text: &str) -> u32 {
    let digits = text
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .next()
        .unwrap_or_default();
    let mut parts = digits
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    let (first, second, third) = (next(), next(), next());
    if first >= 10 {
        first * 10_000 + second
    } else {
        first * 10_000 + second * 100 + third
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_as_server_version_num_does() {
        assert_eq!(version_number("15.18 (Debian 15.18-0+deb12u1)"), 150_018);
        assert_eq!(version_number("9.6.24"), 90_624);
        assert_eq!(version_number("18beta1"), 180_000);
        assert_eq!(version_number(""), 0);
    }
}
