//! A map that iterates as `java.util.HashMap` does.
//!
//! The JVM's order shows in REST answers, offset keys and schemaless JSON: buckets by the spread
//! hash, ascending; insertion order inside a bucket. A ninth key in a bucket doubles a table of less
//! than 64. In a larger one it makes the bucket a tree, whose root comes first in Java and here does
//! not: of keys that are not `Comparable` Java itself chooses it at random.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use indexmap::IndexMap;

use crate::data::{ByteString, Decimal, Value};
use crate::record::TopicPartition;

/// `Object.hashCode` of what Java would hold as the key.
pub trait JavaHash {
    /// The hash code.
    fn java_hash(&self) -> i32;
}

/// `String.hashCode`: over UTF-16 units.
pub fn string_hash(text: &str) -> i32 {
    if text.is_ascii() {
        return text.bytes().fold(0i32, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(byte.into())
        });
    }
    text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(unit.into())
    })
}

impl JavaHash for str {
    fn java_hash(&self) -> i32 {
        string_hash(self)
    }
}
impl JavaHash for String {
    fn java_hash(&self) -> i32 {
        string_hash(self)
    }
}
impl JavaHash for ByteString {
    fn java_hash(&self) -> i32 {
        string_hash(self)
    }
}

impl<T: JavaHash + ?Sized> JavaHash for &T {
    fn java_hash(&self) -> i32 {
        (**self).java_hash()
    }
}
impl JavaHash for TopicPartition {
    fn java_hash(&self) -> i32 {
        let partition = self.partition.wrapping_add(31);
        let topic = string_hash(&self.topic);
        partition.wrapping_mul(31).wrapping_add(topic)
    }
}

fn long_hash(value: i64) -> i32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "Long.hashCode keeps the low half"
    )]
    let hash = (value ^ ((value as u64) >> 32) as i64) as i32;
    hash
}

/// `BigDecimal.hashCode`: 31 times that of the unscaled number, plus the scale.
fn decimal_hash(decimal: &Decimal) -> i32 {
    let unscaled = decimal.unscaled();
    let (sign, digits) = unscaled.to_u32_digits();
    let magnitude = digits.iter().rev().fold(0i32, |hash, &digit| {
        hash.wrapping_mul(31).wrapping_add(digit.cast_signed())
    });
    let number = match sign {
        num_bigint::Sign::Minus => magnitude.wrapping_neg(),
        _ => magnitude,
    };
    number.wrapping_mul(31).wrapping_add(decimal.scale())
}

impl JavaHash for Value {
    fn java_hash(&self) -> i32 {
        match self {
            Self::Null => 0,
            Self::Boolean(true) => 1231,
            Self::Boolean(false) => 1237,
            Self::Int8(n) => i32::from(*n),
            Self::Int16(n) => i32::from(*n),
            Self::Int32(n) => *n,
            Self::Int64(n) | Self::Timestamp(n) => long_hash(*n),
            Self::Date(days) => long_hash(i64::from(*days) * 86_400_000),
            Self::Time(ms) => long_hash(i64::from(*ms)),
            Self::Float32(n) => n.to_bits().cast_signed(),
            Self::Float64(n) => long_hash(n.to_bits().cast_signed()),
            Self::String(text) => string_hash(text),
            Self::Array(items) => items.iter().fold(1i32, |hash, item| {
                hash.wrapping_mul(31).wrapping_add(item.java_hash())
            }),
            // `ByteBuffer.hashCode`, the class that Debezium uses for bytes.
            Self::Bytes(bytes) => bytes.iter().rev().fold(1i32, |hash, &byte| {
                hash.wrapping_mul(31)
                    .wrapping_add(i32::from(byte.cast_signed()))
            }),
            Self::Decimal(decimal) => decimal_hash(decimal),
            Self::Map(map) => map.iter().fold(0i32, |hash, (key, value)| {
                hash.wrapping_add(key.java_hash() ^ value.java_hash())
            }),
            // By identity, or by parts that are never keys in practice.
            Self::Struct(_) => 0,
        }
    }
}

impl Eq for Value {}
impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i32(self.java_hash());
    }
}

/// A map that is looked up by hash, remembers the order of insertion and iterates in Java's.
#[derive(Clone, Debug)]
pub struct HashMap<K, V> {
    entries: IndexMap<K, V, BuildHasherDefault<QuickHasher>>,
    /// Java's table length: a power of two that never shrinks; 0 for a map that iterates in the
    /// order of insertion.
    buckets: usize,
    /// The table's length when the map was empty.
    first_buckets: usize,
}

impl<K, V> HashMap<K, V> {
    /// An empty map with a table of this length.
    fn of_length(buckets: usize) -> Self {
        Self {
            entries: IndexMap::default(),
            buckets,
            first_buckets: buckets,
        }
    }
}

impl<K, V> Default for HashMap<K, V> {
    fn default() -> Self {
        Self::of_length(16)
    }
}

impl<K: PartialEq + Eq + Hash, V: PartialEq> PartialEq for HashMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl<K: JavaHash + Eq + Hash, V> HashMap<K, V> {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }
    /// A map whose table Java would have sized for this many mappings before it is filled:
    /// `new HashMap<>(other)`, `putAll`.
    pub fn sized_for(count: usize) -> Self {
        // (float) count / 0.75 + 1, rounded up to a power of two.
        Self::of_length((count * 4 / 3 + 1).next_power_of_two())
    }
    /// An empty map with the table that `new HashMap<>(capacity)` makes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            entries: IndexMap::with_capacity_and_hasher(capacity, BuildHasherDefault::default()),
            ..Self::of_length(capacity.next_power_of_two())
        }
    }
    /// An empty map that iterates in the order of insertion (`LinkedHashMap`).
    pub fn linked() -> Self {
        Self::of_length(0)
    }
    /// Adds or replaces; answers the value that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let old = self.entries.insert(key, value);
        while self.buckets > 0 && self.entries.len() > threshold(self.buckets) {
            self.buckets *= 2;
        }
        old
    }
    /// The value of a key.
    pub fn get<Q: ?Sized + Hash + indexmap::Equivalent<K>>(&self, key: &Q) -> Option<&V> {
        self.entries.get(key)
    }
    /// The value of a key, to change it.
    pub fn get_mut<Q: ?Sized + Hash + indexmap::Equivalent<K>>(
        &mut self,
        key: &Q,
    ) -> Option<&mut V> {
        self.entries.get_mut(key)
    }
    /// Whether the key is there.
    pub fn contains_key<Q: ?Sized + Hash + indexmap::Equivalent<K>>(&self, key: &Q) -> bool {
        self.entries.contains_key(key)
    }
    /// Takes an entry away; the order of the others stays.
    pub fn remove<Q: ?Sized + Hash + indexmap::Equivalent<K>>(&mut self, key: &Q) -> Option<V> {
        self.entries.shift_remove(key)
    }
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// The entries in Java's order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let keys = self.entries.keys().enumerate();
        let mut order: Vec<(usize, usize)> = match self.buckets {
            0 => keys.map(|(index, _)| (0, index)).collect(),
            _ => keys.map(|(index, key)| (spread(key), index)).collect(),
        };
        let mask = self.grown(&order).wrapping_sub(1);
        for (place, _) in &mut order {
            *place &= mask;
        }
        order.sort_unstable();
        order
            .into_iter()
            .filter_map(|(_, index)| self.entries.get_index(index))
    }

    /// The table's length with what crowded buckets have added, by the keys' hashes in the order in
    /// which they were put (`HashMap.treeifyBin`).
    fn grown(&self, hashes: &[(usize, usize)]) -> usize {
        if !(1..MIN_TREEIFY_CAPACITY).contains(&self.buckets) || hashes.len() <= TREEIFY_THRESHOLD {
            return self.buckets;
        }
        let mut buckets = self.first_buckets;
        for (count, (hash, _)) in hashes.iter().enumerate() {
            let mask = buckets - 1;
            let beside = hashes.iter().take(count);
            let beside = beside.filter(|(other, _)| (other ^ hash) & mask == 0);
            if buckets < MIN_TREEIFY_CAPACITY && beside.count() >= TREEIFY_THRESHOLD {
                buckets *= 2;
            }
            while count + 1 > threshold(buckets) {
                buckets *= 2;
            }
        }
        buckets.max(self.buckets)
    }
    /// The keys in Java's order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }
    /// The values in Java's order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<V> HashMap<Value, V> {
    /// The value of a STRING key.
    pub fn get_str(&self, key: &str) -> Option<&V> {
        self.entries.get(&StrKey(key))
    }
}

/// Keys in a bucket before one more makes it a tree.
const TREEIFY_THRESHOLD: usize = 8;
/// The length of a table from which on there are trees.
const MIN_TREEIFY_CAPACITY: usize = 64;

/// How many mappings a table of this length holds.
fn threshold(buckets: usize) -> usize {
    buckets / 4 * 3 + (buckets % 4) * 3 / 4
}

/// What Java's maps take the bucket from (`HashMap.hash`, `ConcurrentHashMap.spread`).
fn spread(key: &impl JavaHash) -> usize {
    let hash = key.java_hash().cast_unsigned();
    (hash ^ (hash >> 16)) as usize
}

/// The order in which a `ConcurrentHashMap` iterates over keys that were put into it one after the
/// other. It grows as soon as three quarters of its table are reached, not only beyond them, and
/// what shares a bucket is partly turned round each time.
pub fn concurrent_order<K: JavaHash>(keys: impl IntoIterator<Item = K>) -> Vec<K> {
    let mut bins: Vec<Vec<(usize, K)>> = std::iter::repeat_with(Vec::new).take(16).collect();
    for (before, key) in keys.into_iter().enumerate() {
        let hash = spread(&key);
        let bin = hash & (bins.len() - 1);
        bins[bin].push((hash, key));
        while before + 1 >= bins.len() / 4 * 3 {
            bins = doubled(bins);
        }
    }
    bins.into_iter().flatten().map(|(_, key)| key).collect()
}

/// `ConcurrentHashMap.transfer`: of each bucket the last keys that stay together keep their order,
/// those before them come to the front one by one.
fn doubled<K>(bins: Vec<Vec<(usize, K)>>) -> Vec<Vec<(usize, K)>> {
    let bit = bins.len();
    let (mut low, mut high) = (Vec::with_capacity(bit * 2), Vec::with_capacity(bit));
    for mut bin in bins {
        let is_high = |(hash, _): &(usize, K)| hash & bit != 0;
        let run = match bin.last().map(is_high) {
            Some(last) => bin.iter().rposition(|entry| is_high(entry) != last),
            None => None,
        };
        let run = bin.split_off(run.map_or(0, |before| before + 1));
        let (mut stay, mut go): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
        for entry in bin.into_iter().rev() {
            if is_high(&entry) {
                go.push(entry);
            } else {
                stay.push(entry);
            }
        }
        match run.first().is_some_and(is_high) {
            true => go.extend(run),
            false => stay.extend(run),
        }
        low.push(stay);
        high.push(go);
    }
    low.append(&mut high);
    low
}

struct StrKey<'a>(&'a str);
impl Hash for StrKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i32(string_hash(self.0));
    }
}
impl indexmap::Equivalent<Value> for StrKey<'_> {
    fn equivalent(&self, key: &Value) -> bool {
        key.as_str() == Some(self.0)
    }
}

impl<K: JavaHash + Eq + Hash, V> FromIterator<(K, V)> for HashMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut map = Self::default();
        map.entries.reserve(entries.size_hint().0);
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<K: JavaHash + Eq + Hash + serde::Serialize, V: serde::Serialize> serde::Serialize
    for HashMap<K, V>
{
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// Spreads what is hashed by a multiplication per word. Not meant against chosen keys: Java's own
/// hash, which decides the order, is not either.
#[derive(Clone, Copy, Debug, Default)]
struct QuickHasher(u64);

impl QuickHasher {
    fn add(&mut self, word: u64) {
        // 2^64 over the golden ratio.
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        // The table uses the high bits first and the low ones too.
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        for &byte in rest {
            self.add(byte.into());
        }
    }
    fn write_i32(&mut self, number: i32) {
        self.add(number.cast_unsigned().into());
    }
    fn write_u8(&mut self, number: u8) {
        self.add(number.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_the_order_of_java_hash_map() {
        let map: HashMap<String, u8> = ["name", "topic", "file", "connector.class", "tasks.max"]
            .into_iter()
            .map(|key| (key.to_owned(), 0))
            .collect();
        assert_eq!(
            map.keys().collect::<Vec<_>>(),
            ["connector.class", "file", "tasks.max", "name", "topic"]
        );
    }

    #[test]
    fn a_string_key_of_a_connect_map_is_found() {
        let map: HashMap<Value, u8> = [(Value::text("a"), 1), (Value::Int32(7), 2)]
            .into_iter()
            .collect();
        assert_eq!(map.get_str("a"), Some(&1));
        assert_eq!(map.get(&Value::Int32(7)), Some(&2));
        assert_eq!(map.get_str("b"), None);
    }

    // As a JVM worker names the partitions of a sink that have no offset.
    #[test]
    fn partitions_come_in_the_order_of_java_hash_map() {
        let partition = |number| TopicPartition {
            topic: "six".into(),
            partition: number,
        };
        let map: HashMap<TopicPartition, ()> =
            (0..6).map(|number| (partition(number), ())).collect();
        let numbers: Vec<i32> = map.keys().map(|found| found.partition).collect();
        assert_eq!(numbers, [2, 3, 0, 1, 4, 5]);
    }

    #[test]
    fn a_linked_map_keeps_the_order_of_insertion() {
        let mut map = HashMap::linked();
        for key in ["name", "topic", "file", "connector.class"] {
            map.insert(key.to_owned(), ());
        }
        assert_eq!(
            map.keys().collect::<Vec<_>>(),
            ["name", "topic", "file", "connector.class"]
        );
    }

    #[test]
    fn the_table_grows_as_in_java() {
        let mut map = HashMap::new();
        for n in 0..12 {
            map.insert(n.to_string(), ());
        }
        assert_eq!(map.buckets, 16);
        map.insert("12".to_owned(), ());
        assert_eq!(map.buckets, 32);
        assert_eq!(HashMap::<String, ()>::sized_for(12).buckets, 32);
        assert_eq!(HashMap::<String, ()>::sized_for(11).buckets, 16);
    }

    #[test]
    fn a_crowded_bucket_doubles_a_small_table() {
        let values = |mut map: HashMap<String, u32>, count: u32, step: u32| {
            for number in 1..=count {
                let character = char::from_u32(128 + number * step).expect("a character");
                map.insert(character.to_string(), number);
            }
            map.values().copied().collect::<Vec<_>>()
        };
        // As Java 17 prints them.
        assert_eq!(values(HashMap::new(), 8, 16), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(values(HashMap::new(), 9, 16), [2, 4, 6, 8, 1, 3, 5, 7, 9]);
        let eleven = [2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11];
        assert_eq!(values(HashMap::new(), 11, 32), eleven);
        assert_eq!(values(HashMap::with_capacity(24), 11, 32), eleven);
    }

    #[test]
    fn a_concurrent_map_turns_part_of_a_bucket_round_when_it_grows() {
        let keys = (0..200u64).map(|n| format!("t{}", n * 7919 * 7919 % 100_003));
        let order = concurrent_order(keys);
        assert_eq!(
            order[..6],
            ["t15896", "t15530", "t28733", "t97075", "t34720", "t80081"]
        );
        // What Java 17 says of the whole list.
        assert_eq!(
            string_hash(&format!("[{}]", order.join(", "))),
            -528_638_367
        );
    }
}
