//! Logging in to a broker: PLAIN, SCRAM and OAUTHBEARER, as a conversation of messages. A token may
//! have to be fetched first; apart from that, no I/O.
//!
//! Never shows a password. Answers for `PlainSaslClient`, `ScramSaslClient`
//! (RFC 5802) and `OAuthBearerSaslClient` (RFC 7628).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use connect_api::{Error, Result};
use openssl::hash::{MessageDigest, hash};
use openssl::pkcs5;

use super::mac::mac;
use crate::kafka::{ClientConfig, oauth};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    Plain,
    Scram256,
    Scram512,
    OAuthBearer,
}

/// Who logs in, and how.
#[derive(Clone)]
pub(super) struct Login {
    mechanism: Mechanism,
    user: String,
    password: String,
    /// Names where tokens come from.
    tokens: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

impl Login {
    /// From the settings of a librdkafka client.
    ///
    /// # Errors
    /// Kind Config: the mechanism is one that this worker does not have.
    pub(super) fn of(config: &ClientConfig) -> Result<Self> {
        let name = config.get("sasl.mechanism").unwrap_or("GSSAPI");
        let mechanism = match name.to_ascii_uppercase().as_str() {
            "PLAIN" => Mechanism::Plain,
            "SCRAM-SHA-256" => Mechanism::Scram256,
            "SCRAM-SHA-512" => Mechanism::Scram512,
            "OAUTHBEARER" => Mechanism::OAuthBearer,
            _ => {
                return Err(Error::config(format!(
                    "sasl.mechanism={name} cannot be used by the worker's group: it has PLAIN, \
                     SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER"
                )));
            }
        };
        let text = |key: &str| config.get(key).unwrap_or_default().to_owned();
        Ok(Self {
            mechanism,
            user: text("sasl.username"),
            password: text("sasl.password"),
            tokens: oauth::handle(config).unwrap_or_default().to_owned(),
        })
    }

    /// Its name in the handshake.
    pub(super) fn mechanism(&self) -> &'static str {
        match self.mechanism {
            Mechanism::Plain => "PLAIN",
            Mechanism::Scram256 => "SCRAM-SHA-256",
            Mechanism::Scram512 => "SCRAM-SHA-512",
            Mechanism::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// Begins to talk. Blocks while a token is fetched.
    ///
    /// # Errors
    /// No token is to be had.
    pub(super) fn begin(&self) -> Result<Conversation> {
        if self.mechanism == Mechanism::OAuthBearer {
            let token = oauth::token(&self.tokens)?;
            return Ok(self.begin_with(token.value));
        }
        Ok(self.begin_with(uuid::Uuid::new_v4().simple().to_string()))
    }

    fn begin_with(&self, nonce: String) -> Conversation {
        Conversation {
            login: self.clone(),
            nonce,
            step: Step::First,
        }
    }
}

enum Step {
    First,
    /// What the client said first, without its header.
    Proof(String),
    /// What the server has to prove.
    Check(Vec<u8>),
    /// Whether the server takes the token.
    Taken,
    Done,
}

/// A login under way.
pub(super) struct Conversation {
    login: Login,
    /// A nonce, or the token.
    nonce: String,
    step: Step,
}

impl std::fmt::Debug for Conversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conversation").finish_non_exhaustive()
    }
}

impl Conversation {
    /// What is to be sent after this answer of the server; `None` when all is said.
    ///
    /// # Errors
    /// The server does not know what it should, or talks nonsense.
    pub(super) fn next(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>> {
        let Login {
            mechanism,
            user,
            password,
            ..
        } = &self.login;
        match (std::mem::replace(&mut self.step, Step::Done), mechanism) {
            (Step::First, Mechanism::Plain) => {
                Ok(Some(format!("\0{user}\0{password}").into_bytes()))
            }
            (Step::First, Mechanism::OAuthBearer) => {
                self.step = Step::Taken;
                let token = &self.nonce;
                Ok(Some(
                    format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}").into_bytes(),
                ))
            }
            (Step::Taken, _) if challenge.is_empty() => Ok(None),
            // The server says why not, and refuses once that was heard.
            (Step::Taken, _) => Ok(Some(vec![1])),
            (Step::First, _) => {
                let user = user.replace('=', "=3D").replace(',', "=2C");
                let bare = format!("n={user},r={}", self.nonce);
                let message = format!("n,,{bare}").into_bytes();
                self.step = Step::Proof(bare);
                Ok(Some(message))
            }
            (Step::Proof(bare), mechanism) => {
                let (message, check) = proof(*mechanism, password, &self.nonce, &bare, challenge)?;
                self.step = Step::Check(check);
                Ok(Some(message))
            }
            (Step::Check(expected), _) => {
                let text = String::from_utf8_lossy(challenge);
                let proved = text
                    .strip_prefix("v=")
                    .and_then(|proof| BASE64.decode(proof).ok())
                    .is_some_and(|proof| proof == expected);
                if proved {
                    Ok(None)
                } else {
                    Err(Error::fatal(
                        "logging in: the broker does not know the password itself",
                    ))
                }
            }
            (Step::Done, _) => Ok(None),
        }
    }
}

fn proof(
    mechanism: Mechanism,
    password: &str,
    nonce: &str,
    bare: &str,
    challenge: &[u8],
) -> Result<(Vec<u8>, Vec<u8>)> {
    let nonsense = || Error::fatal("logging in: the broker's challenge makes no sense");
    let text = std::str::from_utf8(challenge).map_err(|_bytes| nonsense())?;
    let field = |name: &str| {
        text.split(',')
            .find_map(|field| field.strip_prefix(name))
            .ok_or_else(nonsense)
    };
    let whole_nonce = field("r=")?;
    let salt = BASE64.decode(field("s=")?).map_err(|_bytes| nonsense())?;
    let iterations: u32 = field("i=")?.parse().map_err(|_number| nonsense())?;
    if !whole_nonce.starts_with(nonce) || !(4_096..=10_000_000).contains(&iterations) {
        return Err(nonsense());
    }
    let without_proof = format!("c=biws,r={whole_nonce}");
    let signed = format!("{bare},{text},{without_proof}");
    let digest = digest(mechanism);
    let mut salted = vec![0; digest.size()];
    let rounds = usize::try_from(iterations).unwrap_or(usize::MAX);
    pkcs5::pbkdf2_hmac(password.as_bytes(), &salt, rounds, digest, &mut salted)
        .map_err(|error| Error::fatal("logging in").with_source(error))?;
    let client_key = mac(digest, &salted, b"Client Key")?;
    let stored_key =
        hash(digest, &client_key).map_err(|error| Error::fatal("logging in").with_source(error))?;
    let signature = mac(digest, &stored_key, signed.as_bytes())?;
    let proof: Vec<u8> = client_key
        .iter()
        .zip(&signature)
        .map(|(a, b)| a ^ b)
        .collect();
    let server_key = mac(digest, &salted, b"Server Key")?;
    let check = mac(digest, &server_key, signed.as_bytes())?;
    let message = format!("{without_proof},p={}", BASE64.encode(proof));
    Ok((message.into_bytes(), check))
}

fn digest(mechanism: Mechanism) -> MessageDigest {
    match mechanism {
        Mechanism::Scram512 => MessageDigest::sha512(),
        Mechanism::Plain | Mechanism::Scram256 | Mechanism::OAuthBearer => MessageDigest::sha256(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(mechanism: &str, user: &str, password: &str) -> Login {
        let mut config = ClientConfig::new();
        config
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", user)
            .set("sasl.password", password);
        Login::of(&config).expect("a known mechanism")
    }

    /// The example of RFC 7677.
    #[test]
    fn scram_proves_the_password_and_checks_the_servers_proof() {
        let login = login("SCRAM-SHA-256", "user", "pencil");
        let mut talk = login.begin_with("rOprNGfwEbeRWgbNEkqO".to_owned());
        let first = talk.next(b"").expect("begins");
        assert_eq!(
            first.as_deref(),
            Some(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO".as_slice())
        );
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let second = talk
            .next(challenge.as_bytes())
            .expect("a proof")
            .unwrap_or_default();
        assert_eq!(
            String::from_utf8_lossy(&second),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let check = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(talk.next(check).ok(), Some(None));
    }

    #[test]
    fn a_server_without_the_password_is_not_believed() {
        let login = login("SCRAM-SHA-512", "u", "p");
        let mut talk = login.begin_with("abc".to_owned());
        assert!(talk.next(b"").is_ok());
        assert!(talk.next(b"r=abcdef,s=c2FsdA==,i=4096").is_ok());
        assert!(talk.next(b"v=AAAA").is_err());
        let mut talk = login.begin_with("abc".to_owned());
        assert!(talk.next(b"").is_ok());
        assert!(
            talk.next(b"r=other,s=c2FsdA==,i=4096").is_err(),
            "not our nonce"
        );
    }

    #[test]
    fn plain_says_user_and_password_and_is_done() {
        let mut talk = login("PLAIN", "u", "p").begin().expect("no token needed");
        assert_eq!(
            talk.next(b"").ok().flatten().as_deref(),
            Some(b"\0u\0p".as_slice())
        );
        assert_eq!(talk.next(b"").ok(), Some(None));
        let mut config = ClientConfig::new();
        config.set("sasl.mechanism", "GSSAPI");
        assert!(Login::of(&config).is_err());
    }

    #[test]
    fn a_token_is_shown_and_a_refusal_heard() {
        let login = login("OAUTHBEARER", "", "");
        let mut talk = login.begin_with("a.b.".to_owned());
        let first = b"n,,\x01auth=Bearer a.b.\x01\x01".as_slice();
        assert_eq!(talk.next(b"").ok().flatten().as_deref(), Some(first));
        assert_eq!(talk.next(b"").ok(), Some(None));
        let mut talk = login.begin_with("a.b.".to_owned());
        assert!(talk.next(b"").is_ok());
        let refusal = br#"{"status":"invalid_token"}"#;
        let last = talk.next(refusal).ok().flatten();
        assert_eq!(last.as_deref(), Some(b"\x01".as_slice()));
        assert!(login.begin().is_err(), "there is no such login");
    }
}
