//! Signatures of requests between workers: when a leader makes a new key, and who is believed.
//!
//! Pure but for the randomness of a new key. Answers for `SessionKey`, `InternalRequestSignature`
//! and the key handling of `DistributedHerder`.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD as BASE64};
use connect_api::{Error, Result};

use super::request::{Refusal, RequestError, SignedRequest};
use crate::config::WorkerConfig;
use crate::group::mac::{digest, mac};
use crate::store::cluster_state::SessionKey;

/// The header with the signature.
pub(crate) const SIGNATURE_HEADER: &str = "X-Connect-Authorization";
/// The header with its algorithm.
pub(crate) const ALGORITHM_HEADER: &str = "X-Connect-Request-Signature-Algorithm";

/// The longest that a key can be told to live.
const FOR_EVER_MS: i64 = i32::MAX as i64;

/// What the worker's options say about keys and signatures.
#[derive(Clone, Debug)]
pub(super) struct SessionSettings {
    key_algorithm: String,
    key_bytes: usize,
    ttl_ms: i64,
    signature_algorithm: String,
    verified_algorithms: Vec<String>,
}

impl SessionSettings {
    /// From the worker's options.
    ///
    /// # Errors
    /// Kind Config: an algorithm is not known here.
    pub(super) fn of(worker: &WorkerConfig) -> Result<Self> {
        let options = &worker.options;
        let known = |key: &str| {
            let name = options.string(key).to_owned();
            match digest(&name) {
                Some((_, length)) => Ok((name, length)),
                None => Err(Error::config(format!(
                    "Invalid value {name} for configuration {key}: this worker has HmacMD5, \
                     HmacSHA1, HmacSHA224, HmacSHA256, HmacSHA384 and HmacSHA512"
                ))),
            }
        };
        let (key_algorithm, default_bytes) = known("inter.worker.key.generation.algorithm")?;
        let bits = options.int_opt("inter.worker.key.size");
        let bytes = bits.and_then(|bits| usize::try_from(bits / 8).ok());
        Ok(Self {
            key_algorithm,
            key_bytes: bytes.unwrap_or(default_bytes).max(1),
            ttl_ms: options.int("inter.worker.key.ttl.ms"),
            signature_algorithm: known("inter.worker.signature.algorithm")?.0,
            verified_algorithms: options
                .list("inter.worker.verification.algorithms")
                .to_vec(),
        })
    }

    /// Whether a leader has to make a new key, and if not, in how many milliseconds it has to look
    /// again. A key that may live for 0 ms lives for ever, as in the JVM.
    pub(super) fn is_due(
        &self,
        key: Option<&SessionKey>,
        now_ms: i64,
    ) -> std::result::Result<(), i64> {
        let Some(key) = key else {
            return Ok(());
        };
        if key.algorithm != self.key_algorithm || key.key.len() != self.key_bytes {
            return Ok(());
        }
        if self.ttl_ms == 0 {
            return Err(FOR_EVER_MS);
        }
        let left = key
            .created_ms
            .saturating_add(self.ttl_ms)
            .saturating_sub(now_ms);
        // A clock that was set back must not make a key last for ever.
        if left <= 0 || left > self.ttl_ms {
            Ok(())
        } else {
            Err(left)
        }
    }

    /// A new key.
    ///
    /// # Errors
    /// There is no randomness.
    pub(super) fn make(&self, now_ms: i64) -> Result<SessionKey> {
        let mut key = vec![0; self.key_bytes];
        openssl::rand::rand_bytes(&mut key)
            .map_err(|error| Error::fatal("making a session key").with_source(error))?;
        Ok(SessionKey {
            key,
            algorithm: self.key_algorithm.clone(),
            created_ms: now_ms,
        })
    }

    /// The values of both headers for a body.
    ///
    /// # Errors
    /// The key is of no use.
    pub(super) fn sign(&self, key: &SessionKey, body: &[u8]) -> Result<(String, String)> {
        let (digest, _) = digest(&self.signature_algorithm)
            .ok_or_else(|| Error::config("inter.worker.signature.algorithm is not known"))?;
        let signature = BASE64.encode(mac(digest, &key.key, body)?);
        Ok((signature, self.signature_algorithm.clone()))
    }

    /// Whether another worker of this group has signed a request.
    ///
    /// # Errors
    /// It has not, in the words of the JVM.
    pub(super) fn verify(
        &self,
        key: Option<&SessionKey>,
        signed: &SignedRequest,
    ) -> std::result::Result<(), RequestError> {
        let (Some(signature), Some(algorithm)) = (&signed.signature, &signed.algorithm) else {
            return Err(RequestError::bad_request(
                "Internal request missing required signature",
            ));
        };
        let Some((digest, _)) = digest(algorithm) else {
            return Err(RequestError::bad_request(format!(
                "Algorithm {algorithm} not available"
            )));
        };
        let signature = java_base64(signature).map_err(RequestError::bad_request)?;
        if !self
            .verified_algorithms
            .iter()
            .any(|known| known == algorithm)
        {
            return Err(RequestError::bad_request(format!(
                "This worker does not support the '{algorithm}' key signing algorithm used by other \
                 workers. This worker is currently configured to use: [{}]. Check that all workers' \
                 configuration files permit the same set of signature algorithms, and correct any \
                 misconfigured worker and restart it.",
                self.verified_algorithms.join(", ")
            )));
        }
        let Some(key) = key else {
            return Err(RequestError::new(
                Refusal::Unavailable,
                "This worker is still starting up and has not been able to read a session key from \
                 the config topic yet",
            ));
        };
        let expected = mac(digest, &key.key, &signed.body)?;
        if expected.len() == signature.len() && openssl::memcmp::eq(&expected, &signature) {
            return Ok(());
        }
        Err(RequestError::new(
            Refusal::Forbidden,
            "Internal request contained invalid signature.",
        ))
    }
}

const JAVA_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    NO_PAD.with_decode_allow_trailing_bits(true),
);

/// What `java.util.Base64.getDecoder` makes of a text: padding may be missing, bits that are left over
/// count for nothing.
///
/// # Errors
/// In its words.
fn java_base64(text: &str) -> std::result::Result<Vec<u8>, String> {
    const WRONG_END: &str = "Input byte array has wrong 4-byte ending unit";
    let bytes = text.as_bytes();
    if bytes.len() == 1 {
        return Err("Input byte[] should at least have 2 bytes for base64 bytes".to_owned());
    }
    let digits = bytes.iter().take_while(|byte| **byte != b'=').count();
    let (digits, padding) = bytes.split_at(digits);
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    if let Some(byte) = digits.iter().find(|byte| !is_digit(byte)) {
        return Err(format!("Illegal base64 character {byte:x}"));
    }
    // How much of the padding belongs there.
    let fits = match (digits.len() % 4, padding) {
        (_, []) => 0,
        (0, _) => return Err(WRONG_END.to_owned()),
        (2, [_, b'=', ..]) => 2,
        (2, _) => return Err(WRONG_END.to_owned()),
        _ => 1,
    };
    // Of legal digits, only one too many can be wrong.
    let decoded = JAVA_BASE64.decode(digits);
    let decoded = decoded.map_err(|_| "Last unit does not have enough valid bits".to_owned())?;
    if padding.len() > fits {
        let at = digits.len() + fits;
        return Err(format!(
            "Input byte array has incorrect ending byte at {at}"
        ));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SessionSettings {
        SessionSettings {
            key_algorithm: "HmacSHA256".to_owned(),
            key_bytes: 32,
            ttl_ms: 1_000,
            signature_algorithm: "HmacSHA256".to_owned(),
            verified_algorithms: vec!["HmacSHA256".to_owned()],
        }
    }

    fn refused(signed: &SignedRequest, key: Option<&SessionKey>) -> (Refusal, String) {
        match settings().verify(key, signed) {
            Ok(()) => (Refusal::BadRequest, "believed".to_owned()),
            Err(error) => (error.refusal, error.message),
        }
    }

    #[test]
    fn options_say_what_keys_and_signatures_are() {
        let worker = crate::config::tests::config(&[
            ("inter.worker.key.generation.algorithm", "HmacSHA1"),
            ("inter.worker.key.size", "128"),
            ("inter.worker.key.ttl.ms", "7"),
            ("inter.worker.signature.algorithm", "HmacSHA512"),
            ("inter.worker.verification.algorithms", "HmacSHA512,HmacMD5"),
        ]);
        let settings = SessionSettings::of(&worker.expect("valid")).expect("known");
        let key = settings.make(0).expect("randomness");
        assert_eq!((key.algorithm.as_str(), key.key.len()), ("HmacSHA1", 16));
        assert_eq!(settings.is_due(Some(&key), 6), Err(1));
        assert_eq!(settings.is_due(Some(&key), 7), Ok(()));
        let (signature, algorithm) = settings.sign(&key, b"[]").expect("signed");
        assert_eq!(algorithm, "HmacSHA512");
        let signed = |algorithm: &str| SignedRequest {
            body: b"[]".to_vec(),
            signature: Some(signature.clone()),
            algorithm: Some(algorithm.to_owned()),
        };
        assert!(settings.verify(Some(&key), &signed("HmacSHA512")).is_ok());
        let unlisted = settings.verify(Some(&key), &signed("HmacSHA256"));
        assert!(unlisted.is_err_and(|error| error.refusal == Refusal::BadRequest));
    }

    #[test]
    fn a_key_is_made_when_there_is_none_when_it_is_old_and_when_it_is_of_another_kind() {
        let settings = settings();
        assert_eq!(settings.is_due(None, 0), Ok(()));
        let mut key = settings.make(5_000).expect("randomness");
        assert_eq!(key.key.len(), 32);
        assert_eq!(settings.is_due(Some(&key), 5_400), Err(600));
        assert_eq!(settings.is_due(Some(&key), 6_000), Ok(()));
        assert_eq!(
            settings.is_due(Some(&key), 1),
            Ok(()),
            "the clock was set back"
        );
        let for_ever = SessionSettings {
            ttl_ms: 0,
            ..settings.clone()
        };
        assert_eq!(for_ever.is_due(Some(&key), 1 << 60), Err(FOR_EVER_MS));
        key.algorithm = "HmacSHA1".to_owned();
        assert_eq!(settings.is_due(Some(&key), 5_400), Ok(()));
        assert_eq!(for_ever.is_due(Some(&key), 5_400), Ok(()));
    }

    /// The leader looks when it was told to, by a clock that does not jump; the one on the wall, by
    /// which keys are dated, does.
    #[test]
    fn a_clock_that_jumps_costs_a_key_at_most_and_makes_none_that_stays() {
        let settings = settings();
        let day = 86_400_000;
        let jumps = [0, -day, 300, day, -700, 2, -1, 999, -day, -day, 400 * day];
        let (mut now, mut shift, mut made) = (0_i64, 0_i64, 0);
        let mut key: Option<(SessionKey, i64)> = None;
        for round in 0..1_100 {
            match settings.is_due(key.as_ref().map(|(key, _)| key), day + now + shift) {
                Ok(()) => {
                    let new = settings.make(day + now + shift).expect("randomness");
                    key = Some((new, now));
                    made += 1;
                }
                Err(left) => {
                    assert!(
                        (1..=settings.ttl_ms).contains(&left),
                        "it looks again in time"
                    );
                    now += left;
                }
            }
            if round % 10 == 0 {
                shift += jumps[round / 10 % jumps.len()];
            }
            let age = key.as_ref().map_or(0, |(_, since)| now - since);
            assert!(
                age <= 2 * settings.ttl_ms,
                "a key of {age} ms in round {round}"
            );
        }
        let jumped = 110;
        assert!(
            i64::from(made) <= now / settings.ttl_ms + 1 + jumped,
            "{made} keys in {now} ms"
        );
    }

    #[test]
    fn what_is_signed_with_the_key_is_believed_and_nothing_else() {
        let settings = settings();
        let key = settings.make(0).expect("randomness");
        let (signature, algorithm) = settings.sign(&key, b"[]").expect("signed");
        let signed = SignedRequest {
            body: b"[]".to_vec(),
            signature: Some(signature),
            algorithm: Some(algorithm),
        };
        assert!(settings.verify(Some(&key), &signed).is_ok());
        assert_eq!(refused(&signed, None).0, Refusal::Unavailable);
        let other = settings.make(0).expect("randomness");
        assert_eq!(
            refused(&signed, Some(&other)),
            (
                Refusal::Forbidden,
                "Internal request contained invalid signature.".to_owned()
            )
        );
        let mut bad = signed.clone();
        bad.body = b"[{}]".to_vec();
        assert_eq!(refused(&bad, Some(&key)).0, Refusal::Forbidden);
        bad.signature = Some("*abc".to_owned());
        assert_eq!(refused(&bad, Some(&key)).1, "Illegal base64 character 2a");
        bad.algorithm = Some("nope".to_owned());
        assert_eq!(refused(&bad, Some(&key)).1, "Algorithm nope not available");
        bad.algorithm = None;
        assert_eq!(
            refused(&bad, Some(&key)).1,
            "Internal request missing required signature"
        );
        bad = signed;
        bad.algorithm = Some("HmacSHA1".to_owned());
        assert!(
            refused(&bad, Some(&key))
                .1
                .starts_with("This worker does not support")
        );
    }

    #[test]
    fn base64_is_read_as_java_reads_it() {
        let read = |text: &str| java_base64(text);
        for text in ["YWI=", "YWI", "YWJ="] {
            assert_eq!(read(text), Ok(b"ab".to_vec()), "{text}");
        }
        assert_eq!(read("YQ=="), Ok(b"a".to_vec()));
        assert_eq!(read("YWJjZA"), Ok(b"abcd".to_vec()));
        assert_eq!(read(""), Ok(Vec::new()));
        let end = "Input byte array has wrong 4-byte ending unit";
        for (text, why) in [
            (
                "*",
                "Input byte[] should at least have 2 bytes for base64 bytes",
            ),
            ("YW*j", "Illegal base64 character 2a"),
            ("YQ=", end),
            ("YQ=x", end),
            ("YWJj=", end),
            ("YWJjZ", "Last unit does not have enough valid bits"),
            ("Y=", "Last unit does not have enough valid bits"),
            ("YWI=x", "Input byte array has incorrect ending byte at 4"),
        ] {
            assert_eq!(read(text), Err(why.to_owned()), "{text}");
        }
    }

    /// The empty body's code under the key of 32 zero bytes, as `javax.crypto.Mac` gives it.
    #[test]
    fn a_signature_is_that_of_java() {
        let key = SessionKey {
            key: vec![0; 32],
            algorithm: "HmacSHA256".to_owned(),
            created_ms: 0,
        };
        let (signature, _) = settings().sign(&key, b"").expect("signed");
        assert_eq!(signature, "thNnmggU2ex3L5XXeMNfxf8Wl8STcVZTxscSFEKSxa0=");
    }
}
