//! Postgres' wire protocol, as far as a change data source needs it.
//!
//! | module | one line |
//! |---|---|
//! | [`tls`] | what each `database.sslmode` means |
//! | [`login`] | the startup exchange: trust, password, md5, SCRAM-SHA-256 |
//! | [`connection`] | one session: simple queries and `COPY ... TO STDOUT` |
//! | [`replication`] | `START_REPLICATION`: chunks of the log in, status updates out |
//! | [`pgoutput`] | bytes to messages, pure |
//! | [`catalog`] | tables, types and keys out of the system catalog |
//! | [`slot`] | replication slots and publications |
//!
//! It stands where pgjdbc stands in Debezium. It never retries and knows no Kafka Connect types.

pub mod catalog;
pub mod connection;
mod gathering;
mod host_name;
pub mod login;
pub mod pgoutput;
pub mod replication;
pub mod slot;
pub mod tls;

use std::fmt;

/// A position in the write-ahead log. Prints as Postgres prints it: `0/3FCA7460`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl std::str::FromStr for Lsn {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (high, low) = text.split_once('/').unwrap_or(("0", text));
        let high = u64::from(u32::from_str_radix(high, 16)?);
        let low = u64::from(u32::from_str_radix(low, 16)?);
        Ok(Self(high << 32 | low))
    }
}

/// `name` as an SQL identifier.
#[must_use]
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `text` as an SQL literal, safe whatever `standard_conforming_strings` says.
#[must_use]
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_lsn_prints_and_parses_as_postgres_does() {
        let lsn: Lsn = "16/B374D848".parse().unwrap();
        assert_eq!(lsn, Lsn(0x16_B374_D848));
        assert_eq!(lsn.to_string(), "16/B374D848");
        assert!("x/1".parse::<Lsn>().is_err());
    }

    #[test]
    fn quoting_survives_quotes_and_backslashes() {
        assert_eq!(quote_identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\b"), "E'a\\\\b'");
    }
}
