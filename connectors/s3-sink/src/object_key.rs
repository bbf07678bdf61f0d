//! Names of objects: `topics/t/partition=0/t+0+0000000003.json`. Escapes nothing.
//!
//! Answers for the name building of `TopicPartitionWriter` and `FileUtils`.

use crate::verify::FileRange;

/// The options that names are made from.
#[derive(Clone, Debug)]
pub(crate) struct ObjectKeys {
    /// `topics.dir`; blank for none.
    pub(crate) topics_dir: String,
    /// `directory.delim`.
    pub(crate) directory_delim: String,
    /// `file.delim`.
    pub(crate) file_delim: String,
    /// `filename.offset.zero.pad.width`.
    pub(crate) pad_width: usize,
}

impl ObjectKeys {
    /// The name of the object whose first record has `start_offset`.
    pub(crate) fn key(
        &self,
        topic: &str,
        encoded_partition: &str,
        kafka_partition: i32,
        start_offset: i64,
        extension: &str,
    ) -> String {
        let (slash, plus, width) = (&self.directory_delim, &self.file_delim, self.pad_width);
        let folder = self.topic_prefix(topic);
        format!(
            "{folder}{encoded_partition}{slash}{topic}{plus}{kafka_partition}{plus}\
             {start_offset:0width$}{extension}"
        )
    }
}

impl ObjectKeys {
    /// What all names begin with.
    pub(crate) fn root(&self) -> String {
        match self.topics_dir.trim().is_empty() {
            true => String::new(),
            false => format!("{}{}", self.topics_dir, self.directory_delim),
        }
    }

    /// What the names of all of a topic's objects begin with.
    pub(crate) fn topic_prefix(&self, topic: &str) -> String {
        format!("{}{topic}{}", self.root(), self.directory_delim)
    }

    /// What a name says of a value object; `None` for keys, headers and what is not the sink's.
    pub(crate) fn parse(&self, key: &str) -> Option<FileRange> {
        let below = key.strip_prefix(&self.root())?;
        let (topic, rest) = below.split_once(&self.directory_delim)?;
        let (folder, name) = rest.rsplit_once(&self.directory_delim)?;
        let name = name.strip_prefix(topic)?.strip_prefix(&self.file_delim)?;
        let (partition, name) = name.split_once(&self.file_delim)?;
        let digits = name.bytes().take_while(u8::is_ascii_digit).count();
        let (offset, extension) = name.split_at(digits);
        if extension.starts_with(".keys.") || extension.starts_with(".headers.") {
            return None;
        }
        Some(FileRange {
            key: key.to_owned(),
            topic: topic.to_owned(),
            partition: partition.parse().ok()?,
            folder: folder.to_owned(),
            start: offset.parse().ok()?,
            records: 0,
        })
    }

    /// Whether a name is one of a topic partition's.
    pub(crate) fn is_of(&self, key: &str, topic: &str, kafka_partition: i32) -> bool {
        let (slash, plus) = (&self.directory_delim, &self.file_delim);
        key.starts_with(&self.topic_prefix(topic))
            && key.contains(&format!("{slash}{topic}{plus}{kafka_partition}{plus}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_together_from_the_options() {
        let keys = |topics_dir: &str, width| ObjectKeys {
            topics_dir: topics_dir.to_owned(),
            directory_delim: "/".to_owned(),
            file_delim: "+".to_owned(),
            pad_width: width,
        };
        assert_eq!(
            keys("topics", 10).key("t", "partition=0", 0, 3, ".json"),
            "topics/t/partition=0/t+0+0000000003.json"
        );
        assert_eq!(
            keys(" ", 2).key("t", "a b=ü", 7, 12345, ".keys.bin"),
            "t/a b=ü/t+7+12345.keys.bin"
        );
    }

    #[test]
    fn a_name_says_what_it_was_made_of() {
        let keys = ObjectKeys {
            topics_dir: "topics".to_owned(),
            directory_delim: "/".to_owned(),
            file_delim: "+".to_owned(),
            pad_width: 10,
        };
        let key = keys.key("t", "dt=2024/h=1", 7, 42, ".snappy.parquet");
        let range = keys.parse(&key).expect("the sink's");
        assert_eq!(
            (range.topic.as_str(), range.partition, range.start),
            ("t", 7, 42)
        );
        assert_eq!(range.folder, "dt=2024/h=1");
        assert!(keys.is_of(&key, "t", 7) && !keys.is_of(&key, "t", 70));
        for other in [
            "topics/t/x/t+0+0000000001.keys.json",
            "topics/t/x/_SUCCESS",
            "other/t/x/t+0+0000000001.json",
        ] {
            assert_eq!(keys.parse(other), None, "{other}");
        }
    }
}
