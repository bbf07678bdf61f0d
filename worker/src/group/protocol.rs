//! The bytes that members of a group of workers exchange, byte for byte those of the JVM.
//!
//! Metadata is what a member sends when it joins, an assignment what the leader sends back. No I/O.
//! Answers for `ConnectProtocol`, `IncrementalCooperativeConnectProtocol`, `ExtendedAssignment` and
//! `ConnectProtocolCompatibility`.

use std::sync::Arc;

use connect_api::java::HashMap as JavaHashMap;
use connect_api::{Error, Result};
use indexmap::IndexMap;

use super::Work;
use crate::herder::request::TaskId;

/// The task number that stands for the connector itself.
const CONNECTOR_TASK: i32 = -1;

/// How a group shares work: the subprotocol that the coordinator picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ConnectProtocol {
    /// `default`: everybody gives everything up in each round.
    #[default]
    Eager,
    /// `compatible`: only what moves is given up.
    Compatible,
    /// `sessioned`: the same, with signed requests between workers.
    Sessioned,
}

impl ConnectProtocol {
    const ALL: [Self; 3] = [Self::Eager, Self::Compatible, Self::Sessioned];

    /// Its name in the group protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eager => "default",
            Self::Compatible => "compatible",
            Self::Sessioned => "sessioned",
        }
    }
    /// The one of this name in the group protocol.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name() == name)
    }
    /// The one that `connect.protocol` names, in any case.
    pub fn of_setting(setting: &str) -> Option<Self> {
        match setting.to_ascii_lowercase().as_str() {
            "eager" => Some(Self::Eager),
            "compatible" => Some(Self::Compatible),
            "sessioned" => Some(Self::Sessioned),
            _ => None,
        }
    }
    /// Its version in the bytes.
    pub fn version(self) -> i16 {
        match self {
            Self::Eager => 0,
            Self::Compatible => 1,
            Self::Sessioned => 2,
        }
    }
    /// What a member with this setting offers, the best first.
    pub fn offered(self) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .rev()
            .filter(move |protocol| *protocol <= self)
    }
}

/// What a leader tells a member (`ExtendedAssignment`); also what a member says it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// 0, or 1 where the leader does not know the configuration that a member has.
    pub error: i16,
    /// The leader's member id.
    pub leader: String,
    /// Where the leader answers REST.
    pub leader_url: String,
    /// The config topic's offset that the assignment is made for.
    pub offset: i64,
    /// What is assigned.
    pub assigned: Work,
    /// What is to be given up.
    pub revoked: Work,
    /// When to come back.
    pub delay_ms: i32,
}

impl Assignment {
    /// Whether the leader could not assign.
    pub fn failed(&self) -> bool {
        self.error != 0
    }
}

/// What a member says when it joins (`ExtendedWorkerState`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerState {
    /// Where it answers REST.
    pub url: String,
    /// How far it has read the config topic.
    pub offset: i64,
    /// What it has; `None` before its first assignment.
    pub allocation: Option<Assignment>,
}

/// A member's metadata in a protocol.
pub fn encode_metadata(state: &WorkerState, protocol: ConnectProtocol) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend(protocol.version().to_be_bytes());
    put_string(&mut out, &state.url);
    out.extend(state.offset.to_be_bytes());
    if protocol != ConnectProtocol::Eager {
        match &state.allocation {
            None => out.extend((-1_i32).to_be_bytes()),
            Some(allocation) => {
                let allocation = encode_assignment(allocation, protocol);
                put_count(&mut out, allocation.len());
                out.extend(allocation);
            }
        }
    }
    out
}

/// What a member's metadata says, of any version.
///
/// # Errors
/// They are no metadata of a worker.
pub fn decode_metadata(bytes: &[u8]) -> Result<WorkerState> {
    let mut reader = Reader { bytes };
    reader.version()?;
    let url = reader.string()?;
    let offset = reader.i64()?;
    let allocation = match reader.optional(Reader::i32)? {
        Some(length) if length >= 0 => Some(decode_assignment(reader.take(length)?)?),
        _ => None,
    };
    Ok(WorkerState {
        url,
        offset,
        allocation,
    })
}

/// An assignment in a protocol.
pub fn encode_assignment(assignment: &Assignment, protocol: ConnectProtocol) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.extend(protocol.version().to_be_bytes());
    out.extend(assignment.error.to_be_bytes());
    put_string(&mut out, &assignment.leader);
    put_string(&mut out, &assignment.leader_url);
    out.extend(assignment.offset.to_be_bytes());
    // Java passes the connectors of this list through a HashSet, those of the other not.
    let mut connectors = JavaHashMap::sized_for(assignment.assigned.connectors.len().max(11));
    for name in &assignment.assigned.connectors {
        connectors.insert(name.to_string(), ());
    }
    put_work(
        &mut out,
        connectors.keys().map(String::as_str),
        &assignment.assigned.tasks,
    );
    if protocol != ConnectProtocol::Eager {
        let connectors = assignment.revoked.connectors.iter().map(|name| &**name);
        put_work(&mut out, connectors, &assignment.revoked.tasks);
        out.extend(assignment.delay_ms.to_be_bytes());
    }
    out
}

/// What an assignment says, of any version.
///
/// # Errors
/// It is no assignment.
pub fn decode_assignment(bytes: &[u8]) -> Result<Assignment> {
    let mut reader = Reader { bytes };
    reader.version()?;
    let error = reader.i16()?;
    let leader = reader.string()?;
    let leader_url = reader.string()?;
    let offset = reader.i64()?;
    let assigned = reader.work()?;
    let revoked = reader.work()?;
    let delay_ms = reader.optional(Reader::i32)?.unwrap_or(0);
    Ok(Assignment {
        error,
        leader,
        leader_url,
        offset,
        assigned,
        revoked,
        delay_ms,
    })
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend(i32::try_from(count).unwrap_or(i32::MAX).to_be_bytes());
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    // Longer ones than a length of 16 bits allows are no URLs and no names.
    let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
    out.extend(length.to_be_bytes());
    out.extend(text.bytes().take(usize::from(length.unsigned_abs())));
}

fn put_work<'a>(out: &mut Vec<u8>, connectors: impl Iterator<Item = &'a str>, tasks: &'a [TaskId]) {
    let mut by_connector: IndexMap<&str, Vec<i32>> = IndexMap::new();
    for name in connectors {
        by_connector
            .entry(name)
            .or_insert_with(|| vec![CONNECTOR_TASK]);
    }
    for id in tasks {
        let number = i32::try_from(id.task).unwrap_or(i32::MAX);
        by_connector.entry(&id.connector).or_default().push(number);
    }
    put_count(out, by_connector.len());
    for (name, numbers) in by_connector {
        put_string(out, name);
        put_count(out, numbers.len());
        for number in numbers {
            out.extend(number.to_be_bytes());
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: i32) -> Result<&'a [u8]> {
        let split = usize::try_from(length)
            .ok()
            .and_then(|length| self.bytes.split_at_checked(length));
        let Some((taken, rest)) = split else {
            return Err(Error::data("the bytes of a group member end too early"));
        };
        self.bytes = rest;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(i32::try_from(N).unwrap_or(i32::MAX))?;
        taken
            .try_into()
            .map_err(|_length| Error::data("the bytes of a group member end too early"))
    }
    fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }
    fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }
    fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }
    /// A version that Java accepts: later ones are taken to be readable.
    fn version(&mut self) -> Result<()> {
        let version = self.i16()?;
        if version < 0 {
            return Err(Error::data(format!(
                "Unsupported subscription version: {version}"
            )));
        }
        Ok(())
    }
    fn string(&mut self) -> Result<String> {
        let length = self.i16()?;
        let taken = self.take(i32::from(length))?;
        Ok(String::from_utf8_lossy(taken).into_owned())
    }
    /// A field that earlier versions do not have.
    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        read(self).map(Some)
    }
    fn work(&mut self) -> Result<Work> {
        let mut work = Work::default();
        let count = self.optional(Self::i32)?.unwrap_or(-1);
        for _ in 0..count {
            let name: Arc<str> = self.string()?.into();
            for _ in 0..self.i32()? {
                match self.i32()? {
                    CONNECTOR_TASK => work.connectors.push(Arc::clone(&name)),
                    task => work.tasks.push(TaskId {
                        connector: Arc::clone(&name),
                        task: u32::try_from(task)
                            .map_err(|_negative| Error::data(format!("task {task} of {name}")))?,
                    }),
                }
            }
        }
        Ok(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the JVM sent, recorded; `_` and spaces are for the eye.
    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap_or(0);
        digits.chunks(2).map(byte).collect()
    }
    const URL: &str = "http://127.0.0.1:38083/";
    const URL_HEX: &str = "0017 687474703a2f2f3132372e302e302e313a33383038332f";
    const LEADER: &str = "connect-127.0.0.1:38083-0123456789abcdef0123456789abcdef0123";

    fn work(connectors: &[&str], tasks: &[(&str, u32)]) -> Work {
        Work {
            connectors: connectors.iter().map(|&name| name.into()).collect(),
            tasks: tasks
                .iter()
                .map(|&(connector, task)| TaskId {
                    connector: connector.into(),
                    task,
                })
                .collect(),
        }
    }

    #[test]
    fn the_metadata_of_a_first_join_is_that_of_the_jvm() {
        let state = WorkerState {
            url: URL.to_owned(),
            offset: -1,
            allocation: None,
        };
        let sessioned = bytes(&format!("0002 {URL_HEX} ffffffffffffffff ffffffff"));
        assert_eq!(
            encode_metadata(&state, ConnectProtocol::Sessioned),
            sessioned
        );
        let eager = bytes(&format!("0000 {URL_HEX} ffffffffffffffff"));
        assert_eq!(encode_metadata(&state, ConnectProtocol::Eager), eager);
        for recorded in [sessioned, eager] {
            assert_eq!(decode_metadata(&recorded).ok().as_ref(), Some(&state));
        }
    }

    #[test]
    fn the_metadata_of_an_owner_is_that_of_the_jvm() {
        let leader_hex: String = LEADER.bytes().map(|byte| format!("{byte:02x}")).collect();
        let recorded = bytes(&format!(
            "0002 {URL_HEX} 000000000000005c 0000009e 0002 0000 003c {leader_hex} {URL_HEX} \
             000000000000005c 00000002 0008 7274632d73696e6b 00000003 ffffffff 00000000 00000001 \
             0007 7274632d737263 00000002 ffffffff 00000000 00000000 00000000"
        ));
        let state = WorkerState {
            url: URL.to_owned(),
            offset: 0x5c,
            allocation: Some(Assignment {
                leader: LEADER.to_owned(),
                leader_url: URL.to_owned(),
                offset: 0x5c,
                assigned: work(
                    &["rtc-src", "rtc-sink"],
                    &[("rtc-sink", 0), ("rtc-sink", 1), ("rtc-src", 0)],
                ),
                ..Assignment::default()
            }),
        };
        let encoded = encode_metadata(&state, ConnectProtocol::Sessioned);
        assert_eq!(encoded, recorded);
        let decoded = decode_metadata(&recorded).expect("the JVM's bytes are understood");
        assert_eq!(
            encode_metadata(&decoded, ConnectProtocol::Sessioned),
            recorded
        );
    }

    #[test]
    fn an_eager_assignment_is_that_of_the_jvm() {
        let leader_hex: String = LEADER.bytes().map(|byte| format!("{byte:02x}")).collect();
        let recorded = bytes(&format!(
            "0000 0000 003c {leader_hex} {URL_HEX} 0000000000000003 00000001 0006 7274632d6531 \
             00000002 ffffffff 00000000"
        ));
        let assignment = Assignment {
            leader: LEADER.to_owned(),
            leader_url: URL.to_owned(),
            offset: 3,
            assigned: work(&["rtc-e1"], &[("rtc-e1", 0)]),
            ..Assignment::default()
        };
        assert_eq!(
            encode_assignment(&assignment, ConnectProtocol::Eager),
            recorded
        );
        assert_eq!(decode_assignment(&recorded).ok(), Some(assignment));
    }

    #[test]
    fn truncated_and_foreign_bytes_are_refused_not_believed() {
        let state = WorkerState {
            url: URL.to_owned(),
            offset: 7,
            allocation: Some(Assignment {
                assigned: work(&["a"], &[("a", 0)]),
                ..Assignment::default()
            }),
        };
        let whole = encode_metadata(&state, ConnectProtocol::Compatible);
        assert!(decode_metadata(&whole).is_ok());
        for length in 0..40 {
            assert!(
                decode_metadata(&whole[..length]).is_err() || length == 35,
                "{length}"
            );
        }
        assert!(decode_metadata(b"range\xff\xff\xff\xff").is_err());
        assert!(
            decode_assignment(&[0xff, 0xff]).is_err(),
            "a negative version"
        );
    }

    #[test]
    fn a_setting_offers_itself_and_what_is_older() {
        let offered = |setting: &str| {
            ConnectProtocol::of_setting(setting)
                .into_iter()
                .flat_map(ConnectProtocol::offered)
                .map(ConnectProtocol::name)
                .collect::<Vec<_>>()
        };
        assert_eq!(offered("SESSIONED"), ["sessioned", "compatible", "default"]);
        assert_eq!(offered("compatible"), ["compatible", "default"]);
        assert_eq!(offered("eager"), ["default"]);
    }
}
