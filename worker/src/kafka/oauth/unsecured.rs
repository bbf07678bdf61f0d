//! Tokens without a signature, made of the options of the login module: for tests and closed nets.
//!
//! Answers for `OAuthBearerUnsecuredLoginCallbackHandler`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connect_api::{Error, Result};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::Token;

const PREFIX: &str = "unsecuredLogin";

/// The claims of such a token, but for its times.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Claims {
    /// JSON of the claims.
    claims: Map<String, Json>,
    principal: String,
    lifetime_seconds: i64,
}

impl Claims {
    /// From the options of the login module.
    ///
    /// # Errors
    /// Kind Config: they are not such that a token can be made of them.
    pub(super) fn of(options: &IndexMap<String, String>) -> Result<Self> {
        let option = |name: &str| {
            options
                .get(&format!("{PREFIX}{name}"))
                .map(|text| text.trim())
        };
        let mut claims = Map::new();
        for (name, value) in options {
            let Some(name) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let (claim, value) = if let Some(claim) = name.strip_prefix("StringClaim_") {
                (claim, Json::from(value.as_str()))
            } else if let Some(claim) = name.strip_prefix("NumberClaim_") {
                let number = value.trim().parse::<f64>().map_err(|_not_a_number| {
                    Error::config(format!("sasl.jaas.config: {PREFIX}{name} is no number"))
                })?;
                (claim, Json::from(number))
            } else if let Some(claim) = name.strip_prefix("ListClaim_") {
                (claim, list(value))
            } else {
                continue;
            };
            if claim == "iat" || claim == "exp" {
                return Err(Error::config(format!(
                    "Cannot explicitly set the '{claim}' claim"
                )));
            }
            if !claim.is_empty() {
                claims.insert(claim.to_owned(), value);
            }
        }
        let name = option("PrincipalClaimName")
            .filter(|name| !name.is_empty())
            .unwrap_or("sub");
        let principal = claims
            .get(name)
            .and_then(Json::as_str)
            .filter(|principal| !principal.trim().is_empty())
            .ok_or_else(|| Error::config(format!("No principal name in JWT claim: {name}")))?
            .to_owned();
        let lifetime = option("LifetimeSeconds").unwrap_or("3600");
        let lifetime_seconds = lifetime.parse().map_err(|_not_a_number| {
            Error::config(format!(
                "sasl.jaas.config: {PREFIX}LifetimeSeconds={lifetime} is no number"
            ))
        })?;
        Ok(Self {
            claims,
            principal,
            lifetime_seconds,
        })
    }

    /// A token that is good from now on.
    pub(super) fn token(&self, now: i64) -> Result<Token> {
        #[expect(clippy::cast_precision_loss, reason = "Java's seconds, too")]
        let (issued, expires) = {
            let issued = now as f64 / 1000.0;
            (issued, issued + self.lifetime_seconds as f64)
        };
        let mut claims = self.claims.clone();
        claims.insert("exp".to_owned(), Json::from(expires));
        claims.insert("iat".to_owned(), Json::from(issued));
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let payload = URL_SAFE_NO_PAD.encode(Json::Object(claims).to_string());
        Ok(Token {
            value: format!("{header}.{payload}."),
            principal: self.principal.clone(),
            start: Some(now),
            expires: now.saturating_add(self.lifetime_seconds.saturating_mul(1000)),
        })
    }
}

/// Items apart by the text's first character; one more, empty, where any of them is.
fn list(text: &str) -> Json {
    let mut characters = text.chars();
    let delimiter = characters.next();
    let rest = characters.as_str();
    let Some(delimiter) = delimiter.filter(|_| !rest.is_empty()) else {
        return Json::Array(Vec::new());
    };
    let mut items: Vec<&str> = rest.split(delimiter).collect();
    let has_empty = items.iter().any(|item| item.is_empty());
    while items.last().is_some_and(|item| item.is_empty()) {
        items.pop();
    }
    items.extend(has_empty.then_some(""));
    Json::from(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(options: &[(&str, &str)]) -> Result<Claims> {
        let options = options
            .iter()
            .map(|(name, value)| (format!("{PREFIX}{name}"), (*value).to_owned()))
            .collect();
        Claims::of(&options)
    }

    #[test]
    fn options_become_claims() {
        let claims = claims(&[
            ("StringClaim_user", "ann"),
            ("NumberClaim_level", "2"),
            ("ListClaim_scope", "|read||write"),
            ("PrincipalClaimName", "user"),
            ("LifetimeSeconds", "60"),
        ])
        .expect("valid");
        let token = claims.token(1_700_000_000_500).expect("a token");
        assert_eq!(token.principal, "ann");
        assert_eq!(token.expires, 1_700_000_060_500);
        let parts: Vec<&str> = token.value.split('.').collect();
        let decoded = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).expect("Base64");
            serde_json::from_slice::<Json>(&bytes).expect("JSON")
        };
        assert_eq!(decoded(parts[0]), serde_json::json!({"alg": "none"}));
        assert_eq!(
            decoded(parts[1]),
            serde_json::json!({
                "user": "ann", "level": 2.0, "scope": ["read", "", "write", ""],
                "exp": 1_700_000_060.5, "iat": 1_700_000_000.5,
            })
        );
        assert_eq!((parts[2], parts.len()), ("", 3));
    }

    #[test]
    fn a_token_needs_a_principal_and_times_are_not_set() {
        for options in [
            &[][..],
            &[("StringClaim_sub", " ")],
            &[("StringClaim_sub", "a"), ("NumberClaim_exp", "5")],
            &[("StringClaim_sub", "a"), ("NumberClaim_x", "y")],
            &[("StringClaim_sub", "a"), ("LifetimeSeconds", "y")],
            &[("StringClaim_sub", "a"), ("PrincipalClaimName", "user")],
        ] {
            assert!(claims(options).is_err(), "{options:?}");
        }
    }
}
