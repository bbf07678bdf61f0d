//! Where one connector's offsets live: in the worker's topic, or in one of its own with the worker's
//! behind it.
//!
//! Where sources write exactly once the topic is read anew, so that nothing is seen but what is
//! committed. Answers for `ConnectorOffsetBackingStore`.

use std::sync::Arc;
use std::time::Duration;

use connect_api::error::Chain;
use connect_api::record::OffsetMap;
use connect_api::source::OffsetReader;
use connect_api::{Props, Result};

use super::clients;
use crate::config::ExactlyOnce;
use crate::herder::request::Parts;
use crate::herder::{Stores, store_topic};
use crate::kafka::ClientConfig;
use crate::kafka::admin::Admin;
use crate::kafka::producer::StoreProducer;
use crate::store::log::StoreTopic;
use crate::store::offset::{OffsetStore, Stored};

/// How long reading a topic to its end may take: also that of a transaction that a killed worker left
/// behind, which the broker aborts after `transaction.timeout.ms`, a minute unless it is set.
const READ_LIMIT: Duration = Duration::from_secs(150);

/// The offsets of one connector.
#[derive(Debug)]
pub struct ConnectorOffsets {
    connector: Arc<str>,
    /// The topic that is written to.
    topic: String,
    /// Read for this connector alone.
    own: Option<OffsetStore>,
    /// The worker's store: the only one, or asked where the own one knows nothing.
    worker: Option<Arc<OffsetStore>>,
}

impl Drop for ConnectorOffsets {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            own.stop();
        }
    }
}

/// The clients for a topic that is read for one connector alone.
#[derive(Debug)]
pub struct OffsetClients {
    topic: String,
    consumer: ClientConfig,
    /// What creates the topic, where it is the connector's own.
    creates: Option<(Admin, StoreTopic)>,
}

impl OffsetClients {
    /// `None` where the worker's store is all that there is. A connector is made with these, too: what
    /// is wrong with them fails it, and not only its tasks
    /// (`Worker.offsetStoreForRegularSourceConnector`).
    ///
    /// # Errors
    /// A setting is refused.
    pub fn new(parts: &Parts, connector: &str, props: &Props) -> Result<Option<Self>> {
        let worker = &parts.config;
        let workers_topic = workers_topic(parts);
        let separate = props
            .get("offsets.storage.topic")
            .map(|topic| topic.trim())
            .filter(|topic| !topic.is_empty() && !worker.standalone)
            .filter(|topic| *topic != workers_topic);
        if separate.is_none() && worker.exactly_once() != ExactlyOnce::Enabled {
            return Ok(None);
        }
        let consumer = clients::offsets_consumer(worker, connector, props)?;
        let client_id = format!("connector-adminclient-{connector}");
        let admin = clients::admin(worker, &client_id, props)?;
        let creates = match separate {
            Some(topic) => {
                let mut plan = store_topic(worker, "offset.storage", "source connector offsets");
                topic.clone_into(&mut plan.name);
                plan.property = "offsets.storage.topic";
                Some((Admin::new(&admin, parts.runtime.clone())?, plan))
            }
            None => None,
        };
        Ok(Some(Self {
            topic: separate.unwrap_or(workers_topic).to_owned(),
            consumer,
            creates,
        }))
    }

    /// Creates the topic where it is missing and is the connector's own.
    ///
    /// # Errors
    /// It cannot be created, or is none that keeps offsets.
    pub fn ensure_topic(&self) -> Result<()> {
        match &self.creates {
            Some((admin, plan)) => plan.ensure(admin),
            None => Ok(()),
        }
    }
}

fn workers_topic(parts: &Parts) -> &str {
    let topic = parts.config.options.string_opt("offset.storage.topic");
    topic.unwrap_or_default()
}

impl ConnectorOffsets {
    /// Finds the place, creates a topic of the connector's own where it is missing, and reads it.
    /// `writes` is whether [`Self::write`] will be called.
    ///
    /// # Errors
    /// The topic cannot be created or read.
    pub fn open(
        parts: &Parts,
        stores: &Stores,
        connector: &str,
        props: &Props,
        writes: bool,
    ) -> Result<Self> {
        let producer = match writes {
            true => Some(clients::offsets_producer(&parts.config, connector, props)?),
            false => None,
        };
        let clients = OffsetClients::new(parts, connector, props)?;
        let separate = clients.as_ref().is_some_and(|own| own.creates.is_some());
        let (topic, own) = match clients {
            None => (workers_topic(parts).to_owned(), None),
            Some(clients) => {
                clients.ensure_topic()?;
                let producer = match producer {
                    Some(config) => Some(Arc::new(StoreProducer::new(&config)?)),
                    None => None,
                };
                let store = OffsetStore::start(&clients.topic, clients.consumer, producer)?;
                store.wait_until_read(READ_LIMIT)?;
                (clients.topic, Some(store))
            }
        };
        let behind = own.is_none() || separate;
        Ok(Self {
            connector: connector.into(),
            topic,
            own,
            worker: behind.then(|| Arc::clone(&stores.offsets)),
        })
    }

    /// The topic that is written to.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// All of them: partition and position of each.
    ///
    /// # Errors
    /// The topic cannot be read.
    pub fn all(&self) -> Result<Vec<Stored>> {
        if let Some(worker) = &self.worker {
            worker.catch_up(READ_LIMIT)?;
        }
        let Some(own) = &self.own else {
            return Ok(self
                .worker
                .as_ref()
                .map_or_else(Vec::new, |worker| worker.all(&self.connector)));
        };
        let mut found = own.all(&self.connector);
        for entry in self
            .worker
            .iter()
            .flat_map(|worker| worker.all(&self.connector))
        {
            if found.iter().all(|(partition, _)| *partition != entry.0) {
                found.push(entry);
            }
        }
        Ok(found)
    }

    /// Stores positions; `None` forgets one.
    ///
    /// # Errors
    /// They are not stored, or not in time.
    pub fn write(
        &self,
        offsets: &[(&OffsetMap, Option<OffsetMap>)],
        limit: Duration,
    ) -> Result<()> {
        let Some(own) = &self.own else {
            return match &self.worker {
                Some(worker) => worker.write(&self.connector, offsets, limit),
                None => Ok(()),
            };
        };
        // What is forgotten must not come to light again from behind.
        let forgotten: Vec<_> = offsets
            .iter()
            .filter(|(_, offset)| offset.is_none())
            .cloned()
            .collect();
        if let Some(worker) = self.worker.as_ref().filter(|_| !forgotten.is_empty()) {
            worker.write(&self.connector, &forgotten, limit)?;
        }
        own.write(&self.connector, offsets, limit)?;
        self.copy(offsets, limit);
        Ok(())
    }

    /// Writes what is stored in a topic of the connector's own to the worker's, too. A failure does
    /// no harm, for the own topic counts.
    pub fn copy(&self, offsets: &[(&OffsetMap, Option<OffsetMap>)], limit: Duration) {
        let Some(worker) = self.worker.as_ref().filter(|_| self.own.is_some()) else {
            return;
        };
        if let Err(error) = worker.write(&self.connector, offsets, limit) {
            tracing::warn!(error = %Chain(&error), "copying offsets to the worker's topic");
        }
    }
}

impl OffsetReader for ConnectorOffsets {
    fn read(&self, partitions: &[OffsetMap]) -> Result<Vec<Option<OffsetMap>>> {
        if let Some(worker) = &self.worker {
            worker.catch_up(READ_LIMIT)?;
        }
        partitions
            .iter()
            .map(|partition| {
                let own = match &self.own {
                    Some(own) => own.get(&self.connector, partition)?,
                    None => None,
                };
                match (own, &self.worker) {
                    (None, Some(worker)) => worker.get(&self.connector, partition),
                    (own, _) => Ok(own),
                }
            })
            .collect()
    }
}
