//! Names of objects: `topics/t/partition=0/t+0+0000000003.json`. Escapes nothing.
//!
//! Answers for the name building of `TopicPartitionWriter` and `FileUtils`.

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
        let root = match self.topics_dir.trim().is_empty() {
            true => String::new(),
            false => format!("{}{slash}", self.topics_dir),
        };
        format!(
            "{root}{topic}{slash}{encoded_partition}{slash}{topic}{plus}{kafka_partition}{plus}\
             {start_offset:0width$}{extension}"
        )
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
}
