//! What of the JVM shows on the wire and so has to be done as the JVM does it: the order in which a
//! `HashMap` iterates, the regular expressions, the properties files, the text of floating numbers.

mod date_format;
mod hash_map;
mod number;
mod properties;
mod regex;
mod regex_check;

pub use date_format::{DateFormat, civil_from_days, days_from_civil};
pub use hash_map::{HashMap, JavaHash, concurrent_order, string_hash};
pub use number::{double_to_string, float_to_string, parsable, parse_long};
pub use properties::{PropertiesError, parse_properties};
pub use regex::{JavaException, Regex, RegexError};
