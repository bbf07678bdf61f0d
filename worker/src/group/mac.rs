//! Message authentication codes by Java's names of their algorithms. No keys are kept here.

use connect_api::{Error, Result};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

/// The digest of a `javax.crypto.Mac` algorithm, with the length of the keys that Java makes for it.
pub(crate) fn digest(algorithm: &str) -> Option<(MessageDigest, usize)> {
    Some(match algorithm.to_ascii_uppercase().as_str() {
        "HMACMD5" => (MessageDigest::md5(), 64),
        "HMACSHA1" => (MessageDigest::sha1(), 64),
        "HMACSHA224" => (MessageDigest::sha224(), 28),
        "HMACSHA256" => (MessageDigest::sha256(), 32),
        "HMACSHA384" => (MessageDigest::sha384(), 48),
        "HMACSHA512" => (MessageDigest::sha512(), 64),
        _ => return None,
    })
}

/// The code of a message.
///
/// # Errors
/// The key is empty.
pub(crate) fn mac(digest: MessageDigest, key: &[u8], message: &[u8]) -> Result<Vec<u8>> {
    let made =
        PKey::hmac(key).and_then(|key| Signer::new(digest, &key)?.sign_oneshot_to_vec(message));
    made.map_err(|error| Error::fatal("signing").with_source(error))
}
