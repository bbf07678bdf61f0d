//! Reads the subset of Groovy: an expression, or `if … else …` around expressions.
//!
//! It knows the syntax only; what a name or method means is the evaluation's. What it does not know
//! it refuses with the place.

#![expect(
    clippy::string_slice,
    reason = "places are those of characters, found by searching"
)]

use connect_api::{Error, Result};

/// How deep an expression may nest.
const MAX_DEPTH: usize = 100;

/// Two operands and what is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Compare,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    Find,
    Match,
    Plus,
    Minus,
    Times,
    Over,
    Modulo,
}

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// Text with expressions in it: `"${topic}.x"`.
    Template(Vec<Expression>),
    List(Vec<Expression>),
    /// `value`, `topic`, …
    Name(String),
    /// `a.b`, `a?.b`.
    Property(Box<Expression>, String, bool),
    /// `a[b]`.
    Index(Box<Expression>, Box<Expression>),
    /// `a.f(x)`, `a?.f(x)`.
    Call(Box<Expression>, String, Vec<Expression>, bool),
    Not(Box<Expression>),
    Negate(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// `a ? b : c`, `if (a) b else c`.
    Choice(Box<Expression>, Box<Expression>, Box<Expression>),
    /// `a ?: b`.
    Elvis(Box<Expression>, Box<Expression>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Integer(i64),
    Float(f64),
    Text(String),
    Template(Vec<Expression>),
    Symbol(&'static str),
}

/// Longest first.
const SYMBOLS: [&str; 34] = [
    "<=>", "==~", "===", "!==", "==", "!=", "<=", ">=", "&&", "||", "=~", "?.", "?:", "!in", "?",
    ":", "(", ")", "[", "]", "{", "}", ".", ",", "+", "-", "*", "/", "%", "<", ">", "!", ";", "=",
];

fn beyond(text: &str, at: usize, what: &str) -> Error {
    Error::config(format!(
        "{what} at character {} of '{text}' is not of the subset of Groovy that is understood",
        text.get(..at).map_or(0, |before| before.chars().count()) + 1
    ))
}

/// The expression that a text is.
pub(super) fn parse(text: &str) -> Result<Expression> {
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
    };
    let expression = parser.statement()?;
    while parser.take(";") {}
    match parser.tokens.get(parser.next) {
        None => Ok(expression),
        Some((at, _)) => Err(beyond(text, *at, "what follows")),
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if first.is_alphabetic() || matches!(first, '_' | '$') {
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$')))
                .unwrap_or(rest.len());
            tokens.push((at, Token::Name(rest[..end].to_owned())));
            at += end;
        } else if first.is_ascii_digit() {
            let (token, length) = number(rest).ok_or_else(|| beyond(text, at, "a number"))?;
            tokens.push((at, token));
            at += length;
        } else if matches!(first, '\'' | '"') {
            let (token, length) = quoted(rest, first)
                .map_err(|error| beyond(text, at, "a text").with_source(error))?;
            tokens.push((at, token));
            at += length;
        } else if let Some(symbol) = SYMBOLS
            .iter()
            .copied()
            .find(|symbol| rest.starts_with(symbol) && !is_part_of_name(symbol, rest))
        {
            tokens.push((at, Token::Symbol(symbol)));
            at += symbol.len();
        } else {
            return Err(beyond(text, at, &format!("'{first}'")));
        }
    }
    Ok(tokens)
}

/// `!in` is a word only where no name goes on from it.
fn is_part_of_name(symbol: &str, rest: &str) -> bool {
    symbol == "!in"
        && rest[symbol.len()..]
            .chars()
            .next()
            .is_some_and(char::is_alphanumeric)
}

fn number(rest: &str) -> Option<(Token, usize)> {
    let digits = |text: &str| {
        text.find(|c: char| !(c.is_ascii_digit() || c == '_'))
            .unwrap_or(text.len())
    };
    let whole = digits(rest);
    let after = &rest[whole..];
    let is_fraction =
        after.starts_with('.') && after[1..].starts_with(|c: char| c.is_ascii_digit());
    let mut length = whole;
    if is_fraction {
        length += 1 + digits(&after[1..]);
    }
    let exponent = &rest[length..];
    let mut is_float = is_fraction;
    if exponent.starts_with(['e', 'E']) {
        let signed = exponent[1..]
            .strip_prefix(['+', '-'])
            .unwrap_or_else(|| &exponent[1..]);
        let count = digits(signed);
        if count == 0 {
            return None;
        }
        length += exponent.len() - signed.len() + count;
        is_float = true;
    }
    let text = rest[..length].replace('_', "");
    let suffix = rest[length..].chars().next();
    let suffix_length = match suffix {
        Some('l' | 'L' | 'i' | 'I' | 'g' | 'G' | 'd' | 'D' | 'f' | 'F') => 1,
        _ => 0,
    };
    is_float |= matches!(suffix, Some('d' | 'D' | 'f' | 'F'));
    if rest[length + suffix_length..].starts_with(|c: char| c.is_alphanumeric()) {
        return None;
    }
    let token = match is_float {
        true => Token::Float(text.parse().ok()?),
        false => Token::Integer(text.parse().ok()?),
    };
    Some((token, length + suffix_length))
}

/// A text in single quotes, or one in double quotes with `${…}` and `$name` in it.
fn quoted(rest: &str, quote: char) -> Result<(Token, usize)> {
    let triple = quote.to_string().repeat(3);
    if rest.starts_with(&triple) {
        return Err(Error::config("texts in three quotes are not understood"));
    }
    let mut parts: Vec<Expression> = Vec::new();
    let mut text = String::new();
    let mut at = 1;
    loop {
        let Some(character) = rest[at..].chars().next() else {
            return Err(Error::config("the text has no end"));
        };
        at += character.len_utf8();
        match character {
            _ if character == quote => break,
            '\\' => {
                let escaped = rest[at..].chars().next();
                let Some(escaped) = escaped else {
                    return Err(Error::config("the text has no end"));
                };
                at += escaped.len_utf8();
                text.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    's' => ' ',
                    '\\' | '\'' | '"' | '$' => escaped,
                    'u' => {
                        let code = rest.get(at..at + 4).and_then(|hex| {
                            u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)
                        });
                        at += 4;
                        code.ok_or_else(|| Error::config("\\u needs four hexadecimal digits"))?
                    }
                    other => {
                        return Err(Error::config(format!("\\{other} is not understood")));
                    }
                });
            }
            '$' if quote == '"' => {
                let (expression, length) = interpolated(&rest[at..])?;
                if !text.is_empty() {
                    parts.push(Expression::Text(std::mem::take(&mut text)));
                }
                parts.push(expression);
                at += length;
            }
            other => text.push(other),
        }
    }
    if parts.is_empty() {
        return Ok((Token::Text(text), at));
    }
    if !text.is_empty() {
        parts.push(Expression::Text(text));
    }
    Ok((Token::Template(parts), at))
}

/// What follows a dollar sign: `{expression}`, or a name with properties.
fn interpolated(rest: &str) -> Result<(Expression, usize)> {
    if let Some(inner) = rest.strip_prefix('{') {
        let end = inner
            .find('}')
            .ok_or_else(|| Error::config("${ has no end"))?;
        return Ok((parse(&inner[..end])?, end + 2));
    }
    let end = rest
        .char_indices()
        .find(|&(at, c)| {
            let next = rest[at + c.len_utf8()..].chars().next();
            let goes_on = c == '.' && next.is_some_and(char::is_alphabetic);
            !(c.is_alphanumeric() || c == '_' || goes_on)
        })
        .map_or(rest.len(), |(at, _)| at);
    match end {
        0 => Err(Error::config("a $ that is no expression is written \\$")),
        end => Ok((parse(&rest[..end])?, end)),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

/// Binary operators from the loosest to the tightest.
const LEVELS: [&[(&str, Operator)]; 6] = [
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=>", Operator::Compare),
        ("=~", Operator::Find),
        ("==~", Operator::Match),
    ],
    &[
        ("<", Operator::Less),
        ("<=", Operator::LessOrEqual),
        (">", Operator::Greater),
        (">=", Operator::GreaterOrEqual),
        ("in", Operator::In),
        ("!in", Operator::NotIn),
    ],
    &[("+", Operator::Plus), ("-", Operator::Minus)],
    &[
        ("*", Operator::Times),
        ("/", Operator::Over),
        ("%", Operator::Modulo),
    ],
];

impl Parser<'_> {
    fn symbol(&self) -> Option<&str> {
        match self.tokens.get(self.next) {
            Some((_, Token::Symbol(symbol))) => Some(symbol),
            Some((_, Token::Name(name))) => Some(name),
            _ => None,
        }
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.symbol() == Some(symbol);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<()> {
        match self.take(symbol) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("what stands where '{symbol}' is expected"))),
        }
    }

    fn unexpected(&self, what: &str) -> Error {
        let at = self
            .tokens
            .get(self.next)
            .map_or(self.text.len(), |(at, _)| *at);
        beyond(self.text, at, what)
    }

    fn statement(&mut self) -> Result<Expression> {
        if self.take("if") {
            self.expect("(")?;
            let condition = self.expression()?;
            self.expect(")")?;
            let then = self.block()?;
            while self.take(";") {}
            let otherwise = match self.take("else") {
                true => self.block()?,
                // A script's value is that of its last statement.
                false if self.next < self.tokens.len() && self.symbol() != Some("}") => {
                    self.statement()?
                }
                false => Expression::Null,
            };
            return Ok(Expression::Choice(
                Box::new(condition),
                Box::new(then),
                Box::new(otherwise),
            ));
        }
        self.take("return");
        self.expression()
    }

    fn block(&mut self) -> Result<Expression> {
        let braced = self.take("{");
        let statement = self.statement()?;
        if braced {
            while self.take(";") {}
            self.expect("}")?;
        }
        Ok(statement)
    }

    fn expression(&mut self) -> Result<Expression> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.unexpected("nesting as deep as"));
        }
        let condition = self.binary(0)?;
        let expression = if self.take("?") {
            let then = self.expression()?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            Expression::Choice(Box::new(condition), Box::new(then), Box::new(otherwise))
        } else if self.take("?:") {
            Expression::Elvis(Box::new(condition), Box::new(self.expression()?))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn binary(&mut self, level: usize) -> Result<Expression> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self
            .symbol()
            .and_then(|symbol| operators.iter().find(|(known, _)| *known == symbol))
            .map(|(_, operator)| *operator)
        {
            self.next += 1;
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression> {
        if self.take("!") {
            return Ok(Expression::Not(Box::new(self.nested_unary()?)));
        }
        if self.take("-") {
            return Ok(Expression::Negate(Box::new(self.nested_unary()?)));
        }
        if self.take("+") {
            return self.nested_unary();
        }
        self.postfix()
    }

    fn nested_unary(&mut self) -> Result<Expression> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.unexpected("nesting as deep as"));
        }
        let inner = self.unary()?;
        self.depth -= 1;
        Ok(inner)
    }

    fn postfix(&mut self) -> Result<Expression> {
        let mut left = self.primary()?;
        loop {
            let safe = match self.symbol() {
                Some(".") => false,
                Some("?.") => true,
                Some("[") => {
                    self.next += 1;
                    let index = self.expression()?;
                    self.expect("]")?;
                    left = Expression::Index(Box::new(left), Box::new(index));
                    continue;
                }
                _ => return Ok(left),
            };
            self.next += 1;
            let name = match self.tokens.get(self.next) {
                Some((_, Token::Name(name) | Token::Text(name))) => name.clone(),
                _ => return Err(self.unexpected("what stands where a property's name is expected")),
            };
            self.next += 1;
            left = match self.take("(") {
                true => Expression::Call(Box::new(left), name, self.items(")")?, safe),
                false => Expression::Property(Box::new(left), name, safe),
            };
        }
    }

    /// Expressions apart by commas, up to `end`.
    fn items(&mut self, end: &str) -> Result<Vec<Expression>> {
        let mut items = Vec::new();
        if self.take(end) {
            return Ok(items);
        }
        loop {
            items.push(self.expression()?);
            if self.take(end) {
                return Ok(items);
            }
            self.expect(",")?;
        }
    }

    fn primary(&mut self) -> Result<Expression> {
        let Some((_, token)) = self.tokens.get(self.next).cloned() else {
            return Err(self.unexpected("the end"));
        };
        self.next += 1;
        Ok(match token {
            Token::Integer(number) => Expression::Integer(number),
            Token::Float(number) => Expression::Float(number),
            Token::Text(text) => Expression::Text(text),
            Token::Template(parts) => Expression::Template(parts),
            Token::Symbol("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                inner
            }
            Token::Symbol("[") => Expression::List(self.items("]")?),
            Token::Name(name) => match name.as_str() {
                "null" => Expression::Null,
                "true" => Expression::Boolean(true),
                "false" => Expression::Boolean(false),
                "key" | "value" | "keySchema" | "valueSchema" | "topic" | "header" => {
                    Expression::Name(name)
                }
                _ => {
                    self.next -= 1;
                    return Err(self.unexpected(&format!("the name '{name}'")));
                }
            },
            Token::Symbol(symbol) => {
                self.next -= 1;
                return Err(self.unexpected(&format!("'{symbol}'")));
            }
        })
    }
}
