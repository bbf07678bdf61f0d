//! What a client reads of a token that somebody else made: for whom it is, and until when.
//!
//! Its signature is the broker's business. Answers for `ClientJwtValidator`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connect_api::{Error, Result};
use serde_json::Value as Json;

use super::Token;

/// What the claims are called (`sasl.oauthbearer.*.claim.name`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) scope: String,
    pub(super) sub: String,
}

impl Names {
    /// Reads a token. No message repeats it.
    ///
    /// # Errors
    /// It is no JWT, or has not the claims that a client needs.
    pub(super) fn read(&self, text: &str) -> Result<Token> {
        let bad = |why: String| Error::fatal(format!("the token to log in with: {why}"));
        let mut parts = text.split('.');
        let (Some(_), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad(
                "it is no JWT of header, payload and signature".to_owned()
            ));
        };
        let claims: Json = URL_SAFE_NO_PAD
            .decode(payload.trim_end_matches('='))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| bad("its payload is not JSON in Base64".to_owned()))?;
        let millis = |name: &str| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "seconds, as the JVM cuts them"
            )]
            let seconds = claims.get(name)?.as_f64()? as i64;
            seconds.checked_mul(1000)
        };
        let expires = millis("exp").ok_or_else(|| bad("it has no claim exp".to_owned()))?;
        let principal = claims.get(&self.sub).and_then(Json::as_str);
        let principal = principal
            .map(str::trim)
            .filter(|principal| !principal.is_empty())
            .ok_or_else(|| bad(format!("it has no claim {}", self.sub)))?;
        if let Some(scope) = claims.get(&self.scope)
            && !scope.is_string()
            && !scope.is_array()
        {
            return Err(bad(format!(
                "its claim {} is neither a text nor a list",
                self.scope
            )));
        }
        Ok(Token {
            value: text.to_owned(),
            principal: principal.to_owned(),
            start: millis("iat"),
            expires,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &str) -> Result<Token> {
        let names = Names {
            scope: "scope".to_owned(),
            sub: "sub".to_owned(),
        };
        let payload = URL_SAFE_NO_PAD.encode(payload);
        names.read(&format!("e30.{payload}.sig"))
    }

    #[test]
    fn a_token_says_for_whom_it_is_and_until_when() {
        let token = read(r#"{"sub":"ann","exp":1700000000.9,"iat":1600000000,"scope":["a"]}"#)
            .expect("a token");
        assert_eq!(token.principal, "ann");
        assert_eq!(token.expires, 1_700_000_000_000);
        assert_eq!(token.start, Some(1_600_000_000_000));
    }

    #[test]
    fn what_is_no_token_for_a_client_is_refused() {
        for payload in [
            "no JSON",
            r#"{"sub":"ann"}"#,
            r#"{"exp":1}"#,
            r#"{"sub":" ","exp":1}"#,
            r#"{"sub":"ann","exp":1,"scope":5}"#,
        ] {
            let error = read(payload).expect_err(payload);
            assert!(!error.message().contains("ann"), "{error}");
        }
        let names = Names {
            scope: "scope".to_owned(),
            sub: "sub".to_owned(),
        };
        assert!(names.read("opaque").is_err());
        assert!(names.read("a.b.c.d").is_err());
    }
}
