//! Reads `.proto` texts: proto2, proto3 and editions. Knows the grammar, not what names mean;
//! passes over what data does not depend on (services, comments, custom options).

use connect_api::{Error, Result};

use crate::syntax::{Enum, Features, Field, File, Label, Message, Syntax};

/// Messages inside messages, at most.
const MAX_DEPTH: usize = 64;
/// The largest field number.
const MAX_NUMBER: u32 = (1 << 29) - 1;

/// The declarations of a text; `name` is for errors.
pub(crate) fn parse(text: &str, name: &str) -> Result<File> {
    if let Some(file) = crate::descriptor::parse(text) {
        return Ok(file);
    }
    let mut parser = Parser {
        text,
        at: 0,
        token: Token::End,
        depth: 0,
    };
    parser.next().and_then(|()| parser.file()).map_err(|what| {
        let before = text.get(..parser.at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        Error::data(format!("{name} is no Protobuf schema: line {line}: {what}"))
    })
}

#[derive(Clone, Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    /// Digits with whatever belongs to a number.
    Number(&'a str),
    Text(String),
    Sign(u8),
    End,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    token: Token<'a>,
    depth: usize,
}

type Parsed<T> = std::result::Result<T, String>;

impl<'a> Parser<'a> {
    fn peek_byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Moves on to the next token.
    fn next(&mut self) -> Parsed<()> {
        self.skip_space()?;
        let start = self.at;
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        self.token = match self.peek_byte() {
            None => Token::End,
            Some(quote @ (b'"' | b'\'')) => {
                self.at += 1;
                Token::Text(self.string(quote)?)
            }
            Some(b'0'..=b'9') => {
                while let Some(byte) = self.peek_byte() {
                    let before = self.text.as_bytes().get(self.at.wrapping_sub(1));
                    let exponent = matches!(byte, b'+' | b'-')
                        && matches!(before, Some(b'e' | b'E'))
                        && !self.slice(start).starts_with("0x");
                    if !(word(byte) || byte == b'.' || exponent) {
                        break;
                    }
                    self.at += 1;
                }
                Token::Number(self.slice(start))
            }
            Some(byte) if word(byte) => {
                while self.peek_byte().is_some_and(word) {
                    self.at += 1;
                }
                Token::Word(self.slice(start))
            }
            Some(byte) if byte.is_ascii() => {
                self.at += 1;
                Token::Sign(byte)
            }
            Some(_) => return Err("an unexpected character".to_owned()),
        };
        Ok(())
    }

    fn slice(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn skip_space(&mut self) -> Parsed<()> {
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += rest.find("*/").ok_or("a comment that does not end")? + 2;
            } else if rest.starts_with(|c: char| c.is_ascii_whitespace() || c == '\u{feff}') {
                self.at += rest.chars().next().map_or(1, char::len_utf8);
            } else {
                return Ok(());
            }
        }
    }

    /// A text whose opening quote was passed.
    fn string(&mut self, quote: u8) -> Parsed<String> {
        let mut bytes = Vec::new();
        loop {
            let byte = self.peek_byte().ok_or("a text that does not end")?;
            self.at += 1;
            match byte {
                _ if byte == quote => break,
                b'\n' => return Err("a text that goes over the line's end".to_owned()),
                b'\\' => {
                    let escape = self.peek_byte().ok_or("a text that does not end")?;
                    self.at += 1;
                    let digits = |parser: &mut Self, radix: u32, most: usize| {
                        let rest = parser.text.as_bytes().get(parser.at..).unwrap_or_default();
                        let count = rest
                            .iter()
                            .take(most)
                            .take_while(|b| char::from(**b).is_digit(radix))
                            .count();
                        let start = parser.at;
                        parser.at += count;
                        u32::from_str_radix(parser.slice(start), radix).unwrap_or(0)
                    };
                    match escape {
                        b'n' => bytes.push(b'\n'),
                        b't' => bytes.push(b'\t'),
                        b'r' => bytes.push(b'\r'),
                        b'a' => bytes.push(7),
                        b'b' => bytes.push(8),
                        b'f' => bytes.push(12),
                        b'v' => bytes.push(11),
                        b'x' | b'X' => bytes.push(digits(self, 16, 2) as u8),
                        b'0'..=b'7' => {
                            self.at -= 1;
                            bytes.push(digits(self, 8, 3) as u8);
                        }
                        b'u' | b'U' => {
                            let most = if escape == b'u' { 4 } else { 8 };
                            let code = char::from_u32(digits(self, 16, most)).unwrap_or('\u{fffd}');
                            bytes.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                        other => bytes.push(other),
                    }
                }
                other => bytes.push(other),
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn is_word(&self, word: &str) -> bool {
        self.token == Token::Word(word)
    }
    fn is_sign(&self, sign: u8) -> bool {
        self.token == Token::Sign(sign)
    }
    /// Passes over a sign if it is there.
    fn eat(&mut self, sign: u8) -> Parsed<bool> {
        let found = self.is_sign(sign);
        if found {
            self.next()?;
        }
        Ok(found)
    }
    fn expect(&mut self, sign: u8) -> Parsed<()> {
        match self.eat(sign)? {
            true => Ok(()),
            false => Err(format!(
                "expected '{}', found {}",
                char::from(sign),
                self.found()
            )),
        }
    }
    fn found(&self) -> String {
        match &self.token {
            Token::Word(text) | Token::Number(text) => format!("'{text}'"),
            Token::Text(text) => format!("\"{text}\""),
            Token::Sign(sign) => format!("'{}'", char::from(*sign)),
            Token::End => "the end".to_owned(),
        }
    }
    fn word(&mut self) -> Parsed<&'a str> {
        let Token::Word(word) = self.token else {
            return Err(format!("expected a name, found {}", self.found()));
        };
        self.next()?;
        Ok(word)
    }
    fn text(&mut self) -> Parsed<String> {
        let mut whole = None;
        // Texts that follow each other are one.
        while let Token::Text(text) = &self.token {
            whole.get_or_insert_with(String::new).push_str(text);
            self.next()?;
        }
        whole.ok_or_else(|| format!("expected a text, found {}", self.found()))
    }
    /// `a.b.c`, maybe with a dot before it.
    fn name(&mut self) -> Parsed<String> {
        let mut name = String::new();
        if self.eat(b'.')? {
            name.push('.');
        }
        name.push_str(self.word()?);
        while self.eat(b'.')? {
            name.push('.');
            name.push_str(self.word()?);
        }
        Ok(name)
    }
    fn integer(&mut self) -> Parsed<i64> {
        let negative = self.eat(b'-')?;
        let Token::Number(text) = self.token else {
            return Err(format!("expected a number, found {}", self.found()));
        };
        let lower = text.to_ascii_lowercase();
        let parsed = match lower.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16),
            None if lower.len() > 1 && lower.starts_with('0') => i64::from_str_radix(&lower, 8),
            None => lower.parse(),
        };
        let value = parsed.map_err(|_| format!("{text} is no number"))?;
        self.next()?;
        Ok(if negative { -value } else { value })
    }
    fn number(&mut self) -> Parsed<u32> {
        let number = self.integer()?;
        u32::try_from(number)
            .ok()
            .filter(|number| (1..=MAX_NUMBER).contains(number))
            .ok_or_else(|| format!("{number} is no field number"))
    }

    fn file(&mut self) -> Parsed<File> {
        let mut file = File::default();
        while self.token != Token::End {
            if self.eat(b';')? {
                continue;
            }
            let Token::Word(word) = self.token else {
                return Err(format!("expected a declaration, found {}", self.found()));
            };
            match word {
                "syntax" | "edition" => {
                    self.next()?;
                    self.expect(b'=')?;
                    let value = self.text()?;
                    file.syntax = match (word, value.as_str()) {
                        ("edition", _) => Syntax::Edition,
                        (_, "proto2") => Syntax::Proto2,
                        (_, "proto3") => Syntax::Proto3,
                        (_, other) => return Err(format!("unknown syntax \"{other}\"")),
                    };
                    self.expect(b';')?;
                }
                "package" => {
                    self.next()?;
                    file.package = self.name()?;
                    self.expect(b';')?;
                }
                "import" => {
                    self.next()?;
                    if self.is_word("public") || self.is_word("weak") || self.is_word("option") {
                        self.next()?;
                    }
                    file.imports.push(self.text()?);
                    self.expect(b';')?;
                }
                "option" => {
                    self.next()?;
                    let mut option = OptionSink::default();
                    self.option(&mut option)?;
                    self.expect(b';')?;
                    option.apply(&mut file.features);
                }
                "message" => file.messages.push(self.message()?),
                "enum" => file.enums.push(self.enumeration()?),
                "extend" => self.extend()?,
                "service" => self.skip_declaration()?,
                other => return Err(format!("unknown declaration '{other}'")),
            }
        }
        Ok(file)
    }

    fn message(&mut self) -> Parsed<Message> {
        self.next()?;
        let name = self.word()?.to_owned();
        self.body(name)
    }

    /// A message from its opening brace on.
    fn body(&mut self, name: String) -> Parsed<Message> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!(
                "messages are nested more than {MAX_DEPTH} levels deep"
            ));
        }
        let mut message = Message {
            name,
            ..Message::default()
        };
        self.expect(b'{')?;
        while !self.eat(b'}')? {
            if self.eat(b';')? {
                continue;
            }
            match &self.token {
                Token::Word("message") if self.declares() => {
                    let nested = self.message()?;
                    message.messages.push(nested);
                }
                Token::Word("enum") if self.declares() => {
                    let nested = self.enumeration()?;
                    message.enums.push(nested);
                }
                Token::Word("extend") if self.declares() => self.extend()?,
                Token::Word("oneof") if self.declares() => {
                    self.next()?;
                    message.oneofs.push(self.word()?.to_owned());
                    let oneof = message.oneofs.len() - 1;
                    self.expect(b'{')?;
                    while !self.eat(b'}')? {
                        if self.eat(b';')? {
                            continue;
                        }
                        if self.is_word("option") {
                            self.next()?;
                            self.option(&mut OptionSink::default())?;
                            self.expect(b';')?;
                            continue;
                        }
                        self.field(&mut message, Some(oneof))?;
                    }
                }
                Token::Word("option") => {
                    self.next()?;
                    let mut option = OptionSink::default();
                    self.option(&mut option)?;
                    self.expect(b';')?;
                    option.apply(&mut message.features);
                    message.map_entry |= option.map_entry;
                }
                Token::Word("reserved" | "extensions") if !self.names_a_type() => {
                    while !self.is_sign(b';') {
                        if self.token == Token::End {
                            return Err("a declaration that does not end".to_owned());
                        }
                        self.next()?;
                    }
                    self.next()?;
                }
                Token::End => return Err("a message that does not end".to_owned()),
                _ => self.field(&mut message, None)?,
            }
        }
        self.depth -= 1;
        Ok(message)
    }

    /// Whether the word here is a keyword and not a type of that name: a name and a bracket, an
    /// equals sign or another name follow.
    fn declares(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default().trim_start();
        rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !self.names_a_type()
    }

    /// Whether what follows the word here is `name =`, which makes the word a type.
    fn names_a_type(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default().trim_start();
        let name = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let after = name.trim_start();
        name.len() < rest.len() && after.starts_with('=')
    }

    fn field(&mut self, message: &mut Message, oneof: Option<usize>) -> Parsed<()> {
        let mut field = Field {
            oneof,
            ..Field::default()
        };
        let label = match self.token {
            Token::Word("optional") => Label::Optional,
            Token::Word("required") => Label::Required,
            Token::Word("repeated") => Label::Repeated,
            _ => Label::None,
        };
        if label != Label::None && oneof.is_none() && !self.names_a_type() {
            field.label = label;
            self.next()?;
        }
        if self.is_word("map")
            && self
                .text
                .get(self.at..)
                .is_some_and(|rest| rest.trim_start().starts_with('<'))
        {
            return self.map(message, field);
        }
        field.group = self.is_word("group") && !self.names_a_type_after_group();
        field.type_name = self.name()?;
        field.name = self.word()?.to_owned();
        if field.group {
            field.type_name = field.name.clone();
            field.name = field.name.to_ascii_lowercase();
        }
        self.expect(b'=')?;
        field.number = self.number()?;
        self.field_options(&mut field)?;
        if field.group {
            let body = self.body(field.type_name.clone())?;
            message.messages.push(body);
        } else {
            self.expect(b';')?;
        }
        message.fields.push(field);
        Ok(())
    }

    /// `group = 1` is a field of a type called group; `group Name = 1 {` is a group.
    fn names_a_type_after_group(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default().trim_start();
        !rest.starts_with(|c: char| c.is_ascii_uppercase())
    }

    fn map(&mut self, message: &mut Message, mut field: Field) -> Parsed<()> {
        self.next()?;
        self.expect(b'<')?;
        let key = self.name()?;
        self.expect(b',')?;
        let value = self.name()?;
        self.expect(b'>')?;
        field.name = self.word()?.to_owned();
        self.expect(b'=')?;
        field.number = self.number()?;
        self.field_options(&mut field)?;
        self.expect(b';')?;
        let part = |name: &str, type_name, number| Field {
            name: name.to_owned(),
            type_name,
            number,
            ..Field::default()
        };
        field.type_name = entry_name(&field.name);
        field.label = Label::Repeated;
        message.messages.push(Message {
            name: field.type_name.clone(),
            fields: vec![part("key", key, 1), part("value", value, 2)],
            map_entry: true,
            ..Message::default()
        });
        message.fields.push(field);
        Ok(())
    }

    fn field_options(&mut self, field: &mut Field) -> Parsed<()> {
        if !self.eat(b'[')? {
            return Ok(());
        }
        let mut option = OptionSink::default();
        loop {
            self.option(&mut option)?;
            if !self.eat(b',')? {
                break;
            }
        }
        option.apply(&mut field.features);
        field.params = option.params;
        self.expect(b']')
    }

    /// `name = value` of an option.
    fn option(&mut self, sink: &mut OptionSink) -> Parsed<()> {
        let mut path = String::new();
        while !self.is_sign(b'=') {
            match &self.token {
                Token::Word(word) => path.push_str(word),
                Token::Sign(sign @ (b'.' | b'(' | b')')) => path.push(char::from(*sign)),
                _ => return Err(format!("expected an option, found {}", self.found())),
            }
            self.next()?;
        }
        self.next()?;
        self.value(&path, sink, 0)
    }

    /// An option's value; what is known of it goes to `sink`.
    fn value(&mut self, path: &str, sink: &mut OptionSink, depth: usize) -> Parsed<()> {
        if depth > MAX_DEPTH {
            return Err("an option is nested too deeply".to_owned());
        }
        match &self.token {
            Token::Sign(open @ (b'{' | b'<')) => {
                let close = if *open == b'{' { b'}' } else { b'>' };
                self.next()?;
                while !self.eat(close)? {
                    if self.eat(b',')? || self.eat(b';')? {
                        continue;
                    }
                    let name = match self.eat(b'[')? {
                        true => {
                            let mut name = self.name()?;
                            while self.eat(b'/')? {
                                name.push('/');
                                name.push_str(&self.name()?);
                            }
                            self.expect(b']')?;
                            name
                        }
                        false => self.word()?.to_owned(),
                    };
                    self.eat(b':')?;
                    self.value(&format!("{path}.{name}"), sink, depth + 1)?;
                }
                if path.ends_with(".params") {
                    sink.end_param();
                }
                Ok(())
            }
            Token::Sign(b'[') => {
                self.next()?;
                while !self.eat(b']')? {
                    if self.eat(b',')? {
                        continue;
                    }
                    self.value(path, sink, depth + 1)?;
                }
                Ok(())
            }
            Token::Text(_) => {
                let text = self.text()?;
                sink.scalar(path, &text);
                Ok(())
            }
            Token::Sign(b'-' | b'+') => {
                self.next()?;
                self.value(path, sink, depth + 1)
            }
            Token::Word(text) | Token::Number(text) => {
                sink.scalar(path, text);
                self.next()
            }
            _ => Err(format!("expected a value, found {}", self.found())),
        }
    }

    fn enumeration(&mut self) -> Parsed<Enum> {
        self.next()?;
        let mut list = Enum {
            name: self.word()?.to_owned(),
            values: Vec::new(),
        };
        self.expect(b'{')?;
        while !self.eat(b'}')? {
            if self.eat(b';')? {
                continue;
            }
            if self.is_word("reserved") {
                while !self.eat(b';')? {
                    if self.token == Token::End {
                        return Err("an enum that does not end".to_owned());
                    }
                    self.next()?;
                }
                continue;
            }
            if self.is_word("option")
                && !self
                    .text
                    .get(self.at..)
                    .is_some_and(|rest| rest.trim_start().starts_with('='))
            {
                self.next()?;
                self.option(&mut OptionSink::default())?;
                self.expect(b';')?;
                continue;
            }
            let name = self.word()?.to_owned();
            self.expect(b'=')?;
            let number = self.integer()?;
            let number = i32::try_from(number).map_err(|_| format!("{number} is no enum value"))?;
            self.field_options(&mut Field::default())?;
            self.expect(b';')?;
            list.values.push((name, number));
        }
        Ok(list)
    }

    /// Extensions are options or unknown fields: nothing of them is data.
    fn extend(&mut self) -> Parsed<()> {
        self.next()?;
        self.name()?;
        let name = "extend".to_owned();
        self.body(name).map(|_| ())
    }

    /// A declaration in braces that is of no interest.
    fn skip_declaration(&mut self) -> Parsed<()> {
        let mut open = 0usize;
        loop {
            match self.token {
                Token::Sign(b'{') => open += 1,
                Token::Sign(b'}') if open <= 1 => return self.next(),
                Token::Sign(b'}') => open -= 1,
                Token::End => return Err("a declaration that does not end".to_owned()),
                _ => {}
            }
            self.next()?;
        }
    }
}

/// The name of the message made for a map field: `my_counts` gives `MyCountsEntry`.
fn entry_name(field: &str) -> String {
    let mut name = String::new();
    for part in field.split('_') {
        let mut characters = part.chars();
        name.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(characters.as_str());
    }
    name.push_str("Entry");
    name
}

/// What options say that matters here.
#[derive(Default)]
struct OptionSink {
    params: Vec<(String, String)>,
    param: (String, String),
    features: Features,
    map_entry: bool,
}

impl OptionSink {
    fn scalar(&mut self, path: &str, text: &str) {
        let path = path.replace(['(', ')'], "");
        match path.trim_start_matches('.') {
            "confluent.field_meta.params.key" => text.clone_into(&mut self.param.0),
            "confluent.field_meta.params.value" => text.clone_into(&mut self.param.1),
            "features.field_presence" => {
                self.features.implicit_presence = Some(text == "IMPLICIT");
                self.features.required = Some(text == "LEGACY_REQUIRED");
            }
            "features.message_encoding" => self.features.delimited = Some(text == "DELIMITED"),
            "map_entry" => self.map_entry = text == "true",
            _ => {}
        }
    }
    fn end_param(&mut self) {
        if !self.param.0.is_empty() {
            self.params.push(std::mem::take(&mut self.param));
        }
    }
    fn apply(&self, features: &mut Features) {
        *features = self.features.inside(*features);
        features.required = self.features.required.or(features.required);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_everything_is_read() {
        let file = parse(
            r#"
            /* a comment */ syntax = "proto2"; // another
            package a.b;
            import public "x.proto"; import "y" ".proto";
            option java_package = "com.x"; option (custom) = { a: 1 b { c: "}" } d: [1, 2] };
            message M {
              option deprecated = true;
              reserved 4, 8 to max; reserved "old";
              extensions 100 to 199 [declaration = { number: 5 }];
              required int32 id = 1 [default = -5, (confluent.field_meta) = { params: [{key: "scale", value: "2"}, {value: "9" key: "precision"}] }];
              optional .a.b.E e = 0x10;
              repeated group Item = 3 { optional string s = 1; }
              map<string, M.Inner> my_counts = 5 [json_name = "x"];
              oneof choice { option (o) = 1; string s = 6; Inner i = 7; }
              message Inner { optional bytes message = 1; optional message.Foo option = 2; }
              enum E { option allow_alias = true; A = 0; B = -1 [deprecated = true]; reserved 5; }
              extend M { optional int32 ext = 100; }
            }
            extend google.protobuf.FieldOptions { optional string meta = 50000; }
            service S { rpc Do(M) returns (stream M) { option x = { y: 1 }; } }
            "#,
            "all.proto",
        )
        .expect("valid");
        assert_eq!(file.imports, ["x.proto", "y.proto"]);
        assert_eq!(file.package, "a.b");
        let message = &file.messages[0];
        let fields: Vec<_> = message
            .fields
            .iter()
            .map(|field| (field.name.as_str(), field.type_name.as_str(), field.number))
            .collect();
        assert_eq!(
            fields,
            [
                ("id", "int32", 1),
                ("e", ".a.b.E", 16),
                ("item", "Item", 3),
                ("my_counts", "MyCountsEntry", 5),
                ("s", "string", 6),
                ("i", "Inner", 7),
            ]
        );
        assert_eq!(
            message.fields[0].params,
            [
                ("scale".to_owned(), "2".to_owned()),
                ("precision".to_owned(), "9".to_owned())
            ]
        );
        assert!(message.fields[2].group);
        assert_eq!(message.fields[5].oneof, Some(0));
        assert_eq!(
            message.enums[0].values,
            [("A".to_owned(), 0), ("B".to_owned(), -1)]
        );
        let nested: Vec<_> = message.messages.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(nested, ["Item", "MyCountsEntry", "Inner"]);
    }

    #[test]
    fn what_is_no_schema_is_refused_with_its_line() {
        for (text, said) in [
            ("message M {\n int32 a = ;\n}", "line 2"),
            ("message M {", "does not end"),
            ("syntax = \"proto9\";", "proto9"),
            ("message M { int32 a = 0; }", "no field number"),
            ("{\"type\":\"string\"}", "expected a declaration"),
        ] {
            let error = parse(text, "x.proto").expect_err(text);
            assert!(
                error.message().contains(said),
                "{text}: {}",
                error.message()
            );
        }
        let deep = "message M {".repeat(100_000);
        parse(&deep, "deep.proto").expect_err("too deep");
        let deep = format!("option a = {}", "{ b: ".repeat(100_000));
        parse(&deep, "deep.proto").expect_err("too deep");
    }
}
