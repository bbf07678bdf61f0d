//! `Double.toString` and `Float.toString` as JDKs before 19 print them, 17 among them: digits until
//! the text reads back, which is not always the shortest that does.
//!
//! Answers for `jdk.internal.math.FloatingDecimal`, whose way to the digits (Steele and White's) shows
//! in its results.

use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Rem};

use num_bigint::BigUint;

/// A text that `Double.parseDouble` and `Float.parseFloat` take, as Rust's `parse` takes it; `None`
/// where they refuse it. Hexadecimal texts are not read.
pub fn parsable(text: &str) -> Option<&str> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return Some(text);
    }
    let number = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    let decimal = |c: char| matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-');
    number.chars().all(decimal).then_some(number)
}

/// `Long.parseLong`: a sign, and decimal digits of any script of Unicode's basic plane.
pub fn parse_long(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut digits = String::with_capacity(text.len());
    digits.extend(text.chars().next().filter(|sign| *sign == '-'));
    for character in unsigned.chars() {
        let zero = ZEROS
            .iter()
            .copied()
            .rfind(|zero| u32::from(*zero) <= u32::from(character))?;
        digits.push(char::from_digit(
            u32::from(character) - u32::from(zero),
            10,
        )?);
    }
    digits.parse().ok()
}

/// The digits zero of the scripts, as JDK 17 knows them.
const ZEROS: [char; 37] = [
    '0', '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}',
    '\u{be6}', '\u{c66}', '\u{ce6}', '\u{d66}', '\u{de6}', '\u{e50}', '\u{ed0}', '\u{f20}',
    '\u{1040}', '\u{1090}', '\u{17e0}', '\u{1810}', '\u{1946}', '\u{19d0}', '\u{1a80}', '\u{1a90}',
    '\u{1b50}', '\u{1bb0}', '\u{1c40}', '\u{1c50}', '\u{a620}', '\u{a8d0}', '\u{a900}', '\u{a9d0}',
    '\u{a9f0}', '\u{aa50}', '\u{abf0}', '\u{ff10}',
];

/// `Double.toString`.
pub fn double_to_string(value: f64) -> String {
    const HIDDEN: u64 = 1 << 52;
    let bits = value.to_bits();
    let (fraction, exponent) = (bits & (HIDDEN - 1), exponent_of(bits >> 52 & 0x7ff));
    match value {
        _ if !value.is_finite() || value == 0.0 => unusual(value),
        _ if exponent == 0 => {
            let shift = fraction.leading_zeros() - 11;
            let significant = 53 - to_i32(shift);
            text(
                value < 0.0,
                fraction << shift,
                1 - to_i32(shift) - 1023,
                significant,
            )
        }
        _ => text(value < 0.0, fraction | HIDDEN, exponent - 1023, 53),
    }
}

/// `Float.toString`.
pub fn float_to_string(value: f32) -> String {
    const HIDDEN: u32 = 1 << 23;
    let bits = value.to_bits();
    let (fraction, exponent) = (bits & (HIDDEN - 1), exponent_of((bits >> 23 & 0xff).into()));
    let wide = |fraction: u32| u64::from(fraction) << 29;
    match value {
        _ if !value.is_finite() || value == 0.0 => unusual(value.into()),
        _ if exponent == 0 => {
            let shift = fraction.leading_zeros() - 8;
            let significant = 24 - to_i32(shift);
            text(
                value < 0.0,
                wide(fraction << shift),
                1 - to_i32(shift) - 127,
                significant,
            )
        }
        _ => text(value < 0.0, wide(fraction | HIDDEN), exponent - 127, 24),
    }
}

fn exponent_of(bits: u64) -> i32 {
    i32::try_from(bits).unwrap_or(0)
}

fn to_i32(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(0)
}

fn unusual(value: f64) -> String {
    let text = match value {
        _ if value.is_nan() => "NaN",
        _ if value == f64::INFINITY => "Infinity",
        _ if value == f64::NEG_INFINITY => "-Infinity",
        _ if value.is_sign_negative() => "-0.0",
        _ => "0.0",
    };
    text.to_owned()
}

/// Plain from 10^-3 to 10^7, else one digit, point, digits, `E`. `fraction` has its first bit at 52
/// and counts by 2^`exponent`; `significant` of its bits are the number's own.
fn text(negative: bool, fraction: u64, exponent: i32, significant: i32) -> String {
    let Digits { digits, point } = Digits::of(fraction, exponent, significant);
    let mut out = String::with_capacity(digits.len() + 8);
    if negative {
        out.push('-');
    }
    let all = String::from_utf8_lossy(&digits);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    match point {
        1..8 => {
            let whole = usize::try_from(point).unwrap_or(0).min(all.len());
            let (whole, rest) = all.split_at(whole);
            out.push_str(whole);
            out.push_str(&zeros(point - i32::try_from(whole.len()).unwrap_or(0)));
            out.push('.');
            out.push_str(if rest.is_empty() { "0" } else { rest });
        }
        -2..=0 => {
            out.push_str("0.");
            out.push_str(&zeros(-point));
            out.push_str(&all);
        }
        _ => {
            let (first, rest) = all.split_at(1);
            let rest = if rest.is_empty() { "0" } else { rest };
            out.push_str(&format!("{first}.{rest}E{}", point - 1));
        }
    }
    out
}

/// Decimal digits, and where the point stands: before the first for 0.
struct Digits {
    digits: Vec<u8>,
    point: i32,
}

impl Digits {
    /// `BinaryToASCIIBuffer.dtoa`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "as Java's int and long, which suffice for so few bits"
    )]
    fn of(fraction: u64, exponent: i32, significant: i32) -> Self {
        let tail = to_i32(fraction.trailing_zeros());
        // How many bits there are up to the last that is set, and how many stand behind the point.
        let bits = 53 - tail;
        let tiny = (bits - exponent - 1).max(0);
        if tiny == 0 && (-21..=62).contains(&exponent) && bits < 64 {
            let unimportant = match exponent > significant {
                true => digits_of_power(exponent - significant - 1),
                false => 0,
            };
            let whole = match exponent >= 52 {
                true => fraction << (exponent - 52),
                false => fraction >> (52 - exponent),
            };
            return Self::whole(whole, unimportant);
        }
        let decimal = estimate(fraction, exponent);
        let (b5, s5) = ((-decimal).max(0), decimal.max(0));
        let (mut b2, mut s2) = (b5 + tiny + exponent, s5 + tiny);
        let mut m2 = b2 - significant;
        b2 -= bits - 1;
        let common = b2.min(s2);
        b2 -= common;
        s2 -= common;
        m2 -= common;
        // The gap below a power of two is half of that above.
        if bits == 1 {
            m2 -= 1;
        }
        if m2 < 0 {
            b2 -= m2;
            s2 -= m2;
            m2 = 0;
        }
        let fraction = fraction >> tail;
        let (b_bits, tens_bits) = (bits + b2 + bits_of_5(b5), s2 + 1 + bits_of_5(s5 + 1));
        let numbers = [(fraction, b5, b2), (1, s5, s2), (1, b5, m2)];
        if b_bits < 116 && tens_bits < 120 {
            let [b, s, m] = numbers.map(|(factor, five, two)| {
                (u128::from(factor) * 5u128.pow(five.cast_unsigned())) << two
            });
            // In so few bits Java's sums may run over, which shows in a last digit.
            let near = |b: &u128, m: &u128, tens: &u128| match b_bits.max(tens_bits) {
                ..32 => near_in_bits(
                    i64::from(*m as i32),
                    i64::from((*b as i32).wrapping_add(*m as i32)),
                    *b as i64,
                    *tens as i64,
                ),
                32..64 => near_in_bits(
                    *m as i64,
                    (*b as i64).wrapping_add(*m as i64),
                    *b as i64,
                    *tens as i64,
                ),
                _ => (b < m, b + m >= *tens),
            };
            Self::develop(b, &s, m, &10, decimal, near)
        } else {
            let [b, s, m] = numbers.map(|(factor, five, two)| {
                (BigUint::from(factor) * BigUint::from(5u8).pow(five.cast_unsigned())) << two
            });
            let near = |b: &BigUint, m: &BigUint, tens: &BigUint| (b < m, b + m >= *tens);
            Self::develop(b, &s, m, &BigUint::from(10u8), decimal, near)
        }
    }

    /// Of a whole number, whose last digits may be beyond what the number says.
    fn whole(mut number: u64, unimportant: u32) -> Self {
        let mut point = 0;
        if unimportant > 0 {
            let power = 10u64.pow(unimportant);
            let rest = number % power;
            number /= power;
            point += to_i32(unimportant);
            if rest >= power / 2 {
                number += 1;
            }
        }
        let mut digits = number.to_string().into_bytes();
        point += i32::try_from(digits.len()).unwrap_or(0);
        while digits.len() > 1 && digits.last() == Some(&b'0') {
            digits.pop();
        }
        Self { digits, point }
    }

    /// Digits of b/s until they tell it from its neighbours, which are m away.
    fn develop<T>(
        mut b: T,
        s: &T,
        mut m: T,
        ten: &T,
        mut decimal: i32,
        near: impl Fn(&T, &T, &T) -> (bool, bool),
    ) -> Self
    where
        T: Clone + Ord + TryInto<u8>,
        for<'a> T: Mul<&'a T, Output = T> + Add<&'a T, Output = T>,
        for<'a> T: Rem<&'a T, Output = T> + Div<&'a T, Output = T>,
    {
        let tens = s.clone() * ten;
        let step = |b: &mut T, m: &mut T| {
            let digit = (b.clone() / s).try_into().unwrap_or(0);
            *b = (b.clone() % s) * ten;
            *m = m.clone() * ten;
            let (low, high) = near(b, m, &tens);
            (digit, low, high)
        };
        let mut digits: Vec<u8> = Vec::with_capacity(18);
        let (digit, mut low, mut high) = step(&mut b, &mut m);
        match digit == 0 && !high {
            // The estimate was one too high.
            true => decimal -= 1,
            false => digits.push(b'0' + digit),
        }
        if !(-3..8).contains(&decimal) {
            // With an exponent there is a digit behind the point at least.
            (low, high) = (false, false);
        }
        while !low && !high {
            let digit;
            (digit, low, high) = step(&mut b, &mut m);
            digits.push(b'0' + digit);
        }
        let point = decimal + 1;
        Self { digits, point }.ended(low, high, (b.clone() + &b).cmp(&tens))
    }

    /// Rounds the last digit by what stopped them.
    fn ended(mut self, low: bool, high: bool, beyond_half: Ordering) -> Self {
        let odd = self.digits.last().is_some_and(|digit| digit % 2 == 1);
        let up = high && (!low || beyond_half.is_gt() || (beyond_half.is_eq() && odd));
        if up {
            let nines = self.digits.iter().rev().take_while(|digit| **digit == b'9');
            let nines = nines.count();
            let kept = self.digits.len() - nines;
            match kept
                .checked_sub(1)
                .and_then(|last| self.digits.get_mut(last))
            {
                Some(digit) => {
                    *digit += 1;
                    self.digits
                        .iter_mut()
                        .skip(kept)
                        .for_each(|digit| *digit = b'0');
                }
                None => {
                    self.digits
                        .iter_mut()
                        .skip(1)
                        .for_each(|digit| *digit = b'0');
                    self.digits[0] = b'1';
                    self.point += 1;
                }
            }
        }
        self
    }
}

/// Whether the rest `b` is nearer to the digits so far, or to the next higher, than the number's
/// neighbours are, as Java's int and long say; `m` and `sum` may have run over.
fn near_in_bits(m: i64, sum: i64, b: i64, tens: i64) -> (bool, bool) {
    match m > 0 {
        true => (b < m, sum > tens),
        false => (true, true),
    }
}

/// The decimal exponent, or one too much (`estimateDecExp`).
#[expect(
    clippy::approx_constant,
    reason = "Java calculates with these very digits"
)]
fn estimate(fraction: u64, exponent: i32) -> i32 {
    const ONE: u64 = 1023 << 52;
    let leading = f64::from_bits(ONE | (fraction & ((1 << 52) - 1)));
    let estimate = (leading - 1.5) * 0.289_529_654
        + 0.176_091_259
        + f64::from(exponent) * 0.301_029_995_663_981;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "exponents of doubles are small"
    )]
    let floor = estimate.floor() as i32;
    floor
}

/// How many decimal digits of a whole number say nothing, where so many of its bits do not
/// (`insignificantDigitsForPow2`).
fn digits_of_power(bits: i32) -> u32 {
    match bits {
        2.. => (bits.unsigned_abs() * 30_103) / 100_000,
        _ => 0,
    }
}

/// How many bits 5^n has; from 27 on an upper bound.
fn bits_of_5(n: i32) -> i32 {
    match n {
        0 => 0,
        1..27 => n * 2_322 / 1_000 + 1,
        _ => n * 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_may_be_written_in_any_script() {
        assert_eq!(parse_long("+٣"), Some(3));
        assert_eq!(parse_long("-२४"), Some(-24));
        assert_eq!(parse_long("３1"), Some(31));
        assert_eq!(parse_long("9223372036854775807"), Some(i64::MAX));
        for wrong in [
            "",
            "+",
            "-",
            "--1",
            "+-1",
            "3.",
            "3L",
            "𝟛",
            "é",
            "9223372036854775808",
        ] {
            assert_eq!(parse_long(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn texts_are_read_as_java_reads_them() {
        let read = |text| parsable(text).and_then(|text| text.parse::<f64>().ok());
        for (text, value) in [
            ("1.0f", 1.0),
            (" -2.5D\n", -2.5),
            ("+.5", 0.5),
            ("3.", 3.0),
            ("1e-3", 0.001),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(read(text), Some(value), "{text}");
        }
        assert!(read("NaN").is_some_and(f64::is_nan));
        for text in [
            "",
            "f",
            "inf",
            "nan",
            "infinity",
            "1.0ff",
            "1,5",
            "Infinityf",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    // Out of a JDK 17, those among them that the shortest text would not be.
    #[test]
    fn digits_are_those_of_jdk_17() {
        for (value, text) in [
            (1e23, "9.999999999999999E22"),
            (8.41e21, "8.409999999999999E21"),
            (4.9e-324, "4.9E-324"),
        ] {
            assert_eq!(double_to_string(value), text);
        }
        assert_eq!(float_to_string(99_999_999_999.0), "9.9999998E10");
        assert_eq!(
            float_to_string(f32::from_bits(1_785_796_515)),
            "7.2865685E25"
        );
    }

    #[test]
    fn doubles_are_printed_as_java_prints_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (0.001, "0.001"),
            (0.0009, "9.0E-4"),
            (1234567.5, "1234567.5"),
            (1e7, "1.0E7"),
            (1.25e10, "1.25E10"),
            (-1.5e-300, "-1.5E-300"),
            (f64::MAX, "1.7976931348623157E308"),
            (5e-324, "4.9E-324"),
            (1e-323, "1.0E-323"),
            (-1.234e-310, "-1.234E-310"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double_to_string(value), text);
        }
        assert_eq!(float_to_string(3.4028235e38), "3.4028235E38");
        assert_eq!(float_to_string(1.1), "1.1");
        assert_eq!(float_to_string(1e-45), "1.4E-45");
    }
}
