//! Which tables, columns and messages are captured, what is masked, and which columns make a key.
//!
//! Lists of Java regular expressions that have to match a whole name, in any case of letters.
//! Everything is compiled once and asked once per table or message prefix, never per row. Answers
//! for `RelationalTableFilters`, `Selectors`, `ColumnNameFilterFactory`, `ColumnMappers`,
//! `Key.CustomKeyMapper` and `LogicalDecodingMessageFilter`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use connect_api::Props;
use connect_api::java::Regex;

use crate::change::{TableId, TableInfo};
use crate::error::PgError;

/// The items of a list: apart by commas that no backslash stands before, blanks cut off, empty
/// ones dropped, `\,` read as a comma.
#[must_use]
pub fn split_list(text: &str) -> Vec<String> {
    let (mut items, mut item, mut escaped) = (Vec::new(), String::new(), false);
    for character in text.chars() {
        if character == ',' && !escaped {
            items.push(std::mem::take(&mut item));
            continue;
        }
        escaped = character == '\\' && !escaped;
        item.push(character);
    }
    items.push(item);
    items
        .iter()
        .filter(|item| !item.is_empty())
        .map(|item| item.trim().replace("\\,", ","))
        .collect()
}

/// A list of regular expressions.
#[derive(Clone, Debug)]
pub struct PatternList(Vec<Regex>);

impl PatternList {
    /// Compiles a list.
    ///
    /// # Errors
    /// An expression that is not well-formed.
    pub fn parse(text: &str) -> Result<Self, PgError> {
        let compile = |pattern: &String| {
            Regex::ignoring_case(pattern).map_err(|error| PgError::Config(error.to_string()))
        };
        split_list(text)
            .iter()
            .map(compile)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether one of them matches all of `text`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.iter().any(|regex| regex.matches(text))
    }

    /// The place in the list of the first that matches all of `text`.
    #[must_use]
    pub fn position(&self, text: &str) -> Option<usize> {
        self.0.iter().position(|regex| regex.matches(text))
    }
}

/// An include list or else an exclude list; without either everything is in.
#[derive(Clone, Debug, Default)]
struct Selection {
    include: Option<PatternList>,
    exclude: Option<PatternList>,
}

impl Selection {
    fn new(props: &Props, what: &str) -> Result<Self, PgError> {
        let list = |kind: &str| {
            let text = props
                .get(&format!("{what}.{kind}.list"))
                .filter(|text| !text.trim().is_empty());
            text.map(|text| PatternList::parse(text)).transpose()
        };
        Ok(Self {
            include: list("include")?,
            exclude: list("exclude")?,
        })
    }

    fn takes(&self, name: &str) -> bool {
        match (&self.include, &self.exclude) {
            (Some(include), _) => include.matches(name),
            (None, Some(exclude)) => !exclude.matches(name),
            (None, None) => true,
        }
    }
}

/// Which tables and which message prefixes are captured.
#[derive(Debug)]
pub struct TableFilter {
    /// `database.include.list` and `database.exclude.list` leave this one in.
    database: bool,
    schemas: Selection,
    tables: Selection,
    prefixes: Selection,
    ignore_builtin: bool,
    signal_table: Option<String>,
    /// Prefixes seen so far: a pattern is not asked per message.
    known_prefixes: Mutex<HashMap<String, bool>>,
}

/// Beyond this many different prefixes they are asked for anew: a prefix may hold anything.
const KNOWN_PREFIXES: usize = 1000;

impl TableFilter {
    /// Reads the `schema.*`, `table.*` and `message.prefix.*` lists.
    ///
    /// # Errors
    /// An expression that is not well-formed.
    pub fn new(props: &Props) -> Result<Self, PgError> {
        let ignore = props.get("table.ignore.builtin").map(String::as_str);
        let signal = props
            .get("signal.data.collection")
            .map(|text| text.trim().to_owned());
        let database = props.get("database.dbname").map_or("", String::as_str);
        Ok(Self {
            database: Selection::new(props, "database")?.takes(database),
            schemas: Selection::new(props, "schema")?,
            tables: Selection::new(props, "table")?,
            prefixes: Selection::new(props, "message.prefix")?,
            ignore_builtin: !ignore.is_some_and(|text| text.eq_ignore_ascii_case("false")),
            signal_table: signal.filter(|table| !table.is_empty()),
            known_prefixes: Mutex::default(),
        })
    }

    /// Whether changes of this table are captured.
    #[must_use]
    pub fn includes(&self, id: &TableId) -> bool {
        let name = id.to_string();
        if self.signal_table.as_ref() == Some(&name) {
            return true;
        }
        self.database
            && self.schemas.takes(&id.schema)
            && self.tables.takes(&name)
            && !(self.ignore_builtin && is_builtin(id))
    }

    /// The table's place in the include list, by which a snapshot orders its tables.
    #[must_use]
    pub fn include_position(&self, id: &TableId) -> Option<usize> {
        self.tables.include.as_ref()?.position(&id.to_string())
    }

    /// Whether the table is the one that signals are written to.
    #[must_use]
    pub fn is_signal_table(&self, id: &TableId) -> bool {
        self.signal_table
            .as_deref()
            .and_then(|table| table.strip_prefix(id.schema.as_str())?.strip_prefix('.'))
            == Some(id.table.as_str())
    }

    /// Whether logical decoding messages of this prefix are captured.
    #[must_use]
    pub fn message_prefix_included(&self, prefix: &str) -> bool {
        let mut known = self
            .known_prefixes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(&included) = known.get(prefix) {
            return included;
        }
        let included = self.prefixes.takes(prefix);
        if known.len() >= KNOWN_PREFIXES {
            known.clear();
        }
        known.insert(prefix.to_owned(), included);
        included
    }
}

fn is_builtin(id: &TableId) -> bool {
    let schema = id.schema.to_lowercase();
    matches!(schema.as_str(), "pg_catalog" | "information_schema")
        || schema.starts_with("pg_temp")
        || id.table.eq_ignore_ascii_case("spatial_ref_sys")
}

/// What happens to a text column's values on their way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mask {
    /// `column.truncate.to.N.chars`.
    Truncate(usize),
    /// `column.mask.with.N.chars`.
    Fixed(usize),
    /// `column.mask.hash.ALGORITHM.with.salt.SALT`.
    Hash {
        /// The digest, as Java names it.
        algorithm: String,
        /// Digested before the value.
        salt: String,
        /// `column.mask.hash.v2`: the value's text is digested, not its Java serialization.
        v2: bool,
    },
    /// `column.propagate.source.type`, `datatype.propagate.source.type`: values stay, the schema
    /// tells the type.
    PropagateType,
}

/// Reads a key of one family: the mask that it means, and whether its patterns are over types.
type Family = fn(&str) -> Option<(Mask, bool)>;

#[derive(Clone, Debug)]
struct Rule {
    patterns: PatternList,
    /// The patterns are over `schema.table.type`.
    by_type: bool,
    mask: Mask,
}

/// Which columns are captured, what is done to them, and which make the key.
#[derive(Clone, Debug)]
pub struct ColumnRules {
    selection: Selection,
    rules: Vec<Rule>,
    /// One pattern per column named in `message.key.columns`, over `schema.table.column`.
    keys: Vec<PatternList>,
}

impl ColumnRules {
    /// Reads the `column.*`, `datatype.*` and `message.key.columns` keys.
    ///
    /// # Errors
    /// An expression that is not well-formed.
    pub fn new(props: &Props) -> Result<Self, PgError> {
        let mut rules = Vec::new();
        // The order in which the first match is looked for; not that of the configuration.
        let families: [Family; 6] = [
            |key| Some((Mask::Truncate(counted(key, "column.truncate.to.")?), false)),
            |key| Some((Mask::Fixed(counted(key, "column.mask.with.")?), false)),
            |key| (key == "column.propagate.source.type").then_some((Mask::PropagateType, false)),
            |key| (key == "datatype.propagate.source.type").then_some((Mask::PropagateType, true)),
            |key| Some((hash(key.strip_prefix("column.mask.hash.")?, false)?, false)),
            |key| {
                Some((
                    hash(key.strip_prefix("column.mask.hash.v2.")?, true)?,
                    false,
                ))
            },
        ];
        for family in families {
            for (key, value) in props {
                if let Some((mask, by_type)) = family(key) {
                    rules.push(Rule {
                        patterns: PatternList::parse(value)?,
                        by_type,
                        mask,
                    });
                }
            }
        }
        let keys = match props.get("message.key.columns") {
            Some(text) => key_patterns(text)?,
            None => Vec::new(),
        };
        Ok(Self {
            selection: Selection::new(props, "column")?,
            rules,
            keys,
        })
    }

    /// Whether a column's values are captured.
    #[must_use]
    pub fn includes(&self, table: &TableId, column: &str) -> bool {
        self.selection.takes(&format!("{table}.{column}"))
    }

    /// What is done to a column: the first rule that matches.
    #[must_use]
    pub fn mask(&self, table: &TableId, column: &str, type_name: &str) -> Option<&Mask> {
        let name = format!("{table}.{column}");
        let type_name = format!("{table}.{type_name}");
        let matches = |rule: &&Rule| {
            rule.patterns
                .matches(if rule.by_type { &type_name } else { &name })
        };
        self.rules.iter().find(matches).map(|rule| &rule.mask)
    }

    /// Indices of the columns that make the key, in key order: those of `message.key.columns`,
    /// else the table's own.
    #[must_use]
    pub fn key_columns(&self, table: &TableInfo) -> Vec<usize> {
        let mut chosen = Vec::new();
        for patterns in &self.keys {
            for (index, column) in table.columns.iter().enumerate() {
                if patterns.matches(&format!("{}.{}", table.id, column.name)) {
                    chosen.push(index);
                }
            }
        }
        if !chosen.is_empty() {
            return chosen;
        }
        let place = |name: &String| table.columns.iter().position(|column| column.name == *name);
        table.primary_key.iter().filter_map(place).collect()
    }
}

fn counted(key: &str, prefix: &str) -> Option<usize> {
    key.strip_prefix(prefix)?
        .strip_suffix(".chars")?
        .parse()
        .ok()
}

fn hash(rest: &str, v2: bool) -> Option<Mask> {
    let (algorithm, salt) = rest.split_once(".with.salt.")?;
    // With a dot it is the other version's key.
    let plain = !algorithm.is_empty() && !algorithm.contains('.') && !salt.is_empty();
    plain.then(|| Mask::Hash {
        algorithm: algorithm.to_owned(),
        salt: salt.to_owned(),
        v2,
    })
}

/// `table:column,column;table:column` as one pattern over `schema.table.column` per column.
fn key_patterns(text: &str) -> Result<Vec<PatternList>, PgError> {
    let mut patterns = Vec::new();
    for entry in text.split(';') {
        let Some((table, columns)) = entry.split_once(':') else {
            continue;
        };
        for column in columns.split(',') {
            patterns.push(PatternList::parse(&format!("{table}.{}", column.trim()))?);
        }
    }
    Ok(patterns)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::change::{ColumnInfo, TypeInfo, TypeKind};

    fn props(keys: &[(&str, &str)]) -> Props {
        keys.iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    fn id(name: &str) -> TableId {
        let (schema, table) = name.split_once('.').unwrap();
        TableId {
            schema: schema.to_owned(),
            table: table.to_owned(),
        }
    }

    #[test]
    fn a_list_is_split_at_commas_that_are_not_escaped() {
        for (text, items) in [
            ("a,b", &["a", "b"][..]),
            (" a , b ,", &["a", "b"]),
            (r"a\,b,c", &["a,b", "c"]),
            (r"a\\,c", &[r"a\\", "c"]),
            (r"s\.t{1\,2}", &[r"s\.t{1,2}"]),
            ("", &[]),
        ] {
            let expected: Vec<String> = items.iter().map(|&item| item.to_owned()).collect();
            assert_eq!(split_list(text), expected, "{text}");
        }
    }

    #[test]
    fn tables_are_chosen_by_whole_names_in_any_case() {
        let taken = |keys: &[(&str, &str)], table: &str| {
            TableFilter::new(&props(keys)).unwrap().includes(&id(table))
        };
        assert!(taken(&[], "public.a"));
        assert!(taken(&[("table.include.list", "public.A")], "public.a"));
        assert!(!taken(&[("table.include.list", "public.a")], "public.ab"));
        assert!(taken(
            &[("table.include.list", "x.y, public\\.(?!b).*")],
            "public.a"
        ));
        assert!(!taken(
            &[("table.include.list", "public\\.(?!b).*")],
            "public.b"
        ));
        assert!(!taken(&[("table.exclude.list", "public.a")], "public.a"));
        assert!(!taken(&[("schema.include.list", "other")], "public.a"));
        assert!(!taken(&[("schema.exclude.list", "pub.*")], "public.a"));
        let own = ("database.dbname", "d");
        assert!(!taken(&[own, ("database.include.list", "e")], "public.a"));
        assert!(!taken(&[own, ("database.exclude.list", "d")], "public.a"));
        assert!(taken(&[("table.include.list", "")], "public.a"));
        assert!(!taken(&[], "pg_catalog.pg_class"));
        assert!(!taken(&[], "public.spatial_ref_sys"));
        assert!(taken(
            &[("table.ignore.builtin", "false")],
            "pg_catalog.pg_class"
        ));
        let signals = [
            ("table.include.list", "public.a"),
            ("signal.data.collection", "public.s"),
        ];
        assert!(taken(&signals, "public.s"));
    }

    #[test]
    fn message_prefixes_have_lists_of_their_own() {
        let filter = TableFilter::new(&props(&[("message.prefix.include.list", "a.*")])).unwrap();
        for _twice in 0..2 {
            assert!(filter.message_prefix_included("abc"));
            assert!(!filter.message_prefix_included("b"));
        }
    }

    fn table(name: &str, columns: &[&str], key: &[&str]) -> TableInfo {
        let text = Arc::new(TypeInfo {
            oid: 25,
            name: "text".to_owned(),
            schema: "pg_catalog".to_owned(),
            kind: TypeKind::Base,
        });
        let column = |name: &&str| ColumnInfo {
            name: (*name).to_owned(),
            data_type: Arc::clone(&text),
            type_modifier: -1,
            optional: true,
            default_expression: None,
            generated: false,
            comment: None,
        };
        TableInfo {
            id: id(name),
            columns: columns.iter().map(column).collect(),
            primary_key: key.iter().map(|&name| name.to_owned()).collect(),
            comment: None,
        }
    }

    #[test]
    fn a_key_is_that_of_the_list_or_else_of_the_table() {
        let rules =
            ColumnRules::new(&props(&[("message.key.columns", "(.*).t:b,a;public.u:c")])).unwrap();
        assert_eq!(
            rules.key_columns(&table("public.t", &["a", "b", "c"], &["c"])),
            [1, 0]
        );
        assert_eq!(
            rules.key_columns(&table("public.v", &["a", "b", "c"], &["c", "a"])),
            [2, 0]
        );
        assert_eq!(
            rules.key_columns(&table("public.w", &["a"], &[])),
            [] as [usize; 0]
        );
    }

    #[test]
    fn the_first_family_that_matches_a_column_masks_it() {
        let rules = ColumnRules::new(&props(&[
            ("column.mask.hash.SHA-256.with.salt.ab", "public.t.h"),
            ("column.mask.hash.v2.MD5.with.salt.x", "public.t.i"),
            ("column.mask.with.5.chars", "public.t.*"),
            ("column.truncate.to.3.chars", "public.t.a"),
            ("column.truncate.to.x.chars", "["),
        ]))
        .unwrap();
        let id = id("public.t");
        assert_eq!(rules.mask(&id, "a", "text"), Some(&Mask::Truncate(3)));
        assert_eq!(rules.mask(&id, "h", "text"), Some(&Mask::Fixed(5)));
        let rules = ColumnRules::new(&props(&[
            ("column.mask.hash.SHA-256.with.salt.ab", "public.t.h"),
            ("column.mask.hash.v2.MD5.with.salt.x", "public.t.i"),
        ]))
        .unwrap();
        let hash = |algorithm: &str, salt: &str, v2| Mask::Hash {
            algorithm: algorithm.to_owned(),
            salt: salt.to_owned(),
            v2,
        };
        assert_eq!(
            rules.mask(&id, "h", "text"),
            Some(&hash("SHA-256", "ab", false))
        );
        assert_eq!(rules.mask(&id, "i", "text"), Some(&hash("MD5", "x", true)));
        assert_eq!(rules.mask(&id, "z", "text"), None);
    }
}
