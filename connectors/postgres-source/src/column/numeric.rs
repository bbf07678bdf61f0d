//! Exact numbers, money and bits as Connect values.
//!
//! Answers for `PostgresValueConverter.convertDecimal`, `convertMoney` and `convertBits`,
//! `SpecialValueDecimal` and `VariableScaleDecimal`.

use std::sync::Arc;

use bytes::Bytes;
use connect_api::data::{Decimal, Schema, SchemaBuilder, SchemaRef, Struct, Value, logical};
use connect_api::java::double_to_string;

use super::modes::{DecimalMode, Modes};
use crate::change::{Phase, Text};
use crate::config::CompatVersion;

/// A numeric with more digits behind the point than this comes from a negative scale that is
/// misread; Postgres itself allows 1000.
const SCALE_LIMIT: i32 = 1000;

/// How a numeric or money becomes a value.
#[derive(Clone, Debug)]
pub(super) enum Numeric {
    /// Connect's Decimal of this scale.
    Decimal(i32),
    /// A struct of scale and value.
    Variable(SchemaRef),
    /// Text as it is; of this scale where the text does not have it already.
    Text(Option<i32>),
    Double,
    Money(DecimalMode, i32, CompatVersion),
}

/// Precision and scale of a numeric's type modifier, as the driver reads them.
pub(super) fn precision_and_scale(modifier: i32) -> Option<(i32, i32)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    Some((packed >> 16 & 0xffff, packed & 0xffff))
}

/// The plan of a `numeric`.
pub(super) fn numeric(modes: &Modes, modifier: i32) -> (SchemaBuilder, Numeric) {
    let known = precision_and_scale(modifier);
    match (modes.decimal, known) {
        (DecimalMode::Double, _) => (Schema::float64(), Numeric::Double),
        (DecimalMode::String, _) => {
            let scale = known
                .map(|(_, scale)| scale)
                .filter(|scale| *scale > SCALE_LIMIT);
            (Schema::string(), Numeric::Text(scale))
        }
        (DecimalMode::Precise, Some((precision, scale))) => {
            let builder = logical::decimal(scale)
                .parameter("connect.decimal.precision", precision.to_string());
            (builder, Numeric::Decimal(scale))
        }
        (DecimalMode::Precise, None) => {
            let builder = Schema::structure()
                .name("io.debezium.data.VariableScaleDecimal")
                .version(1)
                .doc("Variable scaled decimal")
                .field("scale", Schema::int32().build())
                .field("value", Schema::bytes().build());
            let schema = builder.clone().optional().build();
            (builder, Numeric::Variable(schema))
        }
    }
}

/// The plan of a `money`.
pub(super) fn money(modes: &Modes) -> (SchemaBuilder, Numeric) {
    let digits = modes.money_fraction_digits;
    let builder = match modes.decimal {
        DecimalMode::Precise => logical::decimal(digits),
        DecimalMode::String => Schema::string(),
        DecimalMode::Double => Schema::float64(),
    };
    (builder, Numeric::Money(modes.decimal, digits, modes.compat))
}

impl Numeric {
    /// The value of a text; none where there is none in this form.
    #[inline]
    pub(super) fn decode(&self, text: Text<'_>, phase: Phase) -> Option<Value> {
        let bytes = text.as_bytes();
        match self {
            Self::Decimal(scale) => number(bytes)?.with_scale(*scale).map(Value::Decimal),
            Self::Variable(schema) => Some(variable(schema, &number(bytes)?)),
            Self::Text(scale) => match (bytes, scale) {
                (b"NaN", _) => Some(Value::text("NAN")),
                (b"Infinity", _) => Some(Value::text("POSITIVE_INFINITY")),
                (b"-Infinity", _) => Some(Value::text("NEGATIVE_INFINITY")),
                (_, None) => super::decoder::shared_text(text),
                (_, Some(scale)) => {
                    let number = number(bytes)?.with_scale(*scale)?;
                    Some(Value::from(number.to_plain_string()))
                }
            },
            Self::Double => super::decoder::parse_float(bytes).map(Value::Float64),
            Self::Money(mode, digits, compat) => {
                // Debezium 2.4 had its driver read money as a double.
                let inexact = *compat == CompatVersion::V24 && phase == Phase::Snapshot;
                money_value(bytes, *mode, *digits, inexact)
            }
        }
    }

    /// What stands for a null that may not be: zero.
    pub(super) fn fallback(&self, modifier: i32) -> Option<Value> {
        let zero = |scale| Decimal::new(0, 0).with_scale(scale);
        match self {
            Self::Decimal(scale) => zero(*scale).map(Value::Decimal),
            Self::Variable(schema) => Some(variable(schema, &Decimal::new(0, 0))),
            Self::Text(_) => {
                let scale = precision_and_scale(modifier).map_or(0, |(_, scale)| scale);
                zero(scale).map(|zero| Value::from(zero.to_plain_string()))
            }
            Self::Double | Self::Money(DecimalMode::Double, ..) => Some(Value::Float64(0.0)),
            Self::Money(DecimalMode::Precise, digits, _) => zero(*digits).map(Value::Decimal),
            Self::Money(DecimalMode::String, digits, _) => {
                zero(*digits).map(|zero| Value::from(zero.to_plain_string()))
            }
        }
    }

    /// The default that a literal means for this column; a struct cannot be one.
    pub(super) fn default_value(&self, literal: &str, modifier: i32) -> Option<Value> {
        let text = literal.as_bytes();
        match self {
            Self::Decimal(scale) => number(text)?.with_scale(*scale).map(Value::Decimal),
            Self::Text(_) => {
                let number = number(text)?;
                let number = match precision_and_scale(modifier) {
                    Some((_, scale)) => number.with_scale(scale)?,
                    None => number,
                };
                Some(Value::from(number.to_plain_string()))
            }
            Self::Double => {
                let number = number(text)?;
                let number = match precision_and_scale(modifier) {
                    Some((_, scale)) => number.with_scale(scale)?,
                    None => number,
                };
                Some(Value::Float64(number.to_f64()))
            }
            Self::Variable(_) | Self::Money(..) => None,
        }
    }
}

/// A number that a `numeric` can hold: at most 131,072 digits before the point and 16,383 behind
/// it. A text with an exponent beyond would be a number as long as that.
fn number(text: &[u8]) -> Option<Decimal> {
    let number = Decimal::parse(text)?;
    (-131_072..=16_383)
        .contains(&number.scale())
        .then_some(number)
}

/// Without zeros at the end of the fraction.
fn variable(schema: &SchemaRef, number: &Decimal) -> Value {
    let mut number = number.clone();
    while number.scale() > 0
        && let Some(shorter) = number.with_scale(number.scale() - 1)
    {
        number = shorter;
    }
    if number.scale() < 0 {
        number = number.with_scale(0).unwrap_or(number);
    }
    let octets = number.with_signed_bytes_be(Bytes::copy_from_slice);
    let values = vec![Value::Int32(number.scale()), Value::Bytes(octets)];
    Struct::new(Arc::clone(schema), values).into()
}

/// Reads `$1,234.56` and `-$0.01` or `($0.01)`; the point is the last of `.` and `,` that has at
/// most two digits behind it.
fn money_value(text: &[u8], mode: DecimalMode, digits: i32, inexact: bool) -> Option<Value> {
    let negative = text.contains(&b'-') || text.first() == Some(&b'(');
    let point = text.iter().rposition(|byte| matches!(byte, b'.' | b','));
    let point = point.filter(|&at| {
        text[at + 1..]
            .iter()
            .filter(|byte| byte.is_ascii_digit())
            .count()
            <= 2
    });
    let mut plain = Vec::with_capacity(text.len());
    if negative {
        plain.push(b'-');
    }
    for (at, byte) in text.iter().enumerate() {
        if byte.is_ascii_digit() {
            plain.push(*byte);
        } else if Some(at) == point {
            plain.push(b'.');
        }
    }
    let mut amount = Decimal::parse(&plain)?;
    if inexact {
        let double = amount.to_f64();
        if mode == DecimalMode::String {
            return Some(Value::from(double_to_string(double)));
        }
        amount = Decimal::parse(double.to_string().as_bytes())?;
    }
    match mode {
        DecimalMode::Precise => half_up(&amount, digits).map(Value::Decimal),
        DecimalMode::String => Some(Value::from(amount.to_plain_string())),
        DecimalMode::Double => Some(Value::Float64(amount.to_f64())),
    }
}

/// The number at this scale, halves away from zero.
fn half_up(number: &Decimal, scale: i32) -> Option<Decimal> {
    if let Some(exact) = number.with_scale(scale) {
        return Some(exact);
    }
    // Money has two digits at most and fits: cutting them needs no big numbers.
    let unscaled = number.unscaled_i64()?;
    let factor = 10_i64.checked_pow(u32::try_from(number.scale().checked_sub(scale)?).ok()?)?;
    let (unscaled, factor) = (i128::from(unscaled), i128::from(factor));
    let rounded = (unscaled + factor / 2 * unscaled.signum()) / factor;
    Some(Decimal::new(i64::try_from(rounded).ok()?, scale))
}

/// Bits as octets, the last bit first, zeros at the end dropped.
pub(super) fn bits(text: &[u8]) -> Option<Bytes> {
    let mut octets = vec![0_u8; text.len().div_ceil(8)];
    for (place, bit) in text.iter().rev().enumerate() {
        match bit {
            b'0' => {}
            b'1' => octets[place / 8] |= 1 << (place % 8),
            _ => return None,
        }
    }
    let used = octets
        .iter()
        .rposition(|octet| *octet != 0)
        .map_or(0, |last| last + 1);
    octets.truncate(used);
    Some(Bytes::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_little_endian_without_zeros_at_the_end() {
        for (text, octets) in [
            ("00000101", &[5_u8][..]),
            ("00000000", &[]),
            ("10101010", &[0xaa]),
            ("111111111111", &[0xff, 0x0f]),
            ("", &[]),
        ] {
            assert_eq!(bits(text.as_bytes()).unwrap(), octets, "{text}");
        }
        assert_eq!(bits(b"012"), None);
    }

    #[test]
    fn money_is_read_whatever_its_signs() {
        for (text, plain) in [
            ("$1,234.56", "1234.56"),
            ("-$0.01", "-0.01"),
            ("($0.05)", "-0.05"),
            ("1.234,56 €", "1234.56"),
            ("$1,234", "1234"),
            ("$7.00", "7.00"),
        ] {
            let value = money_value(text.as_bytes(), DecimalMode::String, 2, false).unwrap();
            assert_eq!(value, Value::from(plain), "{text}");
        }
        let value = money_value(b"$0.15", DecimalMode::Precise, 1, false).unwrap();
        assert_eq!(value, Value::Decimal(Decimal::new(2, 1)));
        let largest = b"$92,233,720,368,547,758.07";
        let older = money_value(largest, DecimalMode::String, 2, true);
        assert_eq!(older, Some(Value::text("9.223372036854776E16")));
        let largest = money_value(largest, DecimalMode::Precise, 0, false);
        let expected = Decimal::new(92_233_720_368_547_758, 0);
        assert_eq!(largest, Some(Value::Decimal(expected)));
    }

    #[test]
    fn a_number_beyond_what_a_column_holds_is_none() {
        let modes = Modes::default();
        let is_held = |form: &Numeric, text: &'static str| {
            let text = text.as_bytes().into();
            form.decode(Text::of(&text), Phase::Stream).is_some()
        };
        let (_, variable) = numeric(&modes, -1);
        for (text, held) in [
            ("1e131072", true),
            ("1e131073", false),
            ("1e99999999", false),
            ("1e-16383", true),
            ("1e-99999999", false),
        ] {
            assert_eq!(is_held(&variable, text), held, "{text}");
        }
        assert!(!is_held(&Numeric::Decimal(2), "1e99999999"));
        assert!(!is_held(&Numeric::Text(Some(2)), "1e99999999"));
    }

    #[test]
    fn a_modifier_holds_precision_and_scale() {
        assert_eq!(precision_and_scale(-1), None);
        assert_eq!(precision_and_scale((5 << 16 | 2) + 4), Some((5, 2)));
        assert_eq!(precision_and_scale((5 << 16 | 2046) + 4), Some((5, 2046)));
    }
}
