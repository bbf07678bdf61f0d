//! `bootstrap.servers` checked before a client is made of it: librdkafka would look for a broker for
//! ever where Java says at once that there is none.
//!
//! Looks names up, connects to nothing. Answers for `ClientUtils.parseAndValidateAddresses`.

use std::net::ToSocketAddrs as _;

use connect_api::{Error, Result};

/// Refuses addresses that are none, and a list of which no host can be found.
///
/// # Errors
/// Kind Config.
pub fn check(servers: &str) -> Result<()> {
    let mut unknown = Vec::new();
    for server in servers
        .split(',')
        .map(str::trim)
        .filter(|server| !server.is_empty())
    {
        let Some((host, port)) = address(server) else {
            return Err(Error::config(format!(
                "Invalid url in bootstrap.servers: {server}"
            )));
        };
        match (host, port).to_socket_addrs() {
            Ok(_) => return Ok(()),
            Err(error) => unknown.push(format!("{host}: {error}")),
        }
    }
    let error = Error::config("No resolvable bootstrap urls given in bootstrap.servers");
    Err(match unknown.is_empty() {
        true => error,
        false => error.with_source(unknown.join("; ")),
    })
}

/// Host and port of `[protocol://]host:port`.
fn address(server: &str) -> Option<(&str, u16)> {
    let rest = server.rsplit_once("://").map_or(server, |(_, rest)| rest);
    let (host, port) = rest.rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let port = port.parse().ok()?;
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_that_can_be_found_is_enough() {
        assert!(check("nohost.invalid:1, 127.0.0.1:9092").is_ok());
        assert!(check("PLAINTEXT://[::1]:9092").is_ok());
    }

    #[test]
    fn what_is_no_address_or_nowhere_is_refused() {
        for (servers, message) in [
            ("a", "Invalid url in bootstrap.servers: a"),
            ("a:x", "Invalid url in bootstrap.servers: a:x"),
            (
                "nohost.invalid:1",
                "No resolvable bootstrap urls given in bootstrap.servers",
            ),
            (
                "",
                "No resolvable bootstrap urls given in bootstrap.servers",
            ),
        ] {
            assert_eq!(check(servers).expect_err("refused").message(), message);
        }
    }
}
