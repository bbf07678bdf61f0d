//! `Double.toString` and `Float.toString` (JDK 19 and later: the shortest text that reads back).

/// `Double.toString`.
pub fn double_to_string(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value.is_subnormal() {
        return subnormal(
            ryu::Buffer::new().format_finite(value),
            &format!("{value:.1e}"),
        );
    }
    layout(
        ryu::Buffer::new().format_finite(value),
        value == 0.0,
        (1e-3..1e7).contains(&value.abs()),
    )
}

/// `Float.toString`.
pub fn float_to_string(value: f32) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value.is_subnormal() {
        return subnormal(
            ryu::Buffer::new().format_finite(value),
            &format!("{value:.1e}"),
        );
    }
    layout(
        ryu::Buffer::new().format_finite(value),
        value == 0.0,
        (1e-3..1e7).contains(&value.abs()),
    )
}

/// So few bits are left that one digit would do where Java shows two, the nearest.
fn subnormal(shortest: &str, two_digits: &str) -> String {
    let digits = shortest.split('e').next().unwrap_or_default();
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    layout(if count > 1 { shortest } else { two_digits }, false, false)
}

/// Ryu's digits in Java's shape: plain from 10^-3 to 10^7, else one digit, point, digits, `E`.
fn layout(shortest: &str, zero: bool, plain: bool) -> String {
    let (sign, shortest) = match shortest.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", shortest),
    };
    if zero {
        return format!("{sign}0.0");
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let all = format!("{whole}{fraction}");
    let leading = all.len() - all.trim_start_matches('0').len();
    let digits = all.trim_matches('0');
    // Position of the decimal point relative to the first digit of `digits`.
    let point = whole.len() as i32 - leading as i32 + exponent;
    if plain {
        return if point <= 0 {
            format!(
                "{sign}0.{}{digits}",
                "0".repeat(point.unsigned_abs() as usize)
            )
        } else if digits.len() as i32 <= point {
            let zeros = (point - digits.len() as i32).unsigned_abs() as usize;
            format!("{sign}{digits}{}.0", "0".repeat(zeros))
        } else {
            let (whole, fraction) = digits.split_at(point.unsigned_abs() as usize);
            format!("{sign}{whole}.{fraction}")
        };
    }
    let (first, rest) = digits.split_at(1);
    format!(
        "{sign}{first}.{}E{}",
        if rest.is_empty() { "0" } else { rest },
        point - 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (1e-323, "9.9E-324"),
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
