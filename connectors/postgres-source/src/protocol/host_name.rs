//! Host names that are addresses, as Java reads them.

use std::net::Ipv4Addr;

/// What a host name is to Java.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostName {
    /// An address: decimal numbers, of which the last fills the bytes that are left (`1.5` is
    /// 1.0.0.5).
    Address(Ipv4Addr),
    /// An address only to others, who read octal and hexadecimal numbers: refused unseen.
    Ambiguous,
    /// A name to look up.
    Name,
}

/// Reads a host name (`IPAddressUtil.validateNumericFormatV4`).
pub(super) fn host_name(host: &str) -> HostName {
    match decimal_address(host) {
        Some(address) => HostName::Address(address),
        None if is_number_of_others(host) => HostName::Ambiguous,
        None => HostName::Name,
    }
}

fn decimal_address(host: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = host.split('.').collect();
    let (last, before) = parts.split_last()?;
    if host.len() > 15 || before.len() > 3 {
        return None;
    }
    let number = |text: &str| -> Option<u64> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        (digits && !text.is_empty()).then(|| text.parse().ok())?
    };
    let mut bits = number(last).filter(|last| last >> (32 - 8 * before.len()) == 0)?;
    for (index, part) in before.iter().enumerate() {
        bits |= number(part).filter(|part| part >> 8 == 0)? << (24 - 8 * index);
    }
    Some(Ipv4Addr::from_bits(u32::try_from(bits).ok()?))
}

/// Whether all parts are numbers as `inet_aton` reads them.
fn is_number_of_others(host: &str) -> bool {
    let is_number = |part: &str| {
        let hexadecimal = part
            .strip_prefix("0x")
            .or_else(|| part.strip_prefix("0X"))
            .filter(|digits| !digits.is_empty());
        match hexadecimal {
            Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
            None => !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()),
        }
    };
    host.split('.').all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    // As Java 17 connects to them.
    #[test]
    fn numbers_are_addresses_as_java_reads_them() {
        for (host, address) in [
            ("1.5", [1, 0, 0, 5]),
            ("127.0.1", [127, 0, 0, 1]),
            ("127.65536", [127, 1, 0, 0]),
            ("2130706433", [127, 0, 0, 1]),
            ("4294967295", [255; 4]),
            ("0177.0.0.1", [177, 0, 0, 1]),
            ("08.1", [8, 0, 0, 1]),
            ("127.0.0.01", [127, 0, 0, 1]),
            ("0", [0; 4]),
        ] {
            assert_eq!(host_name(host), HostName::Address(address.into()), "{host}");
        }
        for host in [
            "0x7f000001",
            "0x7f.1",
            "256.1",
            "127.16777216",
            "4294967296",
        ] {
            assert_eq!(host_name(host), HostName::Ambiguous, "{host}");
        }
        for host in ["1.", ".1", "1..5", "127.0.0.1a", "db", "db.1", "0x", ""] {
            assert_eq!(host_name(host), HostName::Name, "{host}");
        }
    }
}
