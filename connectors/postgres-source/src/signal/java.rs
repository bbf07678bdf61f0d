//! Keys of rows as Debezium stores them in offsets: `Object[]` in Java's serialization, as hex.
//!
//! Only the classes that keys of Postgres tables are made of, in the very bytes that the JVM
//! writes, so that either worker goes on where the other stopped. A key of another type is stored
//! as text. Answers for `AbstractIncrementalSnapshotContext.arrayToSerializedString`.

use std::fmt;

use connect_api::data::Decimal;
use connect_api::java::double_to_string;

use crate::change::{TypeInfo, TypeKind};

/// One column of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyPart {
    /// SQL `NULL`.
    Null,
    /// `java.lang.Integer`: int2, int4.
    Integer(i32),
    /// `java.lang.Long`: int8, oid.
    Long(i64),
    /// `java.lang.Boolean`.
    Boolean(bool),
    /// `java.lang.Double`.
    Double(f64),
    /// `java.math.BigDecimal`.
    Decimal(Decimal),
    /// `java.util.UUID`.
    Uuid(u128),
    /// `java.lang.String`, and all other types.
    Text(String),
}

impl fmt::Display for KeyPart {
    /// As SQL reads it and notifications show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<null>"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Long(number) => write!(f, "{number}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Double(number) => f.write_str(&double_to_string(*number)),
            Self::Decimal(number) => f.write_str(&number.to_plain_string()),
            Self::Uuid(bits) => write!(f, "{}", uuid::Uuid::from_u128(*bits)),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl KeyPart {
    /// A column's value from its text form.
    #[must_use]
    pub fn parse(text: Option<&str>, data_type: &TypeInfo) -> Self {
        let Some(text) = text else {
            return Self::Null;
        };
        let mut data_type = data_type;
        while let TypeKind::Domain(inner, _) = &data_type.kind {
            data_type = inner;
        }
        let parsed = match data_type.name.as_str() {
            "int2" | "int4" => text.parse().ok().map(Self::Integer),
            "int8" | "oid" => text.parse().ok().map(Self::Long),
            "bool" => Some(Self::Boolean(text == "t")),
            "float8" => text.parse().ok().map(Self::Double),
            "numeric" => Decimal::parse(text.as_bytes()).map(Self::Decimal),
            "uuid" => uuid::Uuid::parse_str(text)
                .ok()
                .map(|uuid| Self::Uuid(uuid.as_u128())),
            _ => None,
        };
        parsed.unwrap_or_else(|| Self::Text(text.to_owned()))
    }
}

const ARRAY: (&str, u64) = ("[Ljava.lang.Object;", 0x90ce_589f_1073_296c);
const NUMBER: (&str, u64) = ("java.lang.Number", 0x86ac_951d_0b94_e08b);
const INTEGER: (&str, u64) = ("java.lang.Integer", 0x12e2_a0a4_f781_8738);
const LONG: (&str, u64) = ("java.lang.Long", 0x3b8b_e490_cc8f_23df);
const BOOLEAN: (&str, u64) = ("java.lang.Boolean", 0xcd20_7280_d59c_faee);
const DOUBLE: (&str, u64) = ("java.lang.Double", 0x80b3_c24a_296b_fb04);
const DECIMAL: (&str, u64) = ("java.math.BigDecimal", 0x54c7_1557_f981_284f);
const BIG: (&str, u64) = ("java.math.BigInteger", 0x8cfc_9f1f_a93b_fb1d);
const BYTES: (&str, u64) = ("[B", 0xacf3_17f8_0608_54e0);
const UUID: (&str, u64) = ("java.util.UUID", 0xbc99_03f7_986d_852f);

const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS: u8 = 0x72;
const OBJECT: u8 = 0x73;
const STRING: u8 = 0x74;
const NEW_ARRAY: u8 = 0x75;
const END: u8 = 0x78;
const LONG_STRING: u8 = 0x7c;
const SERIALIZABLE: u8 = 0x02;
/// Of a class that writes itself: an end follows its data.
const WRITES: u8 = 0x01;
const FIRST_HANDLE: u32 = 0x007e_0000;

/// The key as it is stored; a key that does not exist is a null.
#[must_use]
pub fn serialize(key: Option<&[KeyPart]>) -> String {
    let mut writer = Writer {
        out: vec![0xac, 0xed, 0x00, 0x05],
        handles: Vec::new(),
    };
    match key {
        None => writer.out.push(NULL),
        Some(parts) => {
            writer.out.push(NEW_ARRAY);
            writer.class(ARRAY, SERIALIZABLE, &[], false);
            writer.handles.push(Handle::Other);
            writer.number(parts.len());
            for part in parts {
                writer.part(part);
            }
        }
    }
    writer
        .out
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What was written and can be referred to again.
#[derive(Clone, Debug, PartialEq)]
enum Handle {
    Class(&'static str),
    /// A field's type.
    Type(&'static str),
    /// A value that Java shares: small numbers and booleans.
    Shared(KeyPart),
    Other,
}

struct Writer {
    out: Vec<u8>,
    handles: Vec<Handle>,
}

impl Writer {
    fn number(&mut self, number: usize) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&number.to_be_bytes());
    }

    fn name(&mut self, text: &str) {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Refers to what was written before, if it was.
    fn refer(&mut self, handle: &Handle) -> bool {
        let Some(place) = self.handles.iter().position(|known| known == handle) else {
            return false;
        };
        self.out.push(REFERENCE);
        let place = FIRST_HANDLE + u32::try_from(place).unwrap_or_default();
        self.out.extend_from_slice(&place.to_be_bytes());
        true
    }

    /// A class; `fields` are its type code, name and, for objects, type.
    fn class(
        &mut self,
        (name, version): (&'static str, u64),
        flags: u8,
        fields: &[(u8, &str, &'static str)],
        is_number: bool,
    ) {
        if self.refer(&Handle::Class(name)) {
            return;
        }
        self.out.push(CLASS);
        self.name(name);
        self.out.extend_from_slice(&version.to_be_bytes());
        self.handles.push(Handle::Class(name));
        self.out.push(flags);
        let count = u16::try_from(fields.len()).unwrap_or_default();
        self.out.extend_from_slice(&count.to_be_bytes());
        for (code, field, of) in fields {
            self.out.push(*code);
            self.name(field);
            if matches!(code, b'L' | b'[') && !self.refer(&Handle::Type(of)) {
                self.out.push(STRING);
                self.handles.push(Handle::Type(of));
                self.name(of);
            }
        }
        self.out.push(END);
        match is_number {
            true => self.class(NUMBER, SERIALIZABLE, &[], false),
            false => self.out.push(NULL),
        }
    }

    /// The head of an object; `false` where one that is shared was referred to.
    fn object(
        &mut self,
        part: &KeyPart,
        shared: bool,
        class: (&'static str, u64),
        fields: &[(u8, &str, &'static str)],
        is_number: bool,
    ) -> bool {
        let handle = match shared {
            true => Handle::Shared(part.clone()),
            false => Handle::Other,
        };
        if shared && self.refer(&handle) {
            return false;
        }
        let writes = if class == DECIMAL { WRITES } else { 0 };
        self.out.push(OBJECT);
        self.class(class, SERIALIZABLE | writes, fields, is_number);
        self.handles.push(handle);
        true
    }

    fn part(&mut self, part: &KeyPart) {
        let small = -128..=127;
        match part {
            KeyPart::Null => self.out.push(NULL),
            KeyPart::Integer(number) => {
                let shared = small.contains(&i64::from(*number));
                let fields = [(b'I', "value", "")];
                if self.object(part, shared, INTEGER, &fields, true) {
                    self.out.extend_from_slice(&number.to_be_bytes());
                }
            }
            KeyPart::Long(number) => {
                let fields = [(b'J', "value", "")];
                if self.object(part, small.contains(number), LONG, &fields, true) {
                    self.out.extend_from_slice(&number.to_be_bytes());
                }
            }
            KeyPart::Boolean(value) => {
                let fields = [(b'Z', "value", "")];
                if self.object(part, true, BOOLEAN, &fields, false) {
                    self.out.push(u8::from(*value));
                }
            }
            KeyPart::Double(number) => {
                let fields = [(b'D', "value", "")];
                self.object(part, false, DOUBLE, &fields, true);
                self.out.extend_from_slice(&number.to_be_bytes());
            }
            KeyPart::Uuid(bits) => {
                let fields = [(b'J', "leastSigBits", ""), (b'J', "mostSigBits", "")];
                self.object(part, false, UUID, &fields, false);
                let bytes = bits.to_be_bytes();
                self.out.extend_from_slice(&bytes[8..]);
                self.out.extend_from_slice(&bytes[..8]);
            }
            KeyPart::Text(text) => {
                self.handles.push(Handle::Other);
                match u16::try_from(text.len()) {
                    Ok(_) => {
                        self.out.push(STRING);
                        self.name(text);
                    }
                    Err(_) => {
                        self.out.push(LONG_STRING);
                        let length = u64::try_from(text.len()).unwrap_or_default();
                        self.out.extend_from_slice(&length.to_be_bytes());
                        self.out.extend_from_slice(text.as_bytes());
                    }
                }
            }
            KeyPart::Decimal(number) => self.decimal(part, number),
        }
    }

    fn decimal(&mut self, part: &KeyPart, number: &Decimal) {
        let fields = [
            (b'I', "scale", ""),
            (b'L', "intVal", "Ljava/math/BigInteger;"),
        ];
        self.object(part, false, DECIMAL, &fields, true);
        self.out.extend_from_slice(&number.scale().to_be_bytes());
        let (sign, magnitude) = number.unscaled().to_bytes_be();
        let (signum, magnitude) = match sign {
            num_bigint::Sign::Minus => (-1i32, magnitude),
            num_bigint::Sign::NoSign => (0, Vec::new()),
            num_bigint::Sign::Plus => (1, magnitude),
        };
        self.out.push(OBJECT);
        let fields = [
            (b'I', "bitCount", ""),
            (b'I', "bitLength", ""),
            (b'I', "firstNonzeroByteNum", ""),
            (b'I', "lowestSetBit", ""),
            (b'I', "signum", ""),
            (b'[', "magnitude", "[B"),
        ];
        self.class(BIG, SERIALIZABLE | WRITES, &fields, true);
        self.handles.push(Handle::Other);
        for cached in [-1i32, -1, -2, -2, signum] {
            self.out.extend_from_slice(&cached.to_be_bytes());
        }
        self.out.push(NEW_ARRAY);
        self.class(BYTES, SERIALIZABLE, &[], false);
        self.handles.push(Handle::Other);
        self.number(magnitude.len());
        self.out.extend_from_slice(&magnitude);
        self.out.extend_from_slice(&[END, END]);
    }
}

/// Reads a stored key; `Ok(None)` for a null.
///
/// # Errors
/// It is not of the classes above; the text says where.
pub fn deserialize(hex: &str) -> Result<Option<Vec<KeyPart>>, String> {
    let digits: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect();
    let bytes = digits.ok_or("the key is not written in hexadecimal digits")?;
    let body = bytes
        .strip_prefix(&[0xac, 0xed, 0x00, 0x05])
        .ok_or("the key is not a serialized Java object")?;
    let mut reader = Reader {
        rest: body,
        handles: Vec::new(),
    };
    match reader.object(0)? {
        Object::Null => Ok(None),
        Object::Array(parts) => Ok(Some(parts)),
        _ => Err("the key is not an array of objects".to_owned()),
    }
}

/// A class with what its objects hold.
#[derive(Clone, Debug)]
struct Class {
    name: String,
    writes: bool,
    fields: Vec<(u8, String)>,
    parent: Option<Box<Class>>,
}

#[derive(Clone, Debug)]
enum Object {
    Null,
    Class(Class),
    Part(KeyPart),
    Array(Vec<KeyPart>),
    Bytes(Vec<u8>),
    Big(num_bigint::BigInt),
    /// What is referred to before it is read.
    Pending,
}

struct Reader<'a> {
    rest: &'a [u8],
    handles: Vec<Object>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or("the key ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self.take(N)?;
        <[u8; N]>::try_from(taken).map_err(|_| "the key ends too early".to_owned())
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.fixed::<1>()?[0])
    }

    fn count(&mut self) -> Result<usize, String> {
        let count = u32::from_be_bytes(self.fixed()?);
        usize::try_from(count).map_err(|_| "the key is too long".to_owned())
    }

    fn name(&mut self) -> Result<String, String> {
        let length = u16::from_be_bytes(self.fixed()?).into();
        let bytes = self.take(length)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| "a text of the key is not UTF-8".to_owned())
    }

    fn referred(&mut self) -> Result<Object, String> {
        let place = u32::from_be_bytes(self.fixed()?);
        let place = place.checked_sub(FIRST_HANDLE).ok_or("a wrong reference")?;
        let place = usize::try_from(place).map_err(|_| "a wrong reference")?;
        let found = self.handles.get(place).cloned();
        found.ok_or_else(|| "a wrong reference".to_owned())
    }

    fn class(&mut self, depth: u8) -> Result<Option<Class>, String> {
        match self.byte()? {
            NULL => Ok(None),
            REFERENCE => match self.referred()? {
                Object::Class(class) => Ok(Some(class)),
                _ => Err("a reference to no class".to_owned()),
            },
            CLASS if depth < 8 => {
                let name = self.name()?;
                self.take(8)?;
                let place = self.handles.len();
                self.handles.push(Object::Pending);
                let flags = self.byte()?;
                let count = u16::from_be_bytes(self.fixed()?);
                let mut fields = Vec::new();
                for _ in 0..count {
                    let code = self.byte()?;
                    let field = self.name()?;
                    if matches!(code, b'L' | b'[') {
                        self.object(depth + 1)?;
                    }
                    fields.push((code, field));
                }
                if self.byte()? != END {
                    return Err(format!("the class {name} has annotations"));
                }
                let parent = self.class(depth + 1)?.map(Box::new);
                let class = Class {
                    name,
                    writes: flags & WRITES != 0,
                    fields,
                    parent,
                };
                if let Some(slot) = self.handles.get_mut(place) {
                    *slot = Object::Class(class.clone());
                }
                Ok(Some(class))
            }
            other => Err(format!("{other:#04x} where a class is expected")),
        }
    }

    fn object(&mut self, depth: u8) -> Result<Object, String> {
        if depth > 8 {
            return Err("the key nests too deep".to_owned());
        }
        match self.byte()? {
            NULL => Ok(Object::Null),
            REFERENCE => self.referred(),
            STRING => {
                let text = Object::Part(KeyPart::Text(self.name()?));
                self.handles.push(text.clone());
                Ok(text)
            }
            LONG_STRING => {
                let length = u64::from_be_bytes(self.fixed()?);
                let length = usize::try_from(length).map_err(|_| "the key is too long")?;
                let bytes = self.take(length)?.to_vec();
                let text = String::from_utf8(bytes).map_err(|_| "a text is not UTF-8")?;
                let text = Object::Part(KeyPart::Text(text));
                self.handles.push(text.clone());
                Ok(text)
            }
            NEW_ARRAY => {
                let class = self.class(depth)?.ok_or("an array without class")?;
                let place = self.handles.len();
                self.handles.push(Object::Pending);
                let count = self.count()?;
                let array = if class.name == BYTES.0 {
                    Object::Bytes(self.take(count)?.to_vec())
                } else {
                    let mut parts = Vec::new();
                    for _ in 0..count {
                        parts.push(match self.object(depth + 1)? {
                            Object::Null => KeyPart::Null,
                            Object::Part(part) => part,
                            _ => return Err("a part of the key is no value".to_owned()),
                        });
                    }
                    Object::Array(parts)
                };
                if let Some(slot) = self.handles.get_mut(place) {
                    *slot = array.clone();
                }
                Ok(array)
            }
            OBJECT => {
                let class = self.class(depth)?.ok_or("an object without class")?;
                let place = self.handles.len();
                self.handles.push(Object::Pending);
                let object = self.value(&class, depth)?;
                if let Some(slot) = self.handles.get_mut(place) {
                    *slot = object.clone();
                }
                Ok(object)
            }
            other => Err(format!("{other:#04x} where an object is expected")),
        }
    }

    fn value(&mut self, class: &Class, depth: u8) -> Result<Object, String> {
        if class
            .parent
            .as_ref()
            .is_some_and(|parent| !parent.fields.is_empty() || parent.writes)
        {
            return Err(format!("keys of class {} are not known", class.name));
        }
        let mut numbers: Vec<i64> = Vec::new();
        let mut inner = Object::Null;
        for (code, _) in &class.fields {
            match code {
                b'I' => numbers.push(i32::from_be_bytes(self.fixed()?).into()),
                b'J' | b'D' => numbers.push(i64::from_be_bytes(self.fixed()?)),
                b'F' => numbers.push(u32::from_be_bytes(self.fixed()?).into()),
                b'S' => numbers.push(i16::from_be_bytes(self.fixed()?).into()),
                b'Z' | b'B' => numbers.push(self.byte()?.into()),
                b'L' | b'[' => inner = self.object(depth + 1)?,
                _ => return Err(format!("keys of class {} are not known", class.name)),
            }
        }
        if class.writes && self.byte()? != END {
            return Err(format!("the class {} writes more", class.name));
        }
        let number = |at: usize| numbers.get(at).copied().unwrap_or_default();
        let bits = |at: usize| u128::from(number(at).cast_unsigned());
        Ok(match (class.name.as_str(), inner) {
            ("java.lang.Integer" | "java.lang.Short" | "java.lang.Byte", _) => {
                let number = i32::try_from(number(0)).unwrap_or_default();
                Object::Part(KeyPart::Integer(number))
            }
            ("java.lang.Long", _) => Object::Part(KeyPart::Long(number(0))),
            ("java.lang.Boolean", _) => Object::Part(KeyPart::Boolean(number(0) != 0)),
            ("java.lang.Double", _) => {
                Object::Part(KeyPart::Double(f64::from_bits(number(0).cast_unsigned())))
            }
            ("java.lang.Float", _) => {
                let bits = u32::try_from(number(0)).unwrap_or_default();
                Object::Part(KeyPart::Text(f32::from_bits(bits).to_string()))
            }
            ("java.util.UUID", _) => Object::Part(KeyPart::Uuid(bits(1) << 64 | bits(0))),
            ("java.math.BigInteger", Object::Bytes(magnitude)) => {
                let sign = match number(4) {
                    -1 => num_bigint::Sign::Minus,
                    0 => num_bigint::Sign::NoSign,
                    _ => num_bigint::Sign::Plus,
                };
                Object::Big(num_bigint::BigInt::from_bytes_be(sign, &magnitude))
            }
            ("java.math.BigDecimal", Object::Big(unscaled)) => {
                let scale = i32::try_from(number(0)).unwrap_or_default();
                Object::Part(KeyPart::Decimal(Decimal::from_big(unscaled, scale)))
            }
            (other, _) => return Err(format!("keys of class {other} are not known")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by the JVM.
    const RECORDED: [&str; 3] = [
        "aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c020000787000000004737200116a6176612e6c616e672e496e746567657212e2a0a4f781873802000149000576616c7565787200106a6176612e6c616e672e4e756d62657286ac951d0b94e08b02000078700000000171007e00047371007e0002000003e87371007e0002000003e8",
        "aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c020000787000000009737200116a6176612e6c616e672e496e746567657212e2a0a4f781873802000149000576616c7565787200106a6176612e6c616e672e4e756d62657286ac951d0b94e08b02000078700000005c71007e00047372000e6a6176612e6c616e672e4c6f6e673b8be490cc8f23df0200014a000576616c75657871007e0003000000000000005c71007e0004737200146a6176612e6d6174682e426967446563696d616c54c71557f981284f0300024900057363616c654c0006696e7456616c7400164c6a6176612f6d6174682f426967496e74656765723b7871007e000300000002737200146a6176612e6d6174682e426967496e74656765728cfc9f1fa93bfb1d030006490008626974436f756e744900096269744c656e67746849001366697273744e6f6e7a65726f427974654e756d49000c6c6f776573745365744269744900067369676e756d5b00096d61676e69747564657400025b427871007e0003fffffffffffffffffffffffefffffffeffffffff757200025b42acf317f8060854e002000078700000000301c13878787372000e6a6176612e7574696c2e55554944bc9903f7986d852f0200024a000c6c65617374536967426974734a000b6d6f7374536967426974737870e07902b254dfad1092cc227532d17e56737200116a6176612e6c616e672e426f6f6c65616ecd207280d59cfaee0200015a000576616c75657870017400036b3932737200106a6176612e6c616e672e446f75626c6580b3c24a296bfb0402000144000576616c75657871007e00034057200000000000",
        "aced000570",
    ];

    fn keys() -> [Option<Vec<KeyPart>>; 3] {
        let integer = KeyPart::Integer;
        [
            Some(vec![integer(1), integer(1), integer(1000), integer(1000)]),
            Some(vec![
                integer(92),
                integer(92),
                KeyPart::Long(92),
                integer(92),
                KeyPart::Decimal(Decimal::new(-115_000, 2)),
                KeyPart::Uuid(0x92cc_2275_32d1_7e56_e079_02b2_54df_ad10),
                KeyPart::Boolean(true),
                KeyPart::Text("k92".to_owned()),
                KeyPart::Double(92.5),
            ]),
            None,
        ]
    }

    #[test]
    fn keys_are_written_as_the_jvm_writes_them() {
        for (key, recorded) in keys().iter().zip(RECORDED) {
            assert_eq!(serialize(key.as_deref()), recorded, "{key:?}");
        }
    }

    #[test]
    fn keys_are_read_as_the_jvm_wrote_them() {
        for (key, recorded) in keys().into_iter().zip(RECORDED) {
            assert_eq!(deserialize(recorded), Ok(key));
        }
    }

    #[test]
    fn what_is_no_key_is_an_error() {
        for text in ["", "zz", "aced0005", "aced000575", "aced000571007e0009"] {
            assert!(deserialize(text).is_err(), "{text}");
        }
        let cut = RECORDED[1].get(..300).unwrap();
        assert!(deserialize(cut).is_err());
    }
}
