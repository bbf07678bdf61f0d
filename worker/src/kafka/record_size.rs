//! The size at which Java's producer refuses a record, and its words for that.
//!
//! librdkafka has limits of the same names, but counts otherwise, and takes a record that its queue
//! can never hold for one that has to wait. Pure. Answers for `KafkaProducer.ensureValidRecordSize`.

use connect_api::Error;
use rdkafka::ClientConfig;
use rdkafka::message::Headers as _;

use super::producer::Outgoing;

/// What a batch takes beside its records.
const BATCH_OVERHEAD: usize = 61;
/// What a record takes at most beside its key, value and headers.
const RECORD_OVERHEAD: usize = 21;

/// Below this limit headers alone can make a record too large, and are counted.
const HEADERS_COUNT_BELOW: usize = 256 * 1024;

/// `max.request.size` and `buffer.memory`.
#[derive(Clone, Copy, Debug)]
pub(super) struct SizeLimits {
    request: usize,
    buffer: usize,
}

impl SizeLimits {
    /// The limits of a translated configuration.
    pub(super) fn of(config: &ClientConfig) -> Self {
        let number = |key: &str| {
            let value = config.get(key).and_then(|value| value.parse().ok());
            value.unwrap_or(usize::MAX)
        };
        Self {
            request: number("message.max.bytes"),
            buffer: number("queue.buffering.max.kbytes").saturating_mul(1024),
        }
    }

    /// Why the record is refused, if it is too large.
    pub(super) fn too_large(&self, record: &Outgoing<'_>) -> Option<Error> {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        // Far from the limits, as nearly all are, the exact size is of no interest.
        let about = length(record.key) + length(record.value);
        let limit = self.request.min(self.buffer);
        let few_headers = record.headers.is_none() || limit > HEADERS_COUNT_BELOW;
        if about < limit / 2 && few_headers {
            return None;
        }
        let size = serialized_size(record);
        let what = if size > self.request {
            format!(
                "{}, which is the value of the max.request.size configuration.",
                self.request
            )
        } else if size > self.buffer {
            "the total memory buffer you have configured with the buffer.memory configuration."
                .to_owned()
        } else {
            return None;
        };
        let text =
            format!("The message is {size} bytes when serialized which is larger than {what}");
        let class = "org.apache.kafka.common.errors.RecordTooLargeException";
        Some(Error::fatal(text).with_class(class))
    }
}

/// An upper bound of what a record takes in a batch of its own.
fn serialized_size(record: &Outgoing<'_>) -> usize {
    let field = |bytes: Option<&[u8]>| match bytes {
        None => 1,
        Some(bytes) => varint_length(bytes.len()) + bytes.len(),
    };
    let mut size = BATCH_OVERHEAD + RECORD_OVERHEAD + field(record.key) + field(record.value);
    let headers = record.headers.as_ref().map(|headers| &headers.0);
    size += varint_length(headers.map_or(0, |headers| headers.count()));
    for header in headers.into_iter().flat_map(|headers| headers.iter()) {
        size += field(Some(header.key.as_bytes())) + field(header.value);
    }
    size
}

/// The length of a length as Kafka writes it: zigzag, seven bits to a byte.
fn varint_length(value: usize) -> usize {
    let bits = usize::BITS - (value << 1).leading_zeros();
    usize::try_from(bits.div_ceil(7).max(1)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(value: &[u8]) -> Outgoing<'_> {
        Outgoing {
            topic: "t",
            partition: None,
            key: None,
            value: Some(value),
            timestamp: None,
            headers: None,
        }
    }

    fn limits(request: &str, buffer_kib: &str) -> SizeLimits {
        let mut config = ClientConfig::new();
        config.set("message.max.bytes", request);
        config.set("queue.buffering.max.kbytes", buffer_kib);
        SizeLimits::of(&config)
    }

    #[test]
    fn lengths_of_lengths_grow_by_seven_bits() {
        for (value, length) in [(0, 1), (63, 1), (64, 2), (8191, 2), (8192, 3), (1 << 20, 4)] {
            assert_eq!(varint_length(value), length, "{value}");
        }
    }

    #[test]
    fn a_record_is_refused_in_javas_words() {
        let value = vec![0; 3000];
        let told = |limits: SizeLimits| limits.too_large(&outgoing(&value));
        let error = told(limits("2000", "1024")).unwrap();
        assert_eq!(
            error.to_string(),
            "The message is 3086 bytes when serialized which is larger than 2000, which is the \
             value of the max.request.size configuration."
        );
        assert!(error.java_class().ends_with("RecordTooLargeException"));
        let headers = crate::kafka::producer::OutgoingHeaders::with_capacity(1);
        let mut small = outgoing(b"");
        small.headers = Some(headers.with("h", Some(&value)));
        assert!(limits("2000", "1024").too_large(&small).is_some());
        let error = told(limits("4000", "2")).unwrap().to_string();
        assert!(error.contains("total memory buffer"), "{error}");
        assert!(told(limits("3086", "4")).is_none());
        assert!(told(limits("3085", "4")).is_some());
    }
}
