//! The JKS format: a list of entries, a digest over it, and keys behind a SHA-1 key stream.
//!
//! Answers for `sun.security.provider.{JavaKeyStore, KeyProtector}`.

use sha1::{Digest as _, Sha1};

use super::{Store, identity};

const DIGEST: usize = 20;
const TRUNCATED: &str = "the JKS store ends too early";

/// Reads a store; the digest is checked where there is a password.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(
    bytes: &[u8],
    password: Option<&str>,
    key_password: Option<&str>,
) -> Result<Store, String> {
    let Some(length) = bytes.len().checked_sub(DIGEST) else {
        return Err(TRUNCATED.to_owned());
    };
    let (data, digest) = bytes.split_at(length);
    if let Some(password) = password {
        let mut hash = Sha1::new();
        hash.update(utf16(password));
        hash.update(b"Mighty Aphrodite");
        hash.update(data);
        if hash.finalize().as_slice() != digest {
            return Err("the JKS store was tampered with, or its password is wrong".to_owned());
        }
    }
    let mut input = Input(data);
    input.take(4)?;
    let version = input.number()?;
    let mut store = Store::default();
    for _ in 0..input.number()? {
        let tag = input.number()?;
        input.text()?;
        input.take(8)?;
        match tag {
            1 => {
                let protected = input.block()?;
                let mut chain = Vec::new();
                for _ in 0..input.number()? {
                    chain.push(input.certificate(version)?);
                }
                if store.identity.is_none()
                    && let Some(password) = key_password
                {
                    store.identity = Some(identity(&unprotect(protected, password)?, &chain));
                }
            }
            2 => store.trusted.push(input.certificate(version)?),
            other => {
                return Err(format!(
                    "the JKS store has an entry of unknown kind {other}"
                ));
            }
        }
    }
    Ok(store)
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(taken)
    }
    fn number(&mut self) -> Result<usize, String> {
        let bytes = self.take(4)?;
        Ok(bytes
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
    fn text(&mut self) -> Result<&'a [u8], String> {
        let length = self
            .take(2)?
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte));
        self.take(length)
    }
    fn block(&mut self) -> Result<&'a [u8], String> {
        let length = self.number()?;
        self.take(length)
    }
    fn certificate(&mut self, version: usize) -> Result<Vec<u8>, String> {
        if version > 1 {
            self.text()?;
        }
        Ok(self.block()?.to_vec())
    }
    /// The content of the next DER element, which has this tag.
    fn element(&mut self, tag: u8) -> Result<&'a [u8], String> {
        let strange = || "a key of the JKS store is not protected as JKS keys are".to_owned();
        if self.take(1)? != [tag] {
            return Err(strange());
        }
        let length = match self.take(1)? {
            [short @ 0..=0x7f] => usize::from(*short),
            [long @ 0x81..=0x84] => self
                .take(usize::from(long & 0x7f))?
                .iter()
                .fold(0, |number, byte| number << 8 | usize::from(*byte)),
            _ => return Err(strange()),
        };
        self.take(length)
    }
}

/// The PKCS#8 key in an `EncryptedPrivateKeyInfo` of the JVM's own algorithm.
fn unprotect(protected: &[u8], password: &str) -> Result<Vec<u8>, String> {
    const SEQUENCE: u8 = 0x30;
    const OCTETS: u8 = 0x04;
    let mut info = Input(Input(protected).element(SEQUENCE)?);
    info.element(SEQUENCE)?;
    let mut octets = Input(info.element(OCTETS)?);
    let salt = octets.take(DIGEST)?;
    let Some(length) = octets.0.len().checked_sub(DIGEST) else {
        return Err(TRUNCATED.to_owned());
    };
    let encrypted = octets.take(length)?;
    let digest = octets.0;
    let password = utf16(password);
    let keyed = |bytes: &[u8]| {
        let mut hash = Sha1::new();
        hash.update(&password);
        hash.update(bytes);
        hash.finalize().to_vec()
    };
    let mut stream = salt.to_vec();
    let mut key = Vec::with_capacity(encrypted.len());
    for chunk in encrypted.chunks(DIGEST) {
        stream = keyed(&stream);
        key.extend(chunk.iter().zip(&stream).map(|(byte, mask)| byte ^ mask));
    }
    match keyed(&key) == digest {
        true => Ok(key),
        false => Err("the password of the key in the JKS store is wrong".to_owned()),
    }
}
