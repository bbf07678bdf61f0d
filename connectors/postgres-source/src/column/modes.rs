//! The options that decide how values appear.
//!
//! Answers for Debezium's `DecimalMode`, `TemporalPrecisionMode`, `BinaryHandlingMode`,
//! `HStoreHandlingMode`, `IntervalHandlingMode` and `UnchangedToastedPlaceholder`.

use bytes::Bytes;
use connect_api::ByteString;

use crate::config::{CompatVersion, choice};

choice! {
    /// `binary.handling.mode`.
    BinaryMode {
        /// BYTES.
        Bytes = "bytes",
        /// Base64 text.
        Base64 = "base64",
        /// Hexadecimal text, lower case.
        Hex = "hex",
        /// Base64 text in the alphabet for URLs.
        Base64Url = "base64-url-safe",
    }
}
choice! {
    /// `decimal.handling.mode`.
    DecimalMode {
        /// Connect's Decimal, or a struct with its own scale.
        Precise = "precise",
        /// Text.
        String = "string",
        /// FLOAT64.
        Double = "double",
    }
}
choice! {
    /// `time.precision.mode`.
    TimeMode {
        /// The unit by the column's precision.
        Adaptive = "adaptive",
        /// The same, times of day in microseconds.
        AdaptiveTimeMicroseconds = "adaptive_time_microseconds",
        /// Connect's own types.
        Connect = "connect",
        /// Microseconds.
        Microseconds = "microseconds",
        /// Nanoseconds.
        Nanoseconds = "nanoseconds",
        /// ISO 8601 text.
        IsoString = "isostring",
        /// Structs of the parts.
        Structured = "structured",
    }
}
choice! {
    /// `hstore.handling.mode`.
    HstoreMode {
        /// JSON text.
        Json = "json",
        /// MAP.
        Map = "map",
    }
}
choice! {
    /// `interval.handling.mode`.
    IntervalMode {
        /// Microseconds.
        Numeric = "numeric",
        /// ISO 8601 text.
        String = "string",
    }
}

/// What stands for a toasted value that was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// Among texts.
    pub text: ByteString,
    /// Among bytes.
    pub bytes: Bytes,
}

impl Placeholder {
    /// Reads `unavailable.value.placeholder`: a text, or octets behind `hex:`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let octets = text
            .strip_prefix("hex:")
            .and_then(|digits| super::text::parse_hex(digits.as_bytes()));
        let bytes = octets.map_or_else(|| Bytes::copy_from_slice(text.as_bytes()), Bytes::from);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Self {
            text: ByteString::from(text),
            bytes,
        }
    }
}

/// How values appear.
#[derive(Clone, Debug)]
pub struct Modes {
    /// `binary.handling.mode`.
    pub binary: BinaryMode,
    /// `decimal.handling.mode`.
    pub decimal: DecimalMode,
    /// `time.precision.mode`.
    pub time: TimeMode,
    /// `hstore.handling.mode`.
    pub hstore: HstoreMode,
    /// `interval.handling.mode`.
    pub interval: IntervalMode,
    /// `include.unknown.datatypes`.
    pub include_unknown: bool,
    /// `money.fraction.digits`.
    pub money_fraction_digits: i32,
    /// `unavailable.value.placeholder`.
    pub placeholder: Placeholder,
    /// `debezium.compat.version`.
    pub compat: CompatVersion,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            binary: BinaryMode::Bytes,
            decimal: DecimalMode::Precise,
            time: TimeMode::Adaptive,
            hstore: HstoreMode::Json,
            interval: IntervalMode::Numeric,
            include_unknown: false,
            money_fraction_digits: 2,
            placeholder: Placeholder::parse("__debezium_unavailable_value"),
            compat: CompatVersion::V37,
        }
    }
}
