//! What Avro allows as a name, and how names that are none are made to be.

use connect_api::{Error, Result};

use crate::schema::Name;

/// Java's class of errors about schemas that Avro's library refuses.
pub const PARSE_ERROR: &str = "org.apache.avro.SchemaParseException";

/// A schema that Avro's library refuses.
pub fn refused(message: impl Into<String>) -> Error {
    Error::data(message.into()).with_class(PARSE_ERROR)
}

/// Checks one name: a letter or underscore, then letters, digits, underscores.
///
/// # Errors
/// Kind Data: what is wrong with it.
pub fn check(name: &str) -> Result<()> {
    let mut characters = name.chars();
    match characters.next() {
        None => return Err(refused("Empty name")),
        Some(first) if !(first.is_alphabetic() || first == '_') => {
            return Err(refused(format!("Illegal initial character: {name}")));
        }
        Some(_) => {}
    }
    if characters.any(|character| !(character.is_alphanumeric() || character == '_')) {
        return Err(refused(format!("Illegal character in: {name}")));
    }
    Ok(())
}

/// Checks an enum's symbols and its default.
///
/// # Errors
/// Kind Data: a symbol is no name or comes twice, or the default is none of them.
pub fn check_symbols(symbols: &[String], default: Option<&str>) -> Result<()> {
    for (at, symbol) in symbols.iter().enumerate() {
        check(symbol)?;
        if symbols[..at].contains(symbol) {
            return Err(refused(format!("Duplicate enum symbol: {symbol}")));
        }
    }
    match default {
        Some(default) if !symbols.iter().any(|symbol| symbol == default) => Err(refused(format!(
            "The Enum Default: {default} is not in the enum symbol set: [{}]",
            symbols.join(", ")
        ))),
        _ => Ok(()),
    }
}

/// Splits a full name and checks its last part, after `scrub` where it is asked for.
///
/// # Errors
/// Kind Data: what is wrong with it.
pub fn full_name(full: &str, scrub_invalid: bool) -> Result<Name> {
    let scrubbed;
    let full = if scrub_invalid {
        scrubbed = full.split('.').map(scrub).collect::<Vec<_>>().join(".");
        &scrubbed
    } else {
        full
    };
    let name = Name::parse(full);
    check(&name.name)?;
    Ok(name)
}

/// A name as `scrub.invalid.names` makes it: encoded as in a form, an `x` before a digit, whatever
/// is left and not allowed an underscore.
pub fn scrub(name: &str) -> String {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_with_digit = |name: &str| name.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if name.bytes().all(legal) && !starts_with_digit(name) {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len() + 1);
    for byte in name.bytes() {
        match byte {
            _ if legal(byte) => out.push(char::from(byte)),
            // What a form leaves as it is becomes an underscore, as does what it has for a space.
            b'.' | b'-' | b'*' | b' ' => out.push('_'),
            _ => out.push_str(&format!("_{byte:02X}")),
        }
    }
    if starts_with_digit(&out) {
        out.insert(0, 'x');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_scrubbed_as_in_a_form() {
        for (name, scrubbed) in [
            ("a-b", "a_b"),
            ("é", "_C3_A9"),
            ("2x", "x2x"),
            ("$", "_24"),
            ("T 1", "T_1"),
            ("fine_1", "fine_1"),
        ] {
            assert_eq!(scrub(name), scrubbed);
        }
        let name = full_name("my-ns.1st.T 1", true).expect("scrubbed");
        assert_eq!(name.full(), "my_ns.x1st.T_1");
    }

    #[test]
    fn symbols_are_names_each_once_and_the_default_is_one_of_them() {
        let of = |names: &[&str], default| {
            let symbols: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            check_symbols(&symbols, default).map_err(|error| error.message().to_owned())
        };
        assert_eq!(of(&["A", "B"], Some("B")), Ok(()));
        for (names, default, why) in [
            (["A", "b-c"], None, "Illegal character in: b-c"),
            (["A", "A"], None, "Duplicate enum symbol: A"),
            (
                ["A", "B"],
                Some("C"),
                "The Enum Default: C is not in the enum symbol set: [A, B]",
            ),
        ] {
            assert_eq!(of(&names, default), Err(why.to_owned()));
        }
    }

    #[test]
    fn names_that_avro_does_not_allow_are_refused() {
        for (name, why) in [
            ("a-b", "Illegal character in: a-b"),
            ("1a", "Illegal initial character: 1a"),
            ("", "Empty name"),
        ] {
            assert_eq!(check(name).expect_err("refused").message(), why);
        }
    }
}
