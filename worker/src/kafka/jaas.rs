//! JAAS configurations (`sasl.jaas.config`): one login module with its options.
//!
//! Never logs what it reads. Answers for `org.apache.kafka.common.security.JaasConfig`.

use indexmap::IndexMap;

/// A login module with its options.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginModule {
    /// The Java class.
    pub class: String,
    /// Its options, e.g. `username`.
    pub options: IndexMap<String, String>,
}

impl std::fmt::Debug for LoginModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginModule")
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

/// Parses `Class required name="value" ...;`.
///
/// # Errors
/// What is missing.
pub fn parse(text: &str) -> Result<LoginModule, &'static str> {
    let mut tokens = tokens(text)?.into_iter();
    let class = tokens
        .next()
        .filter(|token| token != ";")
        .ok_or("it names no login module")?;
    tokens
        .next()
        .filter(|flag| flag != ";")
        .ok_or("it has no control flag (`required`)")?;
    let mut options = IndexMap::new();
    loop {
        match tokens.next() {
            None => return Err("it does not end with a semicolon"),
            Some(token) if token == ";" => return Ok(LoginModule { class, options }),
            Some(name) => {
                if tokens.next().as_deref() != Some("=") {
                    return Err("an option has no value");
                }
                options.insert(name, tokens.next().ok_or("an option has no value")?);
            }
        }
    }
}

fn tokens(text: &str) -> Result<Vec<String>, &'static str> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            _ if character.is_whitespace() => {}
            ';' | '=' => tokens.push(character.to_string()),
            '"' | '\'' => {
                let mut token = String::new();
                loop {
                    match characters.next().ok_or("a quote is not closed")? {
                        '\\' => {
                            token.push(match characters.next().ok_or("a quote is not closed")? {
                                'n' => '\n',
                                't' => '\t',
                                'r' => '\r',
                                other => other,
                            });
                        }
                        end if end == character => break,
                        other => token.push(other),
                    }
                }
                tokens.push(token);
            }
            first => {
                let mut token = String::from(first);
                while let Some(next) = characters.next_if(|next| {
                    !next.is_whitespace() && !matches!(next, ';' | '=' | '"' | '\'')
                }) {
                    token.push(next);
                }
                tokens.push(token);
            }
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_with_their_quotes_resolved() {
        let module = parse(
            "org.apache.kafka.common.security.plain.PlainLoginModule required \
             username=\"a;b\" password='s\\'x' flag=true;",
        )
        .expect("well formed");
        assert_eq!(
            module.class,
            "org.apache.kafka.common.security.plain.PlainLoginModule"
        );
        assert_eq!(module.options["username"], "a;b");
        assert_eq!(module.options["password"], "s'x");
        assert_eq!(module.options["flag"], "true");
    }

    #[test]
    fn a_missing_end_is_an_error() {
        assert_eq!(
            parse("A required x=1"),
            Err("it does not end with a semicolon")
        );
        assert_eq!(parse("A required x=\"1"), Err("a quote is not closed"));
        assert_eq!(parse(""), Err("it names no login module"));
    }
}
