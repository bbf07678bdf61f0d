//! Masks: what is done to a column's values after they are decoded.
//!
//! Answers for `MaskStrings` and `TruncateColumn`.

use bytes::BufMut;
use connect_api::ByteString;
use connect_api::data::{SchemaBuilder, Value};
use md5::Md5;
use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::text;
use crate::error::PgError;
use crate::filter::Mask;

/// A mask that is ready for use.
#[derive(Clone)]
pub(super) enum Masking {
    Truncate(usize),
    Fixed(ByteString),
    Hash {
        digest: Box<dyn DynDigestClone>,
        salt: Vec<u8>,
        v2: bool,
        limit: usize,
    },
}

impl std::fmt::Debug for Masking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A salt is a secret.
        f.write_str(match self {
            Self::Truncate(_) => "Truncate",
            Self::Fixed(_) => "Fixed",
            Self::Hash { .. } => "Hash",
        })
    }
}

/// A digest that can be copied and shared among threads.
pub(super) trait DynDigestClone: Send + Sync {
    fn copy(&self) -> Box<dyn DynDigestClone>;
    fn digest(&self, parts: &[&[u8]]) -> Vec<u8>;
}

impl Clone for Box<dyn DynDigestClone> {
    fn clone(&self) -> Self {
        self.copy()
    }
}

impl<T: DynDigest + Clone + Send + Sync + 'static> DynDigestClone for T {
    fn copy(&self) -> Box<dyn DynDigestClone> {
        Box::new(self.clone())
    }

    fn digest(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut digest = self.clone();
        for part in parts {
            DynDigest::update(&mut digest, part);
        }
        Box::new(digest).finalize().into_vec()
    }
}

/// The digest that Java knows by this name.
fn digest(algorithm: &str) -> Option<Box<dyn DynDigestClone>> {
    Some(match algorithm.to_ascii_uppercase().as_str() {
        "MD5" => Box::new(Md5::default()),
        "SHA" | "SHA1" | "SHA-1" => Box::new(Sha1::default()),
        "SHA-224" => Box::new(Sha224::default()),
        "SHA-256" => Box::new(Sha256::default()),
        "SHA-384" => Box::new(Sha384::default()),
        "SHA-512" => Box::new(Sha512::default()),
        _ => return None,
    })
}

/// Prepares a mask for a column of this declared length; tells the schema. `is_text` says whether
/// the column's JDBC type is a character type: others keep their values.
pub(super) fn prepare(
    mask: &Mask,
    length: i32,
    is_text: bool,
    builder: SchemaBuilder,
) -> Result<(SchemaBuilder, Option<Masking>), PgError> {
    match mask {
        Mask::PropagateType => Ok((builder, None)),
        Mask::Truncate(limit) => {
            let possible = i64::from(length) > i64::try_from(*limit).unwrap_or(i64::MAX);
            if !possible {
                return Ok((builder, None));
            }
            let builder = builder.parameter("truncateLength", limit.to_string());
            Ok((builder, Some(Masking::Truncate(*limit))))
        }
        Mask::Fixed(count) => {
            let masking = is_text.then(|| Masking::Fixed(ByteString::from("*".repeat(*count))));
            Ok((builder.parameter("masked", "true"), masking))
        }
        Mask::Hash {
            algorithm,
            salt,
            v2,
        } => {
            let digest = digest(algorithm).ok_or_else(|| {
                PgError::Config(format!("{algorithm} MessageDigest not available"))
            })?;
            let masking = Masking::Hash {
                digest,
                salt: salt.clone().into_bytes(),
                v2: *v2,
                limit: usize::try_from(length).unwrap_or_default(),
            };
            Ok((
                builder.parameter("masked", "true"),
                is_text.then_some(masking),
            ))
        }
    }
}

impl Masking {
    /// The masked value.
    pub(super) fn apply(&self, value: Value) -> Value {
        match (self, value) {
            (Self::Truncate(limit), value) => text::truncate(value, *limit),
            // Whatever it was, null too.
            (Self::Fixed(stars), _) => Value::String(stars.clone()),
            (
                Self::Hash {
                    digest,
                    salt,
                    v2,
                    limit,
                },
                Value::String(value),
            ) => {
                let octets = if *v2 {
                    value.as_bytes().to_vec()
                } else {
                    serialized(&value)
                };
                let hash = Value::from(text::hex(&digest.digest(&[salt, &octets])));
                if *limit > 0 {
                    text::truncate(hash, *limit)
                } else {
                    hash
                }
            }
            (Self::Hash { .. }, _) => Value::Null,
        }
    }
}

/// A `String` as `ObjectOutputStream` writes it: magic, version, a type code, length, and UTF-8
/// in which zero has two octets and each half of a pair three.
fn serialized(text: &str) -> Vec<u8> {
    let mut modified = Vec::with_capacity(text.len());
    for unit in text.encode_utf16() {
        let [high, low] = unit.to_be_bytes();
        match unit {
            1..=0x7f => modified.push(low),
            0 | 0x80..=0x7ff => {
                modified.push(0xc0 | high << 2 | low >> 6);
                modified.push(0x80 | low & 0x3f);
            }
            _ => {
                modified.push(0xe0 | high >> 4);
                modified.push(0x80 | (high & 0x0f) << 2 | low >> 6);
                modified.push(0x80 | low & 0x3f);
            }
        }
    }
    let mut out = vec![0xac, 0xed, 0, 5];
    match u16::try_from(modified.len()) {
        Ok(length) => {
            out.push(0x74);
            out.put_u16(length);
        }
        // A long string.
        Err(_) => {
            out.push(0x7c);
            out.put_u64(u64::try_from(modified.len()).unwrap_or(u64::MAX));
        }
    }
    out.extend_from_slice(&modified);
    out
}

#[cfg(test)]
mod tests {
    use connect_api::data::Schema;

    use super::*;

    fn masked(mask: &Mask, length: i32, value: &str) -> Value {
        let (_, masking) = prepare(mask, length, true, Schema::string()).unwrap();
        masking.unwrap().apply(Value::from(value))
    }

    fn hash(algorithm: &str, v2: bool) -> Mask {
        Mask::Hash {
            algorithm: algorithm.to_owned(),
            salt: "abc".to_owned(),
            v2,
        }
    }

    #[test]
    fn a_java_string_is_serialized_in_modified_utf_8() {
        assert_eq!(
            serialized("aé"),
            [0xac, 0xed, 0, 5, 0x74, 0, 3, b'a', 0xc3, 0xa9]
        );
        assert_eq!(
            serialized("\0𝄞")[5..],
            [0, 8, 0xc0, 0x80, 0xed, 0xa0, 0xb4, 0xed, 0xb4, 0x9e]
        );
        assert_eq!(
            serialized(&"x".repeat(70_000))[4..13],
            [0x7c, 0, 0, 0, 0, 0, 1, 0x11, 0x70]
        );
    }

    #[test]
    fn hashes_are_cut_to_the_columns_length_and_stars_replace_null() {
        assert_eq!(
            masked(&hash("SHA-256", true), 10, "x")
                .as_str()
                .unwrap()
                .len(),
            10
        );
        assert_eq!(
            masked(&hash("MD5", false), i32::MAX, "x")
                .as_str()
                .unwrap()
                .len(),
            32
        );
        let (_, masking) = prepare(&Mask::Fixed(3), 5, true, Schema::string()).unwrap();
        assert_eq!(masking.unwrap().apply(Value::Null), Value::from("***"));
        assert!(prepare(&hash("nope", true), 5, true, Schema::string()).is_err());
        let (builder, masking) = prepare(&Mask::Truncate(5), 5, true, Schema::string()).unwrap();
        assert!(masking.is_none() && builder.build().parameters().is_empty());
    }
}
