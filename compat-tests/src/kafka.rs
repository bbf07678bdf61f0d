//! Apache Kafka itself (KRaft), one broker or several, and a plain client to look into it.

use crate::process::{Life, Process, Program};
use crate::{Outcome, fail, parts, wait};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How brokers are started.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Number of brokers; topics' default replication is the same, up to three.
    pub brokers: usize,
    /// Options of the JVM.
    pub jvm: &'static [&'static str],
    /// Whether they outlive this process.
    pub life: Life,
    /// Listeners besides the plain one: name and security protocol.
    pub listeners: Vec<(&'static str, &'static str)>,
    /// Further lines of the brokers' properties.
    pub properties: Vec<(String, String)>,
    /// Users that log in by SCRAM, as `StorageTool --add-scram` takes them.
    pub scram: Vec<String>,
}

impl KafkaOptions {
    /// Small heap, fast start: tests and quickstart.
    pub const SMALL: &'static [&'static str] = &[
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:-UsePerfData",
    ];
    /// What a benchmark needs so that the broker is not the limit.
    pub const FAST: &'static [&'static str] = &["-Xms256m", "-Xmx768m", "-XX:-UsePerfData"];
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            brokers: 1,
            jvm: Self::SMALL,
            life: Life::Owned,
            listeners: Vec::new(),
            properties: Vec::new(),
            scram: Vec::new(),
        }
    }
}

/// Names a cluster that runs already, for the quickstart, the tests and the benchmark.
pub const BOOTSTRAP_SERVERS: &str = "BOOTSTRAP_SERVERS";

/// A Kafka cluster, ours or one that was there.
#[derive(Debug)]
pub struct Kafka {
    bootstrap: String,
    brokers: Vec<Broker>,
    /// Addresses of the other listeners, by name.
    listeners: BTreeMap<&'static str, String>,
}

/// One broker: how it is started, again after it was stopped, and its process.
#[derive(Debug)]
struct Broker {
    address: String,
    arguments: Vec<String>,
    life: Life,
    log: PathBuf,
    process: Process,
}

impl Broker {
    fn start(address: String, arguments: Vec<String>, life: Life, log: PathBuf) -> Outcome<Self> {
        Ok(Self {
            process: Self::launch(&arguments, life, &log)?,
            address,
            arguments,
            life,
            log,
        })
    }

    fn launch(arguments: &[String], life: Life, log: &Path) -> Outcome<Process> {
        Program::new("java", arguments).life(life).start(log)
    }
}

/// A record as it lies in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Partition.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Timestamp in milliseconds.
    pub timestamp: i64,
    /// Key bytes.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// The key as text.
    pub fn key_text(&self) -> String {
        String::from_utf8_lossy(self.key.as_deref().unwrap_or_default()).into_owned()
    }

    /// The value as text.
    pub fn value_text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }

    /// The key without its schema: what JsonConverter wrote as its payload, else the whole key.
    pub fn key_payload(&self) -> String {
        let key: Option<serde_json::Value> =
            serde_json::from_slice(self.key.as_deref().unwrap_or_default()).ok();
        key.and_then(|key| Some(key.get("payload")?.to_string()))
            .unwrap_or_else(|| self.key_text())
    }

    /// The value as JSON.
    pub fn value_json(&self) -> Outcome<serde_json::Value> {
        Ok(serde_json::from_slice(
            self.value.as_deref().unwrap_or(b"null"),
        )?)
    }
}

impl Kafka {
    /// Uses a cluster that runs already.
    pub fn existing(bootstrap: &str) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            brokers: Vec::new(),
            listeners: BTreeMap::new(),
        }
    }

    /// Where the brokers' listener of this name is.
    pub fn listener(&self, name: &str) -> &str {
        self.listeners.get(name).map_or("", String::as_str)
    }

    /// The cluster that `BOOTSTRAP_SERVERS` names, where it is set; else one of our own.
    pub fn existing_or_start(folder: &Path, options: &KafkaOptions) -> Outcome<Self> {
        match std::env::var(BOOTSTRAP_SERVERS) {
            Ok(bootstrap) => Ok(Self::existing(&bootstrap)),
            Err(_) => Self::start(folder, options),
        }
    }

    /// Formats and starts brokers with their data in `folder`, and waits until all answer.
    pub fn start(folder: &Path, options: &KafkaOptions) -> Outcome<Self> {
        let classes = format!("{}/*", parts::path("kafka")?.display());
        let nodes: Vec<(usize, u16, u16)> = (1..=options.brokers)
            .map(|node| (node, parts::free_port(), parts::free_port()))
            .collect();
        let voters: Vec<String> = nodes
            .iter()
            .map(|(node, _, port)| format!("{node}@127.0.0.1:{port}"))
            .collect();
        let replicas = options.brokers.min(3);
        let mut brokers = Vec::new();
        let mut named: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for (node, port, controller_port) in &nodes {
            let data = folder.join(format!("kafka-{node}"));
            let file = folder.join(format!("kafka-{node}.properties"));
            let (mut more, mut protocols) = (String::new(), String::new());
            for (name, protocol) in &options.listeners {
                let address = format!("127.0.0.1:{}", parts::free_port());
                more.push_str(&format!(",{name}://{address}"));
                protocols.push_str(&format!(",{name}:{protocol}"));
                named.entry(name).or_default().push(address);
            }
            let properties: String = options
                .properties
                .iter()
                .map(|(key, value)| format!("{key}={value}\n"))
                .collect();
            std::fs::write(
                &file,
                format!(
                    "process.roles=broker,controller\n\
                     node.id={node}\n\
                     controller.quorum.voters={voters}\n\
                     listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{more}\n\
                     advertised.listeners=PLAINTEXT://127.0.0.1:{port}{more}\n\
                     controller.listener.names=CONTROLLER\n\
                     listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}\n\
                     log.dirs={data}\n\
                     default.replication.factor={replicas}\n\
                     offsets.topic.replication.factor={replicas}\n\
                     offsets.topic.num.partitions=5\n\
                     transaction.state.log.replication.factor={replicas}\n\
                     transaction.state.log.min.isr=1\n\
                     transaction.state.log.num.partitions=5\n\
                     log.cleaner.dedupe.buffer.size=16777216\n\
                     group.initial.rebalance.delay.ms=0\n\
                     {properties}",
                    voters = voters.join(","),
                    data = data.display(),
                ),
            )?;
            let formatted = Command::new("java")
                .args(options.jvm)
                .args(["-cp", &classes, "kafka.tools.StorageTool", "format"])
                // One cluster, one id; nothing else ever meets it.
                .args(["-t", "RmVycm9Db25uZWN0Rmllcg", "-c"])
                .arg(&file)
                .args(options.scram.iter().flat_map(|user| ["--add-scram", user]))
                .output()
                .map_err(|error| format!("running java: {error}"))?;
            if !formatted.status.success() {
                return fail(format!(
                    "formatting {}: {}",
                    data.display(),
                    String::from_utf8_lossy(&formatted.stderr)
                ));
            }
            let mut arguments: Vec<String> = options
                .jvm
                .iter()
                .map(|option| (*option).to_owned())
                .collect();
            arguments.extend([
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn".to_owned(),
                "-cp".to_owned(),
                classes.clone(),
                "kafka.Kafka".to_owned(),
                file.display().to_string(),
            ]);
            let log = folder.join(format!("kafka-{node}.log"));
            let address = format!("127.0.0.1:{port}");
            brokers.push(Broker::start(address, arguments, options.life, log)?);
        }
        let addresses = brokers.iter().map(|broker| broker.address.as_str());
        let mut kafka = Self {
            bootstrap: addresses.collect::<Vec<_>>().join(","),
            brokers,
            listeners: named
                .into_iter()
                .map(|(name, addresses)| (name, addresses.join(",")))
                .collect(),
        };
        kafka.wait_for_all()?;
        Ok(kafka)
    }

    /// Waits until every broker answers, and knows of all others.
    fn wait_for_all(&mut self) -> Outcome<()> {
        let count = self.brokers.len();
        for at in 0..count {
            let mut settings = self.client();
            settings.set("bootstrap.servers", &self.brokers[at].address);
            let client: BaseConsumer = settings.create()?;
            wait::until("the brokers", Duration::from_secs(90), || {
                self.brokers[at].process.check_alive()?;
                let metadata = client.fetch_metadata(None, Duration::from_secs(1))?;
                Ok((metadata.brokers().len() == count).then_some(()))
            })?;
        }
        Ok(())
    }

    fn broker(&mut self, address: &str) -> Outcome<&mut Broker> {
        let found = self.brokers.iter_mut().find(|one| one.address == address);
        Ok(found.ok_or_else(|| format!("no broker of ours is {address}"))?)
    }

    /// Kills the broker at this address (SIGKILL); its data stay.
    pub fn kill_broker(&mut self, address: &str) -> Outcome<()> {
        self.broker(address)?.process.kill();
        Ok(())
    }

    /// Asks the broker at this address to stop (SIGTERM), and waits until it has.
    pub fn stop_broker(&mut self, address: &str) -> Outcome<()> {
        let broker = self.broker(address)?;
        broker.process.signal("TERM");
        broker.process.wait(Duration::from_secs(60))?;
        Ok(())
    }

    /// Starts a broker that was stopped or killed again, on its data; waits until all are there.
    pub fn start_broker(&mut self, address: &str) -> Outcome<()> {
        let broker = self.broker(address)?;
        broker.process = Broker::launch(&broker.arguments, broker.life, &broker.log)?;
        self.wait_for_all()
    }

    /// Host and port of every broker, as `bootstrap.servers` wants them.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Process ids of the brokers that were started here.
    pub fn process_ids(&self) -> Vec<u32> {
        self.brokers
            .iter()
            .map(|broker| broker.process.id())
            .collect()
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "compat-tests")
            .set("enable.auto.commit", "false")
            .set("log_level", "0")
            .set("reconnect.backoff.max.ms", "500")
            .set("fetch.wait.max.ms", "20");
        config
    }

    fn admin(&self) -> Outcome<AdminClient<DefaultClientContext>> {
        Ok(self.client().create()?)
    }

    /// Creates a topic; one that is there already is fine.
    pub fn create_topic(&self, name: &str, partitions: i32, replicas: i32) -> Outcome<()> {
        self.create_topic_with(name, partitions, replicas, &[])
    }

    /// The same with settings.
    pub fn create_topic_with(
        &self,
        name: &str,
        partitions: i32,
        replicas: i32,
        settings: &[(&str, &str)],
    ) -> Outcome<()> {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let admin = self.admin()?;
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        let results = runtime()?.block_on(admin.create_topics([&topic], &options))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, error)) => return fail(format!("creating topic {topic}: {error}")),
            }
        }
        Ok(())
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, name: &str) -> Outcome<()> {
        let admin = self.admin()?;
        runtime()?.block_on(admin.delete_topics(&[name], &AdminOptions::new()))?;
        Ok(())
    }

    /// All topics with their number of partitions.
    pub fn topics(&self) -> Outcome<BTreeMap<String, usize>> {
        let client: BaseConsumer = self.client().create()?;
        let metadata = client.fetch_metadata(None, Duration::from_secs(10))?;
        let topics = metadata.topics().iter();
        Ok(topics
            .map(|topic| (topic.name().to_owned(), topic.partitions().len()))
            .collect())
    }

    /// First and last-plus-one offset of every partition; empty when there is no such topic.
    pub fn offsets(&self, topic: &str) -> Outcome<Vec<(i64, i64)>> {
        let Some(partitions) = self.topics()?.get(topic).copied() else {
            return Ok(Vec::new());
        };
        let client: BaseConsumer = self.client().create()?;
        let mut offsets = Vec::new();
        for partition in 0..i32::try_from(partitions)? {
            offsets.push(client.fetch_watermarks(topic, partition, Duration::from_secs(10))?);
        }
        Ok(offsets)
    }

    /// How many records a topic has taken.
    pub fn count(&self, topic: &str) -> Outcome<i64> {
        Ok(self
            .offsets(topic)?
            .iter()
            .map(|(first, next)| next - first)
            .sum())
    }

    /// The offsets that a consumer group has committed for a topic, by partition.
    pub fn committed(&self, group: &str, topic: &str) -> Outcome<BTreeMap<i32, i64>> {
        let partitions = self.topics()?.get(topic).copied().unwrap_or_default();
        let client: BaseConsumer = self.client().set("group.id", group).create()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..i32::try_from(partitions)? {
            list.add_partition(topic, partition);
        }
        let committed = client.committed_offsets(list, Duration::from_secs(10))?;
        let elements = committed.elements();
        Ok(elements
            .iter()
            .filter_map(|element| match element.offset() {
                Offset::Offset(offset) => Some((element.partition(), offset)),
                _ => None,
            })
            .collect())
    }

    /// Every record of a topic, partition by partition, in order.
    pub fn records(&self, topic: &str) -> Outcome<Vec<Record>> {
        self.some_records(topic, usize::MAX)
    }

    /// At most so many records of a topic.
    pub fn some_records(&self, topic: &str, limit: usize) -> Outcome<Vec<Record>> {
        let offsets = self.offsets(topic)?;
        let mut records = Vec::new();
        let mut left = 0;
        let mut list = TopicPartitionList::new();
        for (partition, (first, next)) in offsets.iter().enumerate() {
            if next > first {
                left += 1;
                list.add_partition_offset(topic, i32::try_from(partition)?, Offset::Beginning)?;
            }
        }
        if left == 0 {
            return Ok(records);
        }
        // An aborted or compacted tail has no record at its end: the end of partition tells.
        let consumer: BaseConsumer = self
            .client()
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .create()?;
        consumer.assign(&list)?;
        while left > 0 && records.len() < limit {
            match consumer.poll(Duration::from_secs(20)) {
                None => return fail(format!("topic {topic} stopped yielding records")),
                Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
                Some(Err(error)) => return fail(format!("reading topic {topic}: {error}")),
                Some(Ok(message)) => records.push(Record {
                    partition: message.partition(),
                    offset: message.offset(),
                    timestamp: message.timestamp().to_millis().unwrap_or(-1),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers: message.headers().map_or_else(Vec::new, |headers| {
                        let pairs = headers.iter();
                        pairs
                            .map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec)))
                            .collect()
                    }),
                }),
            }
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        Ok(records)
    }

    /// A producer that batches well.
    pub fn producer(&self) -> Outcome<BaseProducer> {
        Ok(self
            .client()
            .set("linger.ms", "50")
            .set("batch.size", "1000000")
            .set("queue.buffering.max.messages", "1000000")
            .set("compression.type", "lz4")
            .create()?)
    }
}

/// Counts a topic's records again and again without connecting anew. What is not committed and the
/// marks of transactions count as well.
#[expect(missing_debug_implementations, reason = "a consumer has none")]
pub struct Tail {
    client: BaseConsumer,
    topic: String,
    partitions: i32,
}

impl Tail {
    /// A look at a topic that exists.
    pub fn new(kafka: &Kafka, topic: &str) -> Outcome<Self> {
        let partitions = kafka.topics()?.get(topic).copied();
        let partitions = partitions.ok_or_else(|| format!("there is no topic {topic}"))?;
        Ok(Self {
            client: kafka.client().create()?,
            topic: topic.to_owned(),
            partitions: i32::try_from(partitions)?,
        })
    }

    /// How many records the topic has taken.
    pub fn count(&self) -> Outcome<i64> {
        let mut count = 0;
        for partition in 0..self.partitions {
            let timeout = Duration::from_secs(10);
            let (first, next) = self
                .client
                .fetch_watermarks(&self.topic, partition, timeout)?;
            count += next - first;
        }
        Ok(count)
    }
}

/// Sends one record and waits for room in the queue if need be.
pub fn send(producer: &BaseProducer, mut record: BaseRecord<'_, [u8], [u8]>) -> Outcome<()> {
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(Duration::from_millis(50));
            }
            Err((error, _)) => return fail(format!("producing: {error}")),
        }
    }
}

/// Waits until all that was sent is stored.
pub fn flush(producer: &BaseProducer) -> Outcome<()> {
    Ok(producer.flush(Duration::from_secs(120))?)
}

/// A small runtime for clients that are asynchronous only.
pub(crate) fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}
