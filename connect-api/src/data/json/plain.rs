//! JSON objects straight from text to text: what reading a message without a schema and printing it
//! again would give, without making values in between.
//!
//! Only where that is certain: the text is one object, well formed, and every part of it has one
//! form. Parts that print otherwise than they stand (escapes, long numbers) are printed anew; for
//! anything doubtful the answer is none, and the long way decides. The order of members is that of
//! the `HashMap` that Java would hold; it is worked out once for each sequence of names.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::escape::unescape;
use super::parse::double;
use super::text::{plain_length, write_double, write_string};
use crate::data::{ConnectMap, Value};

/// Objects below each other; the long way goes further.
const MAX_DEPTH: usize = 32;
/// Sequences of names that are remembered.
const MAX_SHAPES: usize = 64;
/// Digits of an integer that surely fits.
const SAFE_DIGITS: usize = 18;
/// Digits of a fraction that a double surely holds apart from all others.
const EXACT_DIGITS: usize = 15;

/// A part of a text: where it stands in the message, or what was printed of it.
#[derive(Clone, Copy, Debug)]
enum Piece {
    Source(usize, usize),
    Printed(usize, usize),
}

/// The names of an object's members and the order in which Java prints them.
#[derive(Debug)]
struct Shape {
    /// All names, each in quotes and with the colon after it.
    heads: Vec<Box<[u8]>>,
    order: Vec<usize>,
}

/// Prints objects; remembers the order of names that it has seen.
#[derive(Debug, Default)]
pub struct PlainJson {
    shapes: Vec<Arc<Shape>>,
    /// The shape of the last object at each depth: the next is likely to have it.
    last: Vec<Option<Arc<Shape>>>,
    /// Parts that print otherwise than they stand.
    printed: Vec<u8>,
    /// Names and values of the objects that are under way.
    members: Vec<((usize, usize), Piece)>,
}

impl PlainJson {
    /// Appends what would be printed of the object that `message` is; `false`, appending nothing,
    /// where that is not certain.
    pub fn print(&mut self, message: &[u8], out: &mut BytesMut) -> bool {
        if std::str::from_utf8(message).is_err() {
            return false;
        }
        self.printed.clear();
        self.members.clear();
        let start = out.len();
        let mut walk = Walk {
            message,
            at: 0,
            plain: self,
        };
        let done = walk.root(out).is_some();
        if !done {
            out.truncate(start);
        }
        done
    }

    /// The shape of these members; `None` where a name repeats.
    fn shape(&mut self, message: &[u8], members: &[((usize, usize), Piece)]) -> Option<Arc<Shape>> {
        let name = |&((start, end), _): &((usize, usize), Piece)| message.get(start..end);
        let is_head = |head: &[u8], name: Option<&[u8]>| {
            let inside = head.len().checked_sub(2).and_then(|end| head.get(1..end));
            name.is_some() && inside == name
        };
        let known = self.shapes.iter().find(|shape| {
            shape.heads.len() == members.len()
                && shape
                    .heads
                    .iter()
                    .zip(members)
                    .all(|(head, member)| is_head(head, name(member)))
        });
        if let Some(known) = known {
            return Some(Arc::clone(known));
        }
        let mut heads = Vec::with_capacity(members.len());
        let mut map = ConnectMap::default();
        for (index, member) in members.iter().enumerate() {
            let name = name(member)?;
            heads.push([b"\"", name, b"\":"].concat().into());
            let name = std::str::from_utf8(name).ok()?;
            let index = i64::try_from(index).ok()?;
            if map.insert(Value::from(name), Value::Int64(index)).is_some() {
                return None;
            }
        }
        let order = map
            .iter()
            .filter_map(|(_, index)| usize::try_from(index.as_i64()?).ok())
            .collect();
        if self.shapes.len() >= MAX_SHAPES {
            self.shapes.clear();
        }
        let shape = Arc::new(Shape { heads, order });
        self.shapes.push(Arc::clone(&shape));
        Some(shape)
    }
}

struct Walk<'a> {
    message: &'a [u8],
    at: usize,
    plain: &'a mut PlainJson,
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.message.get(self.at).copied()
    }

    fn token(&mut self) -> Option<u8> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.peek()
    }

    /// The whole message.
    fn root(&mut self, out: &mut BytesMut) -> Option<()> {
        if self.token()? != b'{' {
            return None;
        }
        let shape = self.object(0)?;
        if self.token().is_some() {
            return None;
        }
        self.finish(0, &shape, out)
    }

    /// Reads an object's members onto the stack; answers their shape.
    fn object(&mut self, depth: usize) -> Option<Arc<Shape>> {
        self.at += 1;
        let first = self.plain.members.len();
        let likely = self.plain.last.get_mut(depth).and_then(Option::take);
        let mut heads = likely.as_ref().map_or(&[][..], |shape| &shape.heads).iter();
        let mut is_likely = likely.is_some();
        if self.token()? != b'}' {
            loop {
                let rest = self.message.get(self.at..)?;
                let name = match heads.next().filter(|_| is_likely) {
                    Some(head) if rest.starts_with(head) => {
                        let start = self.at + 1;
                        self.at += head.len();
                        (start, self.at - 2)
                    }
                    _ => {
                        is_likely = false;
                        self.name()?
                    }
                };
                let value = self.value(depth)?;
                self.plain.members.push((name, value));
                match self.token()? {
                    b',' => self.at += 1,
                    b'}' => break,
                    _ => return None,
                }
                self.token()?;
            }
        }
        self.at += 1;
        let shape = match likely {
            Some(shape) if is_likely && heads.len() == 0 => shape,
            _ => {
                let members = self.plain.members.split_off(first);
                let shape = self.plain.shape(self.message, &members)?;
                self.plain.members.extend(members);
                shape
            }
        };
        if self.plain.last.len() <= depth {
            self.plain.last.resize(depth + 1, None);
        }
        *self.plain.last.get_mut(depth)? = Some(Arc::clone(&shape));
        Some(shape)
    }

    /// A member's name with the colon after it.
    fn name(&mut self) -> Option<(usize, usize)> {
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let start = self.at;
        self.at += plain_length(self.message.get(start..)?);
        // A name with escapes is for the long way, as is one that prints otherwise.
        let name = self.message.get(start..self.at)?;
        if self.peek()? != b'"' || has_wide(name) {
            return None;
        }
        let name = (start, self.at);
        self.at += 1;
        if self.token()? != b':' {
            return None;
        }
        self.at += 1;
        Some(name)
    }

    /// Prints the members from `first` on, in Java's order, and takes them off the stack.
    fn finish(&mut self, first: usize, shape: &Shape, out: &mut impl BufMut) -> Option<()> {
        let members = self.plain.members.get(first..)?;
        out.put_u8(b'{');
        for (place, &index) in shape.order.iter().enumerate() {
            let ((name, name_end), value) = *members.get(index)?;
            if place > 0 {
                out.put_u8(b',');
            }
            match value {
                // The value follows the name's quote and colon: one part.
                Piece::Source(start, end) if start == name_end + 2 => {
                    out.put_slice(self.message.get(name - 1..end)?);
                }
                Piece::Source(start, end) => {
                    out.put_slice(shape.heads.get(index)?);
                    out.put_slice(self.message.get(start..end)?);
                }
                Piece::Printed(start, end) => {
                    out.put_slice(shape.heads.get(index)?);
                    out.put_slice(self.plain.printed.get(start..end)?);
                }
            }
        }
        out.put_u8(b'}');
        self.plain.members.truncate(first);
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<Piece> {
        let first = self.token()?;
        let start = self.at;
        match first {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(b"true", start),
            b'f' => self.literal(b"false", start),
            b'n' => self.literal(b"null", start),
            b'{' if depth < MAX_DEPTH => {
                let first = self.plain.members.len();
                let shape = self.object(depth + 1)?;
                self.printed(|walk, out| walk.finish(first, &shape, out))
            }
            b'[' if depth < MAX_DEPTH => self.array(depth),
            _ => None,
        }
    }

    /// A part that is printed anew.
    fn printed(
        &mut self,
        print: impl FnOnce(&mut Self, &mut Vec<u8>) -> Option<()>,
    ) -> Option<Piece> {
        // Parts below are printed already; this one goes after them.
        let mut own = Vec::new();
        print(self, &mut own)?;
        let start = self.plain.printed.len();
        self.plain.printed.extend_from_slice(&own);
        Some(Piece::Printed(start, self.plain.printed.len()))
    }

    fn array(&mut self, depth: usize) -> Option<Piece> {
        self.at += 1;
        let mut own = vec![b'['];
        if self.token()? == b']' {
            self.at += 1;
        } else {
            loop {
                match self.value(depth + 1)? {
                    Piece::Source(start, end) => {
                        own.extend_from_slice(self.message.get(start..end)?);
                    }
                    Piece::Printed(start, end) => {
                        own.extend_from_slice(self.plain.printed.get(start..end)?);
                    }
                }
                match self.token()? {
                    b',' => {
                        self.at += 1;
                        own.push(b',');
                    }
                    b']' => {
                        self.at += 1;
                        break;
                    }
                    _ => return None,
                }
            }
        }
        own.push(b']');
        self.printed(|_, out| {
            *out = own;
            Some(())
        })
    }

    fn literal(&mut self, text: &[u8], start: usize) -> Option<Piece> {
        self.message.get(start..)?.starts_with(text).then_some(())?;
        self.at += text.len();
        self.ends().then_some(Piece::Source(start, self.at))
    }

    /// Whether a number or a literal ends here.
    fn ends(&self) -> bool {
        matches!(
            self.peek(),
            Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')
        )
    }

    fn string(&mut self) -> Option<Piece> {
        let start = self.at;
        self.at += 1;
        let mut stands = true;
        loop {
            self.at += plain_length(self.message.get(self.at..)?);
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    // What Jackson prints as it stands.
                    stands &= matches!(
                        self.message.get(self.at + 1)?,
                        b'"' | b'\\' | b'n' | b'r' | b't' | b'b' | b'f'
                    );
                    self.at += 2;
                }
                _ => return None,
            }
        }
        let raw = self.message.get(start + 1..self.at)?;
        self.at += 1;
        if stands && !has_wide(raw) {
            return Some(Piece::Source(start, self.at));
        }
        let text = unescape(std::str::from_utf8(raw).ok()?).ok()?;
        self.printed(|_, out| {
            write_string(&text, out);
            Some(())
        })
    }

    fn number(&mut self) -> Option<Piece> {
        let start = self.at;
        let digits = |walk: &mut Self| {
            let first = walk.at;
            while matches!(walk.peek(), Some(b'0'..=b'9')) {
                walk.at += 1;
            }
            walk.at - first
        };
        let negative = self.peek()? == b'-';
        if negative {
            self.at += 1;
        }
        let first = self.peek()?;
        let whole = digits(self);
        // Nothing, a leading zero, or a number that perhaps does not fit.
        if whole == 0 || (first == b'0' && whole > 1) || whole > SAFE_DIGITS {
            return None;
        }
        let is_zero = first == b'0';
        if self.ends() {
            return (!(negative && is_zero)).then_some(Piece::Source(start, self.at));
        }
        if self.peek()? != b'.' {
            return None;
        }
        self.at += 1;
        let point = self.at;
        let fraction = digits(self);
        if fraction == 0 || !self.ends() {
            return None;
        }
        let decimals = self.message.get(point..self.at)?;
        let is_short = whole + fraction <= EXACT_DIGITS && whole <= 7;
        let has_no_idle_zero = fraction == 1 || decimals.last() != Some(&b'0');
        // From a thousandth on Java prints no exponent.
        let is_large = !is_zero || decimals.iter().take(3).any(|digit| *digit != b'0');
        if is_short && has_no_idle_zero && is_large {
            return Some(Piece::Source(start, self.at));
        }
        let text = std::str::from_utf8(self.message.get(start..self.at)?).ok()?;
        let value = double(text);
        self.printed(|_, out| {
            write_double(value, out);
            Some(())
        })
    }
}

/// Whether there are characters that Jackson prints as two escapes.
fn has_wide(bytes: &[u8]) -> bool {
    !bytes.is_ascii() && bytes.iter().any(|&byte| byte >= 0xf0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::json::{parse_schemaless, write_schemaless};
    use bytes::Bytes;

    fn long_way(text: &str) -> Option<String> {
        let value = parse_schemaless(&Bytes::copy_from_slice(text.as_bytes())).ok()?;
        let mut out = Vec::new();
        write_schemaless(&value, &mut out).ok()?;
        String::from_utf8(out).ok()
    }

    /// What the short way gives, where it gives anything, is what the long way gives.
    fn check(plain: &mut PlainJson, text: &str) -> bool {
        let mut out = BytesMut::from("before");
        let done = plain.print(text.as_bytes(), &mut out);
        let short = String::from_utf8(out.to_vec()).expect("UTF-8");
        match done {
            true => assert_eq!(
                Some(short.as_str().trim_start_matches("before")),
                long_way(text).as_deref(),
                "{text}"
            ),
            false => assert_eq!(short, "before", "{text}"),
        }
        done
    }

    #[test]
    fn usual_messages_take_the_short_way_and_print_the_same() {
        let mut plain = PlainJson::default();
        for text in [
            "{}",
            r#"{"id":1,"customer":"c0001","status":"new","amount":12.34,"qty":-3,"paid":true,"doc":"{\"k\":5}","none":null}"#,
            r#" { "b" : [ 1 , 2.50 , "x" , { "z" : 1 , "a" : {} } ] , "a" : "\u00e9\/" } "#,
            r#"{"a":0.5,"b":0.001,"c":0.0001,"d":100.0,"e":1234567.5,"f":12345678.5,"g":0.0,"h":-0.0,"i":1.10}"#,
            r#"{"n":"line\nbreak\ttab \\ \" é ü","wide":"😀","esc":"\ud83d\ude00","ctl":"\u0001"}"#,
            r#"{"big":123456789012345678,"f":0.1234567890123456789,"g":9007199254740993.0}"#,
            r#"{"x":[[],[[]],{}],"y":{"x":{"y":[{"q":1,"w":2,"e":3}]}}}"#,
        ] {
            assert!(check(&mut plain, text), "{text}");
            assert!(check(&mut plain, text), "again: {text}");
        }
    }

    #[test]
    fn what_is_doubtful_takes_the_long_way() {
        let mut plain = PlainJson::default();
        for text in [
            "",
            "1",
            "\"x\"",
            "[1]",
            r#"{"a":1"#,
            r#"{"a":1}x"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a\n":1}"#,
            r#"{"😀":1}"#,
            r#"{"a":-0}"#,
            r#"{"a":007}"#,
            r#"{"a":1e5}"#,
            r#"{"a":12345678901234567890}"#,
            r#"{"a":1.}"#,
            r#"{"a":.5}"#,
            r#"{"a":truex}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":1,}"#,
            "{\"a\":\"\u{1}\"}",
            r#"{"a":NaN}"#,
        ] {
            assert!(!check(&mut plain, text), "{text}");
        }
        assert!(!plain.print(b"{\"a\":\"\xff\"}", &mut BytesMut::new()));
    }

    /// A small generator of random texts, good and bad.
    struct Random(u64);
    impl Random {
        fn next(&mut self, below: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % below
        }
        fn value(&mut self, depth: u64, out: &mut String) {
            match self.next(if depth > 3 { 6 } else { 8 }) {
                0 => out.push_str(["true", "false", "null"][self.next(3) as usize]),
                1 => out.push_str(&self.next(1 << 40).to_string()),
                2 => {
                    let (whole, fraction) = (self.next(100_000_000), self.next(1_000_000));
                    out.push_str(&format!("-{whole}.{fraction:05}"));
                }
                3 => out.push_str(&format!(
                    "0.{:0width$}",
                    self.next(1000),
                    width = self.next(8) as usize + 1
                )),
                4 => out.push_str("\"a\\\"b\\u00e9 \\/ ü😀\""),
                5 => out.push_str(
                    ["1e3", "\"plain text of some length\"", "\"\"", "-0.0"][self.next(4) as usize],
                ),
                6 => {
                    out.push('[');
                    for index in 0..self.next(4) {
                        if index > 0 {
                            out.push(',');
                        }
                        self.value(depth + 1, out);
                    }
                    out.push(']');
                }
                _ => self.object(depth + 1, out),
            }
        }
        fn object(&mut self, depth: u64, out: &mut String) {
            out.push('{');
            for index in 0..self.next(20) {
                if index > 0 {
                    out.push_str([",", " , "][self.next(2) as usize]);
                }
                out.push_str(&format!(
                    "\"{}\":",
                    ["id", "name", "Aa", "BB", "ä", "key"][self.next(6) as usize].to_owned()
                        + &index.to_string()
                ));
                self.value(depth, out);
            }
            out.push('}');
        }
    }

    #[test]
    fn random_messages_print_as_the_long_way_prints_them() {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let mut plain = PlainJson::default();
        let mut short = 0;
        for _ in 0..3000 {
            let mut text = String::new();
            random.object(0, &mut text);
            short += usize::from(check(&mut plain, &text));
        }
        assert!(short > 500, "{short}");
    }
}
