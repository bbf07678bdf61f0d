//! An arbitrary-precision decimal: an unscaled integer and a scale (`java.math.BigDecimal`).

use std::fmt;

use num_bigint::BigInt;

/// `unscaled × 10^-scale`. Small numbers need no allocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    unscaled: Unscaled,
    scale: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Unscaled {
    Small(i64),
    /// Only what does not fit into an i64, so that equality is by representation.
    Big(Box<BigInt>),
}

impl Decimal {
    /// From an unscaled integer.
    pub fn new(unscaled: i64, scale: i32) -> Self {
        Self {
            unscaled: Unscaled::Small(unscaled),
            scale,
        }
    }
    /// From an unscaled integer of any size.
    pub fn from_big(unscaled: BigInt, scale: i32) -> Self {
        let unscaled = match i64::try_from(&unscaled) {
            Ok(small) => Unscaled::Small(small),
            Err(_) => Unscaled::Big(Box::new(unscaled)),
        };
        Self { unscaled, scale }
    }
    /// From the big-endian two's complement bytes that Connect, Avro and Parquet store.
    pub fn from_signed_bytes_be(bytes: &[u8], scale: i32) -> Self {
        if bytes.len() <= 8 {
            let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
            let mut wide = [if negative { 0xff } else { 0 }; 8];
            wide[8 - bytes.len()..].copy_from_slice(bytes);
            return Self::new(i64::from_be_bytes(wide), scale);
        }
        Self::from_big(BigInt::from_signed_bytes_be(bytes), scale)
    }
    /// From plain or scientific notation, as `new BigDecimal(String)`: the scale is the number of
    /// digits after the point less the exponent. `None` where the text is no number.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (mantissa, exponent) = match memchr::memchr2(b'e', b'E', text) {
            Some(at) => {
                let exponent = std::str::from_utf8(&text[at + 1..]).ok()?;
                (
                    &text[..at],
                    exponent
                        .strip_prefix('+')
                        .unwrap_or(exponent)
                        .parse::<i32>()
                        .ok()?,
                )
            }
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.first()? {
            b'-' => (true, &mantissa[1..]),
            b'+' => (false, &mantissa[1..]),
            _ => (false, mantissa),
        };
        let (mut value, mut fits, mut scale, mut seen_point, mut count) =
            (0i64, true, 0i32, false, 0);
        for &byte in digits {
            match byte {
                b'0'..=b'9' => {
                    count += 1;
                    scale += i32::from(seen_point);
                    match value
                        .checked_mul(10)
                        .and_then(|value| value.checked_add(i64::from(byte - b'0')))
                    {
                        Some(next) => value = next,
                        None => fits = false,
                    }
                }
                b'.' if !seen_point => seen_point = true,
                _ => return None,
            }
        }
        if count == 0 {
            return None;
        }
        let scale = scale.checked_sub(exponent)?;
        if fits {
            return Some(Self::new(if negative { -value } else { value }, scale));
        }
        let plain: Vec<u8> = digits.iter().copied().filter(u8::is_ascii_digit).collect();
        let big = BigInt::parse_bytes(&plain, 10)?;
        Some(Self::from_big(if negative { -big } else { big }, scale))
    }

    /// Digits after the decimal point; negative for trailing zeros before it.
    pub fn scale(&self) -> i32 {
        self.scale
    }
    /// The unscaled integer, where it fits.
    pub fn unscaled_i64(&self) -> Option<i64> {
        match self.unscaled {
            Unscaled::Small(value) => Some(value),
            Unscaled::Big(_) => None,
        }
    }
    /// The unscaled integer.
    pub fn unscaled(&self) -> BigInt {
        match &self.unscaled {
            Unscaled::Small(value) => BigInt::from(*value),
            Unscaled::Big(value) => (**value).clone(),
        }
    }
    /// The unscaled integer as minimal big-endian two's complement (`BigInteger.toByteArray`),
    /// handed to `use_bytes` without an allocation where it is small.
    pub fn with_signed_bytes_be<T>(&self, use_bytes: impl FnOnce(&[u8]) -> T) -> T {
        match &self.unscaled {
            Unscaled::Small(value) => {
                let bytes = value.to_be_bytes();
                let mut start = 0;
                while start < 7
                    && ((bytes[start] == 0 && bytes[start + 1] & 0x80 == 0)
                        || (bytes[start] == 0xff && bytes[start + 1] & 0x80 != 0))
                {
                    start += 1;
                }
                use_bytes(&bytes[start..])
            }
            Unscaled::Big(value) => use_bytes(&value.to_signed_bytes_be()),
        }
    }
    /// The same number with another scale; `None` where digits would be lost
    /// (`setScale` with `UNNECESSARY`).
    pub fn with_scale(&self, scale: i32) -> Option<Self> {
        let shift = i64::from(scale) - i64::from(self.scale);
        if shift == 0 {
            return Some(self.clone());
        }
        let power = u32::try_from(shift.unsigned_abs()).ok()?;
        if let Unscaled::Small(value) = self.unscaled
            && let Some(factor) = 10i64.checked_pow(power)
        {
            if shift < 0 {
                return (value % factor == 0).then(|| Self::new(value / factor, scale));
            }
            if let Some(value) = value.checked_mul(factor) {
                return Some(Self::new(value, scale));
            }
        }
        let factor = BigInt::from(10).pow(power);
        let value = self.unscaled();
        if shift > 0 {
            return Some(Self::from_big(value * factor, scale));
        }
        (&value % &factor == BigInt::ZERO).then(|| Self::from_big(value / factor, scale))
    }
    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        // The standard parser rounds once; scaling by a power of ten would round twice.
        let unscaled = match &self.unscaled {
            Unscaled::Small(value) => value.to_string(),
            Unscaled::Big(value) => value.to_string(),
        };
        format!("{unscaled}e{}", -i64::from(self.scale))
            .parse()
            .unwrap_or(f64::NAN)
    }
    /// Without an exponent (`BigDecimal.toPlainString`).
    pub fn to_plain_string(&self) -> String {
        let digits = self.unscaled_text();
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(rest) => ("-", rest.to_owned()),
            None => ("", digits),
        };
        if self.scale <= 0 {
            if digits == "0" {
                return digits;
            }
            return format!(
                "{sign}{digits}{}",
                "0".repeat(self.scale.unsigned_abs() as usize)
            );
        }
        let scale = self.scale.unsigned_abs() as usize;
        if digits.len() > scale {
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            return format!("{sign}{whole}.{fraction}");
        }
        format!("{sign}0.{}{digits}", "0".repeat(scale - digits.len()))
    }

    fn unscaled_text(&self) -> String {
        match &self.unscaled {
            Unscaled::Small(value) => value.to_string(),
            Unscaled::Big(value) => value.to_string(),
        }
    }
}

impl fmt::Display for Decimal {
    /// `BigDecimal.toString`: an exponent where the scale is negative or the number is small.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.unscaled_text();
        let count = digits.len() - usize::from(digits.starts_with('-'));
        let adjusted = count as i64 - 1 - i64::from(self.scale);
        if self.scale >= 0 && adjusted >= -6 {
            return f.write_str(&self.to_plain_string());
        }
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", digits.as_str()),
        };
        let (first, rest) = digits.split_at(1);
        f.write_str(sign)?;
        f.write_str(first)?;
        if !rest.is_empty() {
            write!(f, ".{rest}")?;
        }
        if adjusted == 0 {
            return Ok(());
        }
        write!(f, "E{}{adjusted}", if adjusted > 0 { "+" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_parsed_and_printed_as_big_decimal_does() {
        for (input, unscaled, scale, printed, plain) in [
            ("12.50", "1250", 2, "12.50", "12.50"),
            ("-0.01", "-1", 2, "-0.01", "-0.01"),
            ("0.0000001", "1", 7, "1E-7", "0.0000001"),
            ("1E+3", "1", -3, "1E+3", "1000"),
            ("123e2", "123", -2, "1.23E+4", "12300"),
            (
                "12345678901234567890.1234567891",
                "123456789012345678901234567891",
                10,
                "12345678901234567890.1234567891",
                "12345678901234567890.1234567891",
            ),
        ] {
            let decimal = Decimal::parse(input.as_bytes()).expect(input);
            assert_eq!(decimal.unscaled().to_string(), unscaled, "{input}");
            assert_eq!(decimal.scale(), scale, "{input}");
            assert_eq!(decimal.to_string(), printed, "{input}");
            assert_eq!(decimal.to_plain_string(), plain, "{input}");
        }
        for bad in ["", "-", ".", "1.2.3", "x", "1e", "NaN"] {
            assert_eq!(Decimal::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn bytes_are_minimal_twos_complement() {
        for (value, bytes) in [
            (0i64, vec![0u8]),
            (127, vec![0x7f]),
            (128, vec![0, 0x80]),
            (-128, vec![0x80]),
            (-129, vec![0xff, 0x7f]),
            (i64::MIN, i64::MIN.to_be_bytes().to_vec()),
        ] {
            let decimal = Decimal::new(value, 0);
            assert_eq!(
                decimal.with_signed_bytes_be(<[u8]>::to_vec),
                bytes,
                "{value}"
            );
            assert_eq!(Decimal::from_signed_bytes_be(&bytes, 0), decimal, "{value}");
        }
    }

    #[test]
    fn a_scale_changes_only_where_no_digit_is_lost() {
        let decimal = Decimal::parse(b"1.50").expect("a number");
        assert_eq!(decimal.with_scale(1), Decimal::parse(b"1.5"));
        assert_eq!(decimal.with_scale(4), Decimal::parse(b"1.5000"));
        assert_eq!(decimal.with_scale(0), None);
        assert_eq!(decimal.to_f64(), 1.5);
    }
}
