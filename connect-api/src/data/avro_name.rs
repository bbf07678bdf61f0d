//! Names made legal for Avro.
//!
//! Answers for Debezium's `SchemaNameAdjuster`. It looks at one name at a time and so never sees
//! that two names become one.

/// `schema.name.adjustment.mode`, `field.name.adjustment.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameAdjustment {
    /// Names stay.
    #[default]
    None,
    /// What Avro does not allow becomes `_`.
    Avro,
    /// What Avro does not allow becomes `_uXXXX`, `_` itself too.
    AvroUnicode,
}

impl NameAdjustment {
    /// The mode of this name, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "none" => Some(Self::None),
            "avro" => Some(Self::Avro),
            "avro_unicode" => Some(Self::AvroUnicode),
            _ => None,
        }
    }

    /// A schema's full name, legal for Avro if asked: dots stay.
    #[must_use]
    pub fn schema_name(self, name: &str) -> String {
        self.adjust(name, true)
    }

    /// A field's name, legal for Avro if asked.
    #[must_use]
    pub fn field_name(self, name: &str) -> String {
        self.adjust(name, false)
    }

    fn adjust(self, name: &str, dots: bool) -> String {
        if self == Self::None {
            return name.to_owned();
        }
        let mut adjusted = String::with_capacity(name.len());
        for (index, unit) in name.encode_utf16().enumerate() {
            let ascii = u8::try_from(unit)
                .ok()
                .map(char::from)
                .filter(char::is_ascii);
            let legal = ascii.filter(|&character| match character {
                '_' => self == Self::Avro,
                '.' => dots && index > 0,
                '0'..='9' => index > 0,
                _ => character.is_ascii_alphabetic(),
            });
            match (legal, self) {
                (Some(character), _) => adjusted.push(character),
                (None, Self::AvroUnicode) => adjusted.push_str(&format!("_u{unit:04x}")),
                (None, _) => {
                    adjusted.push('_');
                    // Names that differ only in a leading digit stay different.
                    adjusted.extend(
                        ascii.filter(|&character| index == 0 && character.is_ascii_digit()),
                    );
                }
            }
        }
        adjusted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_avro_does_not_allow_is_replaced() {
        assert_eq!(NameAdjustment::None.schema_name("1 a-b"), "1 a-b");
        assert_eq!(NameAdjustment::Avro.schema_name("1a.b-c"), "_1a.b_c");
        assert_eq!(NameAdjustment::Avro.field_name("a.b"), "a_b");
        assert_eq!(
            NameAdjustment::AvroUnicode.field_name("a_b-"),
            "a_u005fb_u002d"
        );
    }
}
