//! Producers: one for the worker's own topics, whose writes can be waited for, and one for source
//! tasks, whose deliveries cost a call and nothing more.
//!
//! Neither retries by itself: librdkafka does, until `delivery.timeout.ms`. Answers for
//! `KafkaProducer`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use connect_api::{Error, Result};
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

use super::record_size::SizeLimits;
use super::round_robin::RoundRobin;
use super::{ClientLog, failed, oauth};

/// Hears of deliveries; called from [`RecordProducer::poll`] and [`RecordProducer::send`].
pub trait Deliveries: Send + Sync + 'static {
    /// The record that was sent with this token is in Kafka, or never will be.
    fn delivered(&self, token: usize, failure: Option<&KafkaError>);
}

pub(super) struct TokenContext<D> {
    log: ClientLog,
    deliveries: D,
    partitioner: Option<RoundRobin>,
}

impl<D: Deliveries> ClientContext for TokenContext<D> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;
    fn generate_oauth_token(
        &self,
        login: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.log.token(login)
    }
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.on_log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.log.on_error(&error, reason);
    }
}

impl<D: Deliveries> ProducerContext<RoundRobin> for TokenContext<D> {
    type DeliveryOpaque = usize;
    fn get_custom_partitioner(&self) -> Option<&RoundRobin> {
        self.partitioner.as_ref()
    }
    fn delivery(&self, result: &DeliveryResult<'_>, token: usize) {
        self.deliveries
            .delivered(token, result.as_ref().err().map(|(error, _)| error));
    }
}

/// A record on its way.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Where to.
    pub topic: &'a str,
    /// The partition; `None` lets the key decide.
    pub partition: Option<i32>,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The value's bytes.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since the epoch; `None` is now.
    pub timestamp: Option<i64>,
    /// The headers; `None` for none.
    pub headers: Option<OutgoingHeaders>,
}

/// Headers of an outgoing record.
#[derive(Clone, Debug)]
pub struct OutgoingHeaders(pub(super) OwnedHeaders);

impl OutgoingHeaders {
    /// Room for some headers.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(OwnedHeaders::new_with_capacity(capacity))
    }
    /// One more header.
    #[must_use]
    pub fn with(self, key: &str, value: Option<&[u8]>) -> Self {
        Self(self.0.insert(Header { key, value }))
    }
}

/// Why a record was not taken.
#[derive(Debug)]
pub enum Refused {
    /// The queue is full: try again once something was delivered. The headers come back.
    Full(Option<OutgoingHeaders>),
    /// It is larger than the producer may send.
    TooLarge(Error),
    /// It never will be.
    Failed(KafkaError),
}

/// A producer whose owner polls it, for one task's thread.
pub struct RecordProducer<D: Deliveries> {
    producer: BaseProducer<TokenContext<D>, RoundRobin>,
    limits: SizeLimits,
}

impl<D: Deliveries> std::fmt::Debug for RecordProducer<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordProducer").finish_non_exhaustive()
    }
}

impl<D: Deliveries> RecordProducer<D> {
    /// Connects in the background. A partitioner takes the place of the one that the configuration
    /// names.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(
        config: &ClientConfig,
        deliveries: D,
        partitioner: Option<RoundRobin>,
    ) -> Result<Self> {
        let log = ClientLog::new(config.get("client.id").unwrap_or("producer"));
        let mut native = config.clone();
        if partitioner.is_some() {
            // Else records without a key would be kept from it.
            native.set("sticky.partitioning.linger.ms", "0");
        }
        let context = TokenContext {
            log,
            deliveries,
            partitioner,
        };
        let producer: BaseProducer<TokenContext<D>, RoundRobin> = native
            .create_with_context(context)
            .map_err(|error| failed("creating a Kafka producer", &error, None))?;
        oauth::greet(config, |limit| producer.poll(limit));
        let limits = SizeLimits::of(config);
        Ok(Self { producer, limits })
    }

    pub(super) fn client(&self) -> &BaseProducer<TokenContext<D>, RoundRobin> {
        &self.producer
    }

    /// What hears of the deliveries.
    pub fn deliveries(&self) -> &D {
        &self.producer.context().deliveries
    }

    /// Why a record is refused for its size, if it is.
    pub fn too_large(&self, record: &Outgoing<'_>) -> Option<Error> {
        self.limits.too_large(record)
    }

    /// Hands a record over; never waits.
    ///
    /// # Errors
    /// The queue is full, or the record is impossible.
    pub fn send(&self, record: Outgoing<'_>, token: usize) -> Result<(), Refused> {
        if let Some(error) = self.limits.too_large(&record) {
            return Err(Refused::TooLarge(error));
        }
        let result = self.producer.send(BaseRecord::<[u8], [u8], usize> {
            topic: record.topic,
            partition: record.partition,
            payload: record.value,
            key: record.key,
            timestamp: record.timestamp,
            headers: record.headers.map(|headers| headers.0),
            delivery_opaque: token,
        });
        match result {
            Ok(()) => Ok(()),
            Err((error, record))
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) =>
            {
                Err(Refused::Full(record.headers.map(OutgoingHeaders)))
            }
            Err((error, _)) => Err(Refused::Failed(error)),
        }
    }

    /// Hears of deliveries, waiting for one as long as the timeout says.
    pub fn poll(&self, timeout: Duration) {
        self.producer.poll(timeout);
    }

    /// How many records are on their way.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    /// Sends what is gathered and waits until all is delivered; `false` if time ran out.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.producer.flush(timeout).is_ok()
    }

    /// The names of all topics in the cluster, with their numbers of partitions.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn topics(&self, timeout: Duration) -> Result<Vec<(String, usize)>> {
        let context = self.producer.context();
        let metadata = self
            .producer
            .client()
            .fetch_metadata(None, timeout)
            .map_err(|error| failed("listing topics", &error, Some(&context.log)))?;
        Ok(metadata
            .topics()
            .iter()
            .map(|topic| (topic.name().to_owned(), topic.partitions().len()))
            .collect())
    }

    /// The client's error with what was being done.
    pub fn failed(&self, doing: impl std::fmt::Display, error: &KafkaError) -> Error {
        failed(doing, error, Some(&self.producer.context().log))
    }
}

/// Where the delivery of a worker's own record is told.
type Delivered = mpsc::SyncSender<(usize, Result<(i32, i64), KafkaError>)>;

pub(super) struct WaitContext {
    log: ClientLog,
}

impl ClientContext for WaitContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;
    fn generate_oauth_token(
        &self,
        login: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.log.token(login)
    }
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.on_log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.log.on_error(&error, reason);
    }
}

impl ProducerContext for WaitContext {
    type DeliveryOpaque = Box<Option<(usize, Delivered)>>;
    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let Some((index, delivered)) = *waiting else {
            if let Err((error, message)) = result {
                let topic = message.topic();
                tracing::error!(topic, %error, "failed to write a record");
            }
            return;
        };
        let outcome = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        // The waiting side may have given up.
        delivered.try_send((index, outcome)).ok();
    }
}

/// How long a poll of deliveries waits. Each ends with a busy fraction of a millisecond in the
/// client, so they are long; a delivery ends the wait at once.
const DELIVERY_POLL: Duration = Duration::from_secs(2);

/// A producer with a thread of its own, for the worker's own topics.
pub struct StoreProducer {
    producer: Arc<BaseProducer<WaitContext>>,
    stop: Arc<AtomicBool>,
}

impl Drop for StoreProducer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for StoreProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreProducer").finish_non_exhaustive()
    }
}

/// A key and its value; no value is a tombstone.
pub type KeyValue = (Vec<u8>, Option<Vec<u8>>);

impl StoreProducer {
    /// Connects in the background.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(config: &ClientConfig) -> Result<Self> {
        let log = ClientLog::new(config.get("client.id").unwrap_or("producer"));
        let producer: BaseProducer<WaitContext> =
            config
                .create_with_context(WaitContext { log })
                .map_err(|error| failed("creating a Kafka producer", &error, None))?;
        let (producer, stop) = (Arc::new(producer), Arc::new(AtomicBool::new(false)));
        let (polled, stopped) = (Arc::clone(&producer), Arc::clone(&stop));
        std::thread::Builder::new()
            .name("store-producer".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Acquire) {
                    polled.poll(DELIVERY_POLL);
                }
            })
            .map_err(|error| Error::fatal("starting a thread").with_source(error))?;
        Ok(Self { producer, stop })
    }

    pub(super) fn client(&self) -> &BaseProducer<WaitContext> {
        &self.producer
    }

    /// The client's error with what was being done.
    pub(super) fn failed(&self, doing: impl std::fmt::Display, error: &KafkaError) -> Error {
        failed(doing, error, Some(&self.producer.context().log))
    }

    fn enqueue(&self, record: Outgoing<'_>, waiting: Option<(usize, Delivered)>) -> Result<()> {
        let topic = record.topic;
        let mut record = BaseRecord::<[u8], [u8], _> {
            topic,
            partition: record.partition,
            payload: record.value,
            key: record.key,
            timestamp: record.timestamp,
            headers: record.headers.map(|headers| headers.0),
            delivery_opaque: Box::new(waiting),
        };
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, refused))
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) =>
                {
                    record = refused;
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err((error, _)) => {
                    return Err(failed(format!("writing to topic {topic}"), &error, None));
                }
            }
        }
    }

    /// Writes without waiting; a failure is logged.
    pub fn send(&self, topic: &str, key: &[u8], value: Option<&[u8]>) {
        self.send_record(plain(topic, key, value));
    }

    /// The same with all that a record can have.
    pub fn send_record(&self, record: Outgoing<'_>) {
        let topic = record.topic;
        if let Err(error) = self.enqueue(record, None) {
            tracing::error!(topic, error = %connect_api::error::Chain(&error), "failed to write a record");
        }
    }

    /// Writes all of these and waits until they are in Kafka; answers partition and offset of each.
    ///
    /// # Errors
    /// One of them is not, or not in time.
    pub fn write(
        &self,
        topic: &str,
        records: &[KeyValue],
        timeout: Duration,
    ) -> Result<Vec<(i32, i64)>> {
        let (sender, receiver) = mpsc::sync_channel(records.len().max(1));
        for (index, (key, value)) in records.iter().enumerate() {
            let record = plain(topic, key, value.as_deref());
            self.enqueue(record, Some((index, sender.clone())))?;
        }
        drop(sender);
        let deadline = std::time::Instant::now() + timeout;
        let mut places = vec![(0, 0); records.len()];
        for _ in records {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let log = Some(&self.producer.context().log);
            let (index, outcome) = receiver.recv_timeout(left).map_err(|_elapsed| {
                let problem = log.and_then(ClientLog::last_problem).unwrap_or_default();
                Error::retriable(format!(
                    "writing to topic {topic}: no acknowledgement within {} ms {problem}",
                    timeout.as_millis()
                ))
            })?;
            places[index] = outcome
                .map_err(|error| failed(format!("writing to topic {topic}"), &error, log))?;
        }
        Ok(places)
    }

    /// Waits until all that was sent is delivered; `false` if time ran out.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.producer.flush(timeout).is_ok()
    }
}

fn plain<'a>(topic: &'a str, key: &'a [u8], value: Option<&'a [u8]>) -> Outgoing<'a> {
    Outgoing {
        topic,
        partition: None,
        key: Some(key),
        value,
        timestamp: None,
        headers: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    use rdkafka::{Offset, TopicPartitionList};

    use super::*;
    use crate::kafka::translate::{Client, translate};

    // A new topic's leader may not know yet that it leads. The broker takes its time to say so, and
    // meanwhile the records that follow are made ready.
    #[test]
    fn a_numbered_record_that_is_tried_again_stays_before_those_that_follow() {
        let cluster = MockCluster::new(1).expect("a cluster");
        cluster.create_topic("t", 1, 1).expect("a topic");
        let props = [
            ("bootstrap.servers", cluster.bootstrap_servers()),
            ("enable.idempotence", "true".to_owned()),
            ("max.in.flight.requests.per.connection", "1".to_owned()),
            ("linger.ms", "0".to_owned()),
        ];
        let props = props.map(|(key, value)| (key.to_owned(), value));
        let config = translate(Client::Producer, &props.into_iter().collect()).expect("valid");
        let producer: BaseProducer = config.create().expect("a producer");
        let send = |value: &str| {
            let record = BaseRecord::to("t").key("k").payload(value);
            producer.send(record).expect("queued");
        };
        send("0");
        producer.flush(Duration::from_secs(30)).expect("delivered");
        let delay = Duration::from_millis(300);
        cluster.broker_round_trip_time(1, delay).expect("set");
        let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
        cluster.request_errors(RDKafkaApiKey::Produce, &[error]);
        send("1");
        producer.poll(delay / 3);
        for value in ["2", "3"] {
            send(value);
        }
        producer.flush(Duration::from_secs(30)).expect("delivered");

        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("group.id", "g")
            .create()
            .expect("a consumer");
        let mut all = TopicPartitionList::new();
        all.add_partition_offset("t", 0, Offset::Beginning)
            .expect("an offset");
        consumer.assign(&all).expect("assigned");
        let (mut values, limit) = (Vec::new(), Instant::now() + Duration::from_secs(30));
        while values.len() < 4 && Instant::now() < limit {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                let value = message.payload().unwrap_or_default();
                values.push(String::from_utf8_lossy(value).into_owned());
            }
        }
        assert_eq!(values, ["0", "1", "2", "3"]);
    }
}
