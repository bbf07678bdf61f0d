//! What has to hold for an option's value beyond its type (`ConfigDef.Validator`).

use std::sync::Arc;

use super::Parsed;
use super::kind::invalid;
use crate::java::Regex;

/// Checks a parsed value; `None` is Java's null. Answers the whole sentence of an error.
pub type Validator = Arc<dyn Fn(&str, Option<&Parsed>) -> Result<(), String> + Send + Sync>;

fn shown(value: Option<&Parsed>) -> String {
    value.map_or_else(|| "null".to_owned(), Parsed::in_error)
}

/// At least this number (`Range.atLeast`).
pub fn at_least(min: i64) -> Validator {
    range(Some(min), None)
}

/// A number from `min` to `max`, both included (`Range.between`).
pub fn between(min: i64, max: i64) -> Validator {
    range(Some(min), Some(max))
}

/// A floating-point number from `min` to `max`, both included (`Range.between` of doubles).
pub fn within(min: f64, max: f64) -> Validator {
    let text = crate::java::double_to_string;
    Arc::new(move |name, value| {
        let why = match value {
            Some(Parsed::Double(value)) if *value < min => {
                format!("Value must be at least {}", text(min))
            }
            Some(Parsed::Double(value)) if *value > max => {
                format!("Value must be no more than {}", text(max))
            }
            Some(Parsed::Double(_)) => return Ok(()),
            _ => "Value must be non-null".to_owned(),
        };
        Err(invalid(name, &shown(value), &why))
    })
}

fn range(min: Option<i64>, max: Option<i64>) -> Validator {
    Arc::new(move |name, value| {
        let why = match value {
            Some(Parsed::Int(value)) => match (min, max) {
                (Some(min), _) if *value < min => format!("Value must be at least {min}"),
                (_, Some(max)) if *value > max => format!("Value must be no more than {max}"),
                _ => return Ok(()),
            },
            Some(Parsed::Double(value)) => match (min, max) {
                (Some(min), _) if *value < min as f64 => format!("Value must be at least {min}"),
                (_, Some(max)) if *value > max as f64 => {
                    format!("Value must be no more than {max}")
                }
                _ => return Ok(()),
            },
            _ => "Value must be non-null".to_owned(),
        };
        Err(invalid(name, &shown(value), &why))
    })
}

/// One of these texts (`ValidString.in`).
pub fn any_of(allowed: &'static [&'static str]) -> Validator {
    Arc::new(move |name, value| match value {
        Some(Parsed::String(text)) if allowed.contains(&text.as_str()) => Ok(()),
        _ => Err(invalid(
            name,
            &shown(value),
            &format!("String must be one of: {}", allowed.join(", ")),
        )),
    })
}

/// One of these texts in any case (`CaseInsensitiveValidString.in`). `allowed` stands in the order
/// in which Java's set shows it.
pub fn any_of_ignoring_case(allowed: &'static [&'static str]) -> Validator {
    Arc::new(move |name, value| match value {
        Some(Parsed::String(text))
            if allowed.iter().any(|known| known.eq_ignore_ascii_case(text)) =>
        {
            Ok(())
        }
        _ => Err(invalid(
            name,
            &shown(value),
            &format!(
                "String must be one of (case insensitive): {}",
                allowed.join(", ").to_uppercase()
            ),
        )),
    })
}

/// Not null (`NonNullValidator`).
pub fn non_null() -> Validator {
    Arc::new(|name, value| match value {
        Some(_) => Ok(()),
        None => Err(invalid(name, "null", "entry must be non null")),
    })
}

/// Not empty; null is fine (`NonEmptyString`).
pub fn non_empty() -> Validator {
    Arc::new(|name, value| match value {
        Some(Parsed::String(text)) if text.is_empty() => {
            Err(invalid(name, "", "String must be non-empty"))
        }
        _ => Ok(()),
    })
}

/// Neither empty nor with control characters (`NonEmptyStringWithoutControlChars`).
pub fn non_empty_without_control() -> Validator {
    Arc::new(|name, value| match value {
        // A missing name is told by the key being required.
        None => Ok(()),
        Some(Parsed::String(text)) if text.is_empty() => {
            Err(invalid(name, "", "String may not be empty"))
        }
        Some(Parsed::String(text)) if text.chars().any(char::is_control) => {
            let codes: Vec<String> = text
                .chars()
                .filter(|character| character.is_control())
                .map(|character| u32::from(character).to_string())
                .collect();
            Err(invalid(
                name,
                text,
                &format!(
                    "String may not contain control sequences but had the following ASCII chars: {}",
                    codes.join(", ")
                ),
            ))
        }
        Some(_) => Ok(()),
    })
}

/// Rules for a LIST (`ValidList.anyNonDuplicateValues`): may it be empty, may it be null. Items
/// are never blank and never twice.
pub fn list_rules(empty_allowed: bool, null_allowed: bool) -> Validator {
    Arc::new(move |name, value| match value {
        None if null_allowed => Ok(()),
        None => Err(format!("Configuration '{name}' values must not be null.")),
        Some(Parsed::List(items)) if items.is_empty() => match empty_allowed {
            true => Ok(()),
            false => Err(format!(
                "Configuration '{name}' must not be empty. Valid values include: any non-empty value"
            )),
        },
        Some(Parsed::List(items)) => {
            if items
                .iter()
                .enumerate()
                .any(|(at, item)| items.iter().take(at).any(|other| other == item))
            {
                return Err(format!(
                    "Configuration '{name}' values must not be duplicated."
                ));
            }
            if items.iter().any(String::is_empty) {
                return Err(format!("Configuration '{name}' values must not be empty."));
            }
            Ok(())
        }
        Some(_) => Ok(()),
    })
}

/// A text that `check` accepts; its `Err` is the reason. Null is fine.
pub fn check_text(check: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static) -> Validator {
    Arc::new(move |name, value| match value {
        Some(Parsed::String(text) | Parsed::Class(text) | Parsed::Password(text)) => {
            check(text).map_err(|why| invalid(name, &shown(value), &why))
        }
        _ => Ok(()),
    })
}

/// A list of regular expressions, apart by commas.
pub fn regex_list() -> Validator {
    check_text(|text| {
        text.split(',')
            .try_for_each(|pattern| Regex::new(pattern.trim()).map(|_| ()))
            .map_err(|error| error.to_string())
    })
}
