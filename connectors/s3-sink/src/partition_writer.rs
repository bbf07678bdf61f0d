//! One topic partition: its open files, when they are committed, and which offset that makes safe.
//!
//! ```text
//! record -> folder -> open file (accepted) --rotation--> uploads (committing) -> stored (durable)
//! ```
//!
//! An [`Accepted`] file says nothing about offsets; a [`Durable`] one carries the offset that may
//! be committed, and only a finished upload makes one. Answers for `TopicPartitionWriter`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::context::StopSignal;
use connect_api::data::text::convert_to_string;
use connect_api::data::{Schema, SchemaAndValue, SchemaRef, Struct, Value};
use connect_api::error::Chain;
use connect_api::record::{SinkRecord, TopicPartition};
use connect_api::{Error, ErrorKind, Result};

use crate::boundary::Boundaries;
use crate::compatibility::{Compatibility, Fit, project};
use crate::format::{Format, RecordWriter};
use crate::partitioner::{EncodedPartition, Partitioner};
use crate::rotation::State;
use crate::settings::{NullValues, Settings};
use crate::spill::{Share, Spool};
use crate::storage::Store;
use crate::storage::bucket::{Meaning, Mode};
use crate::storage::object::{Ending, ObjectWriter, Tags, Upload};

/// Hands a bad record to the dead letter queue; an error means that the task fails.
pub(crate) type Report<'a> = &'a dyn Fn(&SinkRecord, Error) -> Result<()>;

/// Files whose uploads have ended well: everything below the offset is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Durable {
    next_offset: i64,
}

impl Durable {
    /// The offset to commit.
    pub(crate) fn offset(self) -> i64 {
        self.next_offset
    }
}

/// A file that records are written to; nothing of it is safe.
#[derive(Debug)]
struct Accepted {
    partition: EncodedPartition,
    schema: Option<SchemaRef>,
    /// Another schema object that was found to need no projection.
    same_as: Option<SchemaRef>,
    start_offset: i64,
    value: Option<Box<dyn RecordWriter>>,
    key: Option<Box<dyn RecordWriter>>,
    headers: Option<Box<dyn RecordWriter>>,
    is_empty: bool,
    records: u64,
    end_offset: i64,
    /// Offsets of its first records, where an object that exists makes them matter.
    offsets: Vec<i64>,
}

/// What a file takes beside what it holds.
const FILE_BYTES: usize = 2 * 1024;

impl Accepted {
    /// What it takes of the memory.
    fn held(&self) -> usize {
        let writers = [&self.value, &self.key, &self.headers];
        let held = writers.into_iter().flatten().map(|writer| writer.held());
        held.sum::<usize>() + FILE_BYTES
    }
}

/// How often uploads are looked after while a call waits for them.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// How long a call waits for uploads before it takes no more records for now.
const ROOM_PATIENCE: Duration = Duration::from_millis(500);

/// Files that are committed together and on their way.
#[derive(Debug)]
struct Committing {
    /// Those that are still to be closed: their objects' bytes come into being then.
    closing: VecDeque<Accepted>,
    uploads: VecDeque<(Upload, Origin)>,
    /// Why one of the files could not be closed: the group never becomes durable.
    broken: Option<Error>,
    start_offset: i64,
    next_offset: i64,
}

/// What an upload was made of.
#[derive(Debug)]
struct Origin {
    partition: EncodedPartition,
    offsets: Vec<i64>,
}

/// What became of the uploads.
#[derive(Debug)]
pub(crate) enum Progress {
    /// None has failed.
    Fine,
    /// Read again from this offset, after a pause.
    Rewind(i64),
}

/// Writes one topic partition.
#[derive(Debug)]
pub(crate) struct PartitionWriter {
    topic_partition: TopicPartition,
    settings: Arc<Settings>,
    store: Arc<Store>,
    stop: StopSignal,
    partitioner: Partitioner,
    state: State,
    /// Where files end under the wall clock, where that is decided before they are uploaded.
    boundaries: Option<Boundaries>,
    /// Where the open files end, since that was decided before.
    bound: Option<i64>,
    /// What the open files take of the memory.
    share: Share,
    /// What they have on disk.
    spool: Option<Arc<Spool>>,
    /// In the order of their creation.
    files: Vec<Accepted>,
    by_partition: HashMap<EncodedPartition, usize>,
    /// Schemas of first records that were bad: until the next commit those of their folder are
    /// compared with them, as there.
    left_behind: HashMap<EncodedPartition, Option<SchemaRef>>,
    /// The offset after the last record written.
    next_offset: i64,
    committing: VecDeque<Committing>,
    durable: Option<Durable>,
}

impl PartitionWriter {
    pub(crate) fn new(
        topic_partition: TopicPartition,
        settings: &Arc<Settings>,
        store: &Arc<Store>,
        stop: &StopSignal,
        boundaries: Option<Boundaries>,
    ) -> Self {
        Self {
            topic_partition,
            settings: Arc::clone(settings),
            store: Arc::clone(store),
            stop: stop.clone(),
            partitioner: settings.partitioner.clone(),
            state: State::default(),
            boundaries,
            bound: None,
            share: Share::default(),
            spool: None,
            files: Vec::new(),
            by_partition: HashMap::new(),
            left_behind: HashMap::new(),
            next_offset: 0,
            committing: VecDeque::new(),
            durable: None,
        }
    }

    /// Writes records of this partition, in order, until the deadline or until too much is on its
    /// way to the store; with none, acts on time alone. Answers how many it took.
    ///
    /// # Errors
    /// The task fails; a retriable error means that the files have to be written again.
    pub(crate) fn write(
        &mut self,
        records: &[SinkRecord],
        now: i64,
        deadline: Option<Instant>,
        report: Report<'_>,
    ) -> Result<usize> {
        let settings = Arc::clone(&self.settings);
        settings.rules.begin(&mut self.state, now);
        for (done, record) in records.iter().enumerate() {
            let is_over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if is_over || !self.has_room() {
                return Ok(done);
            }
            if record.record.value.is_null() && !takes_null(&settings, record, report)? {
                continue;
            }
            self.write_one(&settings, record, now, report)?;
        }
        if settings.rules.is_time_up_at_end(&self.state) {
            settings.rules.arm(&mut self.state, now);
            self.rotate();
        } else if self.is_clock_up(now) {
            settings.rules.arm(&mut self.state, now);
            self.rotate_by_clock()?;
        }
        self.balance()?;
        Ok(records.len())
    }

    fn write_one(
        &mut self,
        settings: &Settings,
        record: &SinkRecord,
        now: i64,
        report: Report<'_>,
    ) -> Result<()> {
        let rules = &settings.rules;
        if self.bound.is_some_and(|bound| record.offset >= bound) {
            self.rotate();
        }
        // A record without a readable time fails the task even where bad records are tolerated.
        let timestamp = self
            .partitioner
            .timestamp(record, now)
            .map_err(|error| Error::fatal(error.into_error().message().to_owned()))?;
        rules.observe(&mut self.state, timestamp);
        let partition = match self.partitioner.encode(record, timestamp) {
            Ok(partition) => partition,
            Err(error) => return tolerate(record, error.into_error(), report),
        };
        let mut index = self.find(&partition);
        let toggles = index.is_some_and(|index| {
            self.files[index].schema.is_none() != record.record.value.schema.is_none()
                && !record.record.value.is_null()
        });
        if toggles && !settings.keep_open {
            self.rotate();
            (index, _) = (None, rules.observe(&mut self.state, timestamp));
        }
        let is_clock_up = self.is_clock_up(now);
        if is_clock_up || rules.is_time_up(&self.state, &partition) {
            rules.arm(&mut self.state, now);
            match is_clock_up {
                true => self.rotate_by_clock()?,
                false => self.rotate(),
            }
            rules.observe(&mut self.state, timestamp);
            index = self.find(&partition);
        }
        let mut fit = Fit::Same;
        if let Some(at) = index {
            fit = match self.fit(settings, at, record) {
                Ok(fit) => fit,
                Err(error) => return tolerate(record, error, report),
            };
            if fit == Fit::Incompatible && settings.keep_open {
                index = self.find_of_schema(&partition, record);
                fit = Fit::Same;
            } else if fit == Fit::Incompatible {
                self.rotate();
                rules.observe(&mut self.state, timestamp);
                (index, fit) = (None, Fit::Same);
            }
        }
        if index.is_none()
            && settings
                .max_open_files
                .is_some_and(|limit| self.files.len() >= limit)
        {
            self.rotate();
            rules.observe(&mut self.state, timestamp);
        }
        let index = match index {
            Some(index) => index,
            None => self.add_file(&partition, record)?,
        };
        if let Err(error) = self.append(settings, index, record, fit) {
            // A file that never held a record is as if it had not been, but for its schema.
            if self.files[index].is_empty {
                let gone = self.files.remove(index);
                self.by_partition.remove(&partition);
                if settings.compatibility == Compatibility::None && !settings.keep_open {
                    self.left_behind.insert(Arc::clone(&partition), gone.schema);
                }
                if let Some(other) = self.files.iter().rposition(|f| f.partition == partition) {
                    self.by_partition.insert(Arc::clone(&partition), other);
                }
            }
            return match error.kind() {
                ErrorKind::Data => tolerate(record, error, report),
                _ => Err(error),
            };
        }
        let file = &mut self.files[index];
        file.records += 1;
        file.end_offset = record.offset;
        if settings.mode == Mode::Create && file.offsets.len() <= settings.scan_limit {
            file.offsets.push(record.offset);
        }
        let is_large = settings.rotate_size.is_some_and(|limit| {
            let written = file.value.as_ref().map_or(0, |writer| writer.written());
            written >= limit
        });
        self.next_offset = record.offset + 1;
        let is_full = rules.written(&mut self.state, &partition, now);
        if is_full || is_large || self.bound.is_some_and(|bound| self.next_offset >= bound) {
            self.rotate();
        }
        Ok(())
    }

    /// Whether the wall clock ends the open files; not where it was decided before that they go on.
    fn is_clock_up(&self, now: i64) -> bool {
        self.bound.is_none() && self.settings.rules.is_clock_up(&self.state, now)
    }

    /// Commits all open files, after it is written down where they end, if that is asked for.
    fn rotate_by_clock(&mut self) -> Result<()> {
        let start = self.files.iter().map(|file| file.start_offset).min();
        if let (Some(boundaries), Some(start)) = (&self.boundaries, start) {
            let decided = boundaries.fix(&self.topic_partition, start, self.next_offset)?;
            if decided > self.next_offset {
                // Another task has these records, too, and more: its files go on.
                self.bound = Some(decided);
                return Ok(());
            }
            if decided < self.next_offset {
                return Err(Error::retriable(format!(
                    "files of {} that begin at {start} end at {decided}, as another task has decided",
                    self.topic_partition
                )));
            }
        }
        self.rotate();
        Ok(())
    }

    /// Keeps the memory of all open files of the process within its budget; those of this partition
    /// let go of theirs, the largest first.
    fn balance(&mut self) -> Result<()> {
        let sizes: Vec<usize> = self.files.iter().map(Accepted::held).collect();
        let mut held = sizes.iter().sum::<usize>() + self.held_closing();
        self.share.set(held);
        if Share::of_all() <= self.settings.memory || self.files.is_empty() {
            return Ok(());
        }
        let spool = match &self.spool {
            Some(spool) => Arc::clone(spool),
            None => match Spool::new(&self.settings.spill_folder) {
                Ok(spool) => Arc::clone(self.spool.insert(spool)),
                Err(error) => {
                    let folder = self.settings.spill_folder.display();
                    tracing::warn!(%folder, %error, "open files cannot be spilled to disk");
                    return Ok(());
                }
            },
        };
        // Some room, so that not every record moves something.
        let target = self.settings.memory / 4 * 3;
        let may_cut = self.settings.rotate_size.is_none();
        let mut largest: Vec<usize> = (0..sizes.len()).collect();
        largest.sort_by_key(|&index| std::cmp::Reverse(sizes[index]));
        for index in largest {
            if Share::of_all() <= target {
                break;
            }
            let file = &mut self.files[index];
            let writers = [&mut file.value, &mut file.key, &mut file.headers];
            for writer in writers.into_iter().flatten() {
                writer.relieve(&spool, may_cut)?;
            }
            held = held.saturating_sub(sizes[index]) + file.held();
            self.share.set(held);
        }
        Ok(())
    }

    /// The open file of a folder; mostly the newest.
    fn find(&self, partition: &EncodedPartition) -> Option<usize> {
        match self.files.last() {
            Some(file) if Arc::ptr_eq(&file.partition, partition) => Some(self.files.len() - 1),
            _ => self.by_partition.get(partition).copied(),
        }
    }

    fn fit(&mut self, settings: &Settings, index: usize, record: &SinkRecord) -> Result<Fit> {
        let file = &mut self.files[index];
        let schema = record.record.value.schema.as_ref();
        let is = |known: &Option<SchemaRef>| match (known, schema) {
            (Some(known), Some(schema)) => Arc::ptr_eq(known, schema),
            (known, schema) => known.is_none() && schema.is_none(),
        };
        if is(&file.schema)
            || (file.same_as.is_some() && is(&file.same_as))
            || record.record.value.is_null()
        {
            return Ok(Fit::Same);
        }
        let fit = settings.compatibility.check(schema, file.schema.as_ref())?;
        if fit == Fit::Same {
            file.same_as = schema.cloned();
        }
        Ok(fit)
    }

    /// The file of a folder that has just this record's schema; files of others stay open beside it.
    fn find_of_schema(&self, partition: &EncodedPartition, record: &SinkRecord) -> Option<usize> {
        let schema = record.record.value.schema.as_ref();
        self.files
            .iter()
            .rposition(|file| file.partition == *partition && file.schema.as_ref() == schema)
    }

    fn add_file(&mut self, partition: &EncodedPartition, record: &SinkRecord) -> Result<usize> {
        if self.files.is_empty()
            && let Some(boundaries) = &self.boundaries
        {
            let decided = boundaries.read(&self.topic_partition, record.offset)?;
            // One that no record lies below says nothing.
            self.bound = decided.filter(|bound| *bound > record.offset);
        }
        self.files.push(Accepted {
            partition: Arc::clone(partition),
            schema: match self.left_behind.remove(partition) {
                Some(schema) => schema,
                None => record.record.value.schema.clone(),
            },
            same_as: None,
            start_offset: record.offset,
            value: None,
            key: None,
            headers: None,
            is_empty: true,
            records: 0,
            end_offset: record.offset,
            offsets: Vec::new(),
        });
        self.by_partition
            .insert(Arc::clone(partition), self.files.len() - 1);
        Ok(self.files.len() - 1)
    }

    fn append(
        &mut self,
        settings: &Settings,
        index: usize,
        record: &SinkRecord,
        fit: Fit,
    ) -> Result<()> {
        let file = &mut self.files[index];
        let place = Place {
            settings,
            store: &self.store,
            topic_partition: &self.topic_partition,
        };
        if settings.key_format.is_some() && record.record.key.is_null() {
            return Err(Error::data(format!(
                "Key cannot be null for SinkRecord: {}",
                describe(record)
            )));
        }
        if settings.header_format.is_some() && record.record.headers.is_empty() {
            return Err(Error::data(format!(
                "Headers cannot be null for SinkRecord: {}",
                describe(record)
            )));
        }
        if !record.record.value.is_null() {
            match (fit, &file.schema, &record.record.value.schema) {
                (Fit::Project, Some(to), Some(from)) => {
                    let value = project(&record.record.value.value, from, to)?;
                    let projected = SchemaAndValue {
                        schema: Some(Arc::clone(to)),
                        value,
                    };
                    place.write(
                        &settings.format,
                        "",
                        &file.partition,
                        file.start_offset,
                        &mut file.value,
                        &projected,
                    )?;
                }
                _ => {
                    let value = &record.record.value;
                    place.write(
                        &settings.format,
                        "",
                        &file.partition,
                        file.start_offset,
                        &mut file.value,
                        value,
                    )?;
                }
            }
            file.is_empty = false;
        }
        if let Some(format) = &settings.key_format {
            let wrapped;
            let key = match format.needs_record() {
                true => {
                    wrapped = wrap("RecordKey", "key", &record.record.key)?;
                    &wrapped
                }
                false => &record.record.key,
            };
            place.write(
                format,
                ".keys",
                &file.partition,
                file.start_offset,
                &mut file.key,
                key,
            )?;
            file.is_empty = false;
        }
        if let Some(format) = &settings.header_format {
            let headers = header_list(record)?;
            let headers = match format.puts_headers_in_record() {
                true => wrap("RecordHeaders", "headers", &headers)?,
                false => headers,
            };
            place.write(
                format,
                ".headers",
                &file.partition,
                file.start_offset,
                &mut file.headers,
                &headers,
            )?;
        }
        Ok(())
    }

    /// Commits all open files: closes them and sends them on their way, those that there is no room
    /// for later. What goes wrong is met again in [`Self::settle`].
    fn rotate(&mut self) {
        self.settings.rules.committed(&mut self.state);
        self.bound = None;
        self.spool = None;
        let files = std::mem::take(&mut self.files);
        self.by_partition.clear();
        self.left_behind.clear();
        let Some(start_offset) = files.iter().map(|file| file.start_offset).min() else {
            return;
        };
        self.committing.push_back(Committing {
            closing: files.into(),
            uploads: VecDeque::new(),
            broken: None,
            start_offset,
            next_offset: self.next_offset,
        });
        self.close_files();
    }

    /// Closes files that are to be committed, as long as there is room for what becomes of them.
    fn close_files(&mut self) {
        if !self.is_closing() {
            return;
        }
        for group in &mut self.committing {
            while !group.closing.is_empty() && self.store.has_room() {
                if let Some(file) = group.closing.pop_front() {
                    close(file, group, &self.settings);
                }
            }
        }
        let held = self.files.iter().map(Accepted::held).sum::<usize>();
        self.share.set(held + self.held_closing());
    }

    fn is_closing(&self) -> bool {
        self.committing
            .iter()
            .any(|group| !group.closing.is_empty())
    }

    fn held_closing(&self) -> usize {
        let closing = self.committing.iter().flat_map(|group| &group.closing);
        closing.map(Accepted::held).sum()
    }

    /// Whether a record may be written: not while uploads are behind. Waits a little for them.
    fn has_room(&mut self) -> bool {
        if self.store.has_room() && !self.is_closing() {
            return true;
        }
        let end = Instant::now() + ROOM_PATIENCE;
        loop {
            self.close_files();
            if self.store.has_room() && !self.is_closing() {
                return true;
            }
            if Instant::now() >= end || self.stop.is_set() {
                return false;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Looks after the uploads; `wait` until they have ended or the time is over.
    ///
    /// # Errors
    /// An upload failed for good.
    pub(crate) fn settle(&mut self, wait: Option<Duration>) -> Result<Progress> {
        let deadline = wait.map(|wait| Instant::now() + wait);
        loop {
            self.close_files();
            let Some(group) = self.committing.front_mut() else {
                break;
            };
            if !group.closing.is_empty() {
                if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
                    return Ok(Progress::Fine);
                }
                std::thread::sleep(POLL_INTERVAL);
                continue;
            }
            let mut exists: Option<Origin> = None;
            while let Some((upload, _)) = group.uploads.front() {
                while !upload.is_finished() {
                    if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
                        return Ok(Progress::Fine);
                    }
                    std::thread::sleep(POLL_INTERVAL);
                }
                let Some((upload, origin)) = group.uploads.pop_front() else {
                    break;
                };
                match upload.wait() {
                    Err(error) if error.kind() == ErrorKind::Conflict => {
                        exists.get_or_insert(origin);
                    }
                    Err(error) => group.broken = Some(error),
                    Ok(()) => {}
                }
            }
            if let Some(origin) = exists {
                return self.pass_over(&origin).map(Progress::Rewind);
            }
            if let Some(error) = group.broken.take() {
                if !error.is_retriable() {
                    // Stays at the head, so that nothing after it becomes durable.
                    group.broken = Some(Error::fatal("an upload failed before"));
                    return Err(error);
                }
                tracing::warn!(
                    partition = %self.topic_partition,
                    error = %Chain(&error),
                    "an upload failed; its records are read again"
                );
                return Ok(Progress::Rewind(self.rewind()));
            }
            self.durable = Some(Durable {
                next_offset: group.next_offset,
            });
            self.committing.pop_front();
        }
        Ok(Progress::Fine)
    }

    /// An object has the name already: what it and those behind it hold counts as stored, up to the
    /// first name that is free. As Confluent's sink has it; what else was open is read again.
    fn pass_over(&mut self, origin: &Origin) -> Result<i64> {
        let extension = self.settings.format.extension();
        let mut next = self.next_offset;
        for &offset in origin.offsets.iter().skip(1) {
            let key = self.key(&origin.partition, offset, &extension);
            let head = self
                .store
                .wait(self.store.tried(|_| self.store.bucket.head(&key)));
            match head {
                Ok(_) => next = offset + 1,
                Err(error) if error.meaning() == Meaning::Missing => {
                    next = offset;
                    break;
                }
                Err(error) if error.status == Some(403) => {
                    next = offset;
                    break;
                }
                Err(error) => return Err(self.store.failure("looking for", &key, error)),
            }
        }
        tracing::warn!(
            partition = %self.topic_partition,
            next,
            "an object of this name exists already: the records before are taken as stored"
        );
        self.rewind();
        Ok(next)
    }

    fn key(&self, partition: &str, start_offset: i64, extension: &str) -> String {
        self.settings.keys.key(
            &self.topic_partition.topic,
            partition,
            self.topic_partition.partition,
            start_offset,
            extension,
        )
    }

    /// Gives up everything that is not durable; answers from where it has to be read again.
    pub(crate) fn rewind(&mut self) -> i64 {
        let closed = self.committing.iter().map(|group| group.start_offset);
        let open = self.files.iter().map(|file| file.start_offset);
        let offset = closed.chain(open).min().unwrap_or(self.next_offset);
        // Uploads of the same names follow: these have to be over first.
        for (upload, _) in std::mem::take(&mut self.committing)
            .into_iter()
            .flat_map(|group| group.uploads)
        {
            if let Err(error) = upload.wait() {
                tracing::debug!(error = %Chain(&error), "a given up upload failed, too");
            }
        }
        self.files.clear();
        self.by_partition.clear();
        self.left_behind.clear();
        self.state = State::default();
        (self.bound, self.spool) = (None, None);
        self.share.set(0);
        offset
    }

    /// What became durable since this was asked last.
    pub(crate) fn take_durable(&mut self) -> Option<Durable> {
        self.durable.take()
    }
}

/// Closes a file's objects and sends them on their way.
fn close(mut file: Accepted, group: &mut Committing, settings: &Settings) {
    let mut value_ending = Ending {
        mode: settings.mode,
        tags: tags(settings, &file),
    };
    for writer in [file.value, file.key, file.headers] {
        // Keys and headers are not tagged.
        let ending = std::mem::replace(&mut value_ending, Ending::PLAIN);
        let Some(writer) = writer else { continue };
        let finished = writer.close().and_then(|object| object.finish(ending));
        match finished {
            Ok(upload) => {
                let origin = Origin {
                    partition: Arc::clone(&file.partition),
                    offsets: std::mem::take(&mut file.offsets),
                };
                group.uploads.push_back((upload, origin));
            }
            Err(error) => {
                group.broken.get_or_insert(error);
            }
        }
    }
}

/// The tags of a file's object.
fn tags(settings: &Settings, file: &Accepted) -> Option<Tags> {
    let tagging = settings.tagging.as_ref()?;
    let own = [
        ("startOffset", file.start_offset.to_string()),
        ("endOffset", file.end_offset.to_string()),
        ("recordCount", file.records.to_string()),
    ];
    let is_extra = |name: &str| tagging.extra.iter().any(|(extra, _)| extra == name);
    let pairs = own
        .into_iter()
        .filter(|(name, _)| !is_extra(name))
        .map(|(name, value)| (name.to_owned(), value))
        .chain(tagging.extra.iter().cloned())
        .collect();
    Some(Tags {
        pairs,
        required: tagging.required,
    })
}

/// Where objects are opened.
struct Place<'a> {
    settings: &'a Settings,
    store: &'a Arc<Store>,
    topic_partition: &'a TopicPartition,
}

impl Place<'_> {
    /// Writes to a file's object, opening it first where it is not.
    fn write(
        &self,
        format: &Arc<dyn Format>,
        view: &str,
        partition: &str,
        start_offset: i64,
        writer: &mut Option<Box<dyn RecordWriter>>,
        data: &SchemaAndValue,
    ) -> Result<()> {
        if let Some(writer) = writer {
            return writer.write(data);
        }
        let extension = format!("{view}{}", format.extension());
        let key = self.settings.keys.key(
            &self.topic_partition.topic,
            partition,
            self.topic_partition.partition,
            start_offset,
            &extension,
        );
        if view.is_empty() && key.contains(&*self.settings.tombstone) {
            // Confluent's sink takes such a name for a tombstone's, whatever the record is.
            return Err(Error::fatal(format!(
                "Value writer not configured for SinkRecord: fileName: {key}, tombstonePartition: {}",
                self.settings.tombstone
            )));
        }
        let mut opened = format.open(data, ObjectWriter::new(self.store, key))?;
        opened.write(data)?;
        *writer = Some(opened);
        Ok(())
    }
}

fn takes_null(settings: &Settings, record: &SinkRecord, report: Report<'_>) -> Result<bool> {
    match settings.null_values {
        NullValues::Write => Ok(true),
        NullValues::Fail => Err(Error::fatal(
            "Null valued records are not writeable with current behavior.on.null.values 'settings.",
        )),
        NullValues::Ignore => {
            tracing::debug!(
                record = describe(record),
                "passing over a record without a value"
            );
            if settings.report_null_values {
                // Without a dead letter queue an ignored record is nobody's business.
                let reported = report(record, Error::data("Skipping null value record."));
                if let Err(error) = reported
                    && error.kind() != ErrorKind::Data
                {
                    return Err(error);
                }
            }
            Ok(false)
        }
    }
}

/// A bad record goes to the dead letter queue, or fails the task.
fn tolerate(record: &SinkRecord, error: Error, report: Report<'_>) -> Result<()> {
    match error.kind() {
        ErrorKind::Data => report(record, error),
        _ => Err(error),
    }
}

fn describe(record: &SinkRecord) -> String {
    format!(
        "SinkRecord{{kafkaOffset={}, topic='{}', kafkaPartition={}}} ",
        record.offset,
        record.record.topic,
        record.record.partition.unwrap_or(record.original_partition)
    )
}

/// A record of one field, for formats that write records only.
fn wrap(name: &'static str, field: &'static str, data: &SchemaAndValue) -> Result<SchemaAndValue> {
    let Some(schema) = &data.schema else {
        return Err(Error::fatal(format!(
            "{name}: a field needs a schema; the {field} has none"
        )));
    };
    let schema = Schema::structure()
        .name(name)
        .field(field, Arc::clone(schema))
        .build();
    let value = Value::Struct(Struct::new(Arc::clone(&schema), vec![data.value.clone()]));
    Ok(SchemaAndValue {
        schema: Some(schema),
        value,
    })
}

/// The headers as a list of keys and texts.
fn header_list(record: &SinkRecord) -> Result<SchemaAndValue> {
    let entry = Schema::structure()
        .field("key", Schema::string().build())
        .field("value", Schema::string().build())
        .build();
    let items = record.record.headers.iter().map(|header| {
        let text = match &header.value.value {
            Value::String(text) => text.clone(),
            Value::Null => {
                return Err(Error::data(
                    "Invalid value: null used for required field: \"value\", schema type: STRING",
                ));
            }
            other => convert_to_string(other).into(),
        };
        Ok(Value::Struct(Struct::new(
            Arc::clone(&entry),
            vec![Value::String(header.key.clone()), Value::String(text)],
        )))
    });
    let items = items.collect::<Result<_>>()?;
    Ok(SchemaAndValue {
        schema: Some(Schema::array(Arc::clone(&entry)).build()),
        value: Value::Array(items),
    })
}
