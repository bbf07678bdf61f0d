//! What only a worker that works alone has: connectors from files, and a file for source offsets.
//!
//! The offsets file is the JVM's own: a serialised `java.util.HashMap<byte[], byte[]>`, so that a
//! worker can take over from the other. Answers for `ConnectStandalone` and
//! `FileOffsetBackingStore`.

use std::path::Path;

use connect_api::java::parse_properties;
use connect_api::{Error, Result};

use crate::herder::request::{RawConfig, TargetState};

/// A connector from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorFile {
    /// Its name.
    pub name: String,
    /// Its configuration, the name in it.
    pub config: RawConfig,
    /// What it is to be at first.
    pub initial_state: Option<TargetState>,
}

/// Reads a connector from a `.properties` or `.json` file: a flat map with `name`, or
/// `{name, config, initial_state}`.
///
/// # Errors
/// The file cannot be read, or holds no connector.
pub fn read_connector(path: &Path) -> Result<ConnectorFile> {
    let failed = |why: &str| {
        Error::config(format!(
            "reading the connector file {}: {why}",
            path.display()
        ))
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| failed("the file cannot be read").with_source(error))?;
    let json = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let (mut config, mut name, mut initial_state) = (RawConfig::new(), None, None);
    if json {
        let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)
            .map_err(|error| failed("it is no JSON object").with_source(error))?;
        let scalar = |value: &serde_json::Value| match value {
            serde_json::Value::Null => Ok(None),
            serde_json::Value::String(text) => Ok(Some(text.clone())),
            serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
                Ok(Some(value.to_string()))
            }
            _ => Err(failed("values have to be texts, numbers or booleans")),
        };
        let flat = match members.get("config") {
            Some(serde_json::Value::Object(inner)) => {
                name = members.get("name").map(scalar).transpose()?.flatten();
                initial_state = match members
                    .get("initial_state")
                    .map(scalar)
                    .transpose()?
                    .flatten()
                {
                    None => None,
                    Some(state) => Some(match state.to_uppercase().as_str() {
                        "RUNNING" => TargetState::Started,
                        "PAUSED" => TargetState::Paused,
                        "STOPPED" => TargetState::Stopped,
                        _ => return Err(failed(&format!("there is no initial state {state}"))),
                    }),
                };
                inner
            }
            _ => &members,
        };
        for (key, value) in flat {
            config.insert(key.clone(), scalar(value)?);
        }
    } else {
        let properties = parse_properties(&text)
            .map_err(|error| failed("it is no properties file").with_source(error))?;
        config.extend(
            properties
                .into_iter()
                .map(|(key, value)| (key, Some(value))),
        );
    }
    let name = name
        .or_else(|| config.get("name").cloned().flatten())
        .ok_or_else(|| failed("it has no name"))?;
    config
        .entry("name".to_owned())
        .or_insert_with(|| Some(name.clone()));
    Ok(ConnectorFile {
        name,
        config,
        initial_state,
    })
}

/// Offsets as the file holds them: bytes of JSON.
pub type OffsetBytes = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads an offsets file; a missing or empty one holds nothing.
///
/// # Errors
/// The file cannot be read, or is no such file.
pub fn read_offsets(path: &Path) -> Result<OffsetBytes> {
    let failed = |why: &str| {
        Error::fatal(format!(
            "reading the offsets file {}: {why}",
            path.display()
        ))
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("the file cannot be read").with_source(error)),
    };
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    Serialized {
        bytes: &bytes,
        at: 0,
    }
    .map()
    .ok_or_else(|| failed("it is no serialised java.util.HashMap of byte arrays"))
}

/// Writes an offsets file whole: beside the old one first, so that one of them is always complete.
///
/// # Errors
/// The file cannot be written.
pub fn write_offsets(path: &Path, offsets: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::retriable(format!("writing the offsets file {}", path.display())).with_source(error)
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    std::fs::write(beside, serialized(offsets)).map_err(failed)?;
    std::fs::rename(beside, path).map_err(failed)
}

// Of the Java Object Serialization Stream Protocol, what a HashMap of byte arrays needs.
const MAGIC: [u8; 4] = [0xac, 0xed, 0x00, 0x05];
const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS_DESCRIPTION: u8 = 0x72;
const OBJECT: u8 = 0x73;
const ARRAY: u8 = 0x75;
const BLOCK_DATA: u8 = 0x77;
const END_BLOCK_DATA: u8 = 0x78;
/// `java.util.HashMap.serialVersionUID`.
const HASH_MAP_UID: i64 = 362_498_820_763_181_265;
/// `byte[]`'s computed serialVersionUID.
const BYTES_UID: [u8; 8] = [0xac, 0xf3, 0x17, 0xf8, 0x06, 0x08, 0x54, 0xe0];
/// The handle of the second class described: `0x7e0000` is HashMap, then the map itself, then
/// `byte[]`.
const BYTES_HANDLE: u32 = 0x7e_0002;

fn serialized(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
        out.extend(text.as_bytes());
    };
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX).to_be_bytes();
    let mut out = MAGIC.to_vec();
    out.extend([OBJECT, CLASS_DESCRIPTION]);
    text(&mut out, "java.util.HashMap");
    out.extend(HASH_MAP_UID.to_be_bytes());
    // SC_SERIALIZABLE | SC_WRITE_METHOD, two fields: float loadFactor, int threshold.
    out.extend([3, 0, 2, b'F']);
    text(&mut out, "loadFactor");
    out.push(b'I');
    text(&mut out, "threshold");
    out.extend([END_BLOCK_DATA, NULL]);
    let buckets = (entries.len() * 4 / 3 + 1).next_power_of_two().max(16);
    out.extend(0.75f32.to_be_bytes());
    out.extend(count(buckets * 3 / 4));
    out.extend([BLOCK_DATA, 8]);
    out.extend(count(buckets));
    out.extend(count(entries.len()));
    let mut described = false;
    for bytes in entries.iter().flat_map(|(key, value)| [key, value]) {
        out.push(ARRAY);
        if described {
            out.push(REFERENCE);
            out.extend(BYTES_HANDLE.to_be_bytes());
        } else {
            described = true;
            out.push(CLASS_DESCRIPTION);
            text(&mut out, "[B");
            out.extend(BYTES_UID);
            out.extend([2, 0, 0, END_BLOCK_DATA, NULL]);
        }
        out.extend(count(bytes.len()));
        out.extend(bytes);
    }
    out.push(END_BLOCK_DATA);
    out
}

/// Reads what [`serialized`] writes; `None` for anything else.
struct Serialized<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Serialized<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }
    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        (self.take(bytes.len())? == bytes).then_some(())
    }
    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }
    fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }
    fn text(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        self.take(length.into())
    }
    fn map(mut self) -> Option<OffsetBytes> {
        self.expect(&MAGIC)?;
        self.expect(&[OBJECT, CLASS_DESCRIPTION])?;
        (self.text()? == b"java.util.HashMap").then_some(())?;
        self.take(8 + 3)?;
        for (kind, name) in [(b'F', "loadFactor"), (b'I', "threshold")] {
            self.expect(&[kind])?;
            (self.text()? == name.as_bytes()).then_some(())?;
        }
        self.expect(&[END_BLOCK_DATA, NULL])?;
        self.take(4 + 4)?;
        self.expect(&[BLOCK_DATA, 8])?;
        self.take(4)?;
        let count = usize::try_from(self.int()?).ok()?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let key = self.array()??;
            let value = self.array()?;
            // A null value is an offset that was forgotten.
            entries.extend(value.map(|value| (key, value)));
        }
        self.expect(&[END_BLOCK_DATA])?;
        Some(entries)
    }
    /// A byte array; the inner `None` is null.
    fn array(&mut self) -> Option<Option<Vec<u8>>> {
        match self.byte()? {
            NULL => return Some(None),
            ARRAY => {}
            _ => return None,
        }
        match self.byte()? {
            REFERENCE => drop(self.take(4)?),
            CLASS_DESCRIPTION => {
                (self.text()? == b"[B").then_some(())?;
                self.take(8 + 3)?;
                self.expect(&[END_BLOCK_DATA, NULL])?;
            }
            _ => return None,
        }
        let length = usize::try_from(self.int()?).ok()?;
        Some(Some(self.take(length)?.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_come_back_as_they_were_written() {
        let offsets = vec![
            (
                br#"["c",{"server":"s"}]"#.to_vec(),
                br#"{"lsn":1}"#.to_vec(),
            ),
            (b"k".to_vec(), Vec::new()),
        ];
        assert_eq!(
            Serialized {
                bytes: &serialized(&offsets),
                at: 0
            }
            .map(),
            Some(offsets)
        );
        assert_eq!(
            Serialized {
                bytes: &serialized(&[]),
                at: 0
            }
            .map(),
            Some(Vec::new())
        );
    }

    // Written by `ObjectOutputStream.writeObject(new HashMap(Map.of("k".getBytes(), "v".getBytes())))`.
    const JAVA: &str = include_str!("standalone_offsets.hex");

    #[test]
    fn a_file_of_the_jvm_is_read_and_written_byte_for_byte() {
        let digits: Vec<char> = JAVA.chars().filter(char::is_ascii_hexdigit).collect();
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hex"))
            .collect();
        let offsets = vec![(b"k".to_vec(), b"v".to_vec())];
        assert_eq!(
            Serialized {
                bytes: &bytes,
                at: 0
            }
            .map(),
            Some(offsets.clone())
        );
        assert_eq!(serialized(&offsets), bytes);
    }

    #[test]
    fn a_file_that_is_something_else_is_refused() {
        assert_eq!(
            Serialized {
                bytes: b"{}",
                at: 0
            }
            .map(),
            None
        );
    }

    #[test]
    fn connectors_come_from_properties_and_from_both_kinds_of_json() {
        let folder = std::env::temp_dir().join(format!("standalone-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        let check = |file: &str, content: &str, state: Option<TargetState>| {
            let path = folder.join(file);
            std::fs::write(&path, content).expect("a file for the test");
            let connector = read_connector(&path).expect("a connector");
            assert_eq!(connector.name, "c");
            assert_eq!(
                connector.config.get("tasks.max"),
                Some(&Some("1".to_owned()))
            );
            assert_eq!(connector.config.get("name"), Some(&Some("c".to_owned())));
            assert_eq!(connector.initial_state, state);
        };
        check("a.properties", "name=c\ntasks.max=1\n", None);
        check("b.json", r#"{"name":"c","tasks.max":1}"#, None);
        check(
            "c.json",
            r#"{"name":"c","config":{"tasks.max":"1"},"initial_state":"paused","x":1}"#,
            Some(TargetState::Paused),
        );
        std::fs::write(folder.join("d.properties"), "tasks.max=1").expect("a file for the test");
        assert!(read_connector(&folder.join("d.properties")).is_err());
        std::fs::remove_dir_all(&folder).expect("the test's own folder");
    }
}
