"""A client that is not ours: reads and writes Avro with confluent-kafka's serializers.

avro.py read URL TOPIC           lines of hex in, lines of JSON out
avro.py write URL TOPIC SCHEMA   lines of JSON in, lines of hex out
"""
import json
import sys

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

what, url, topic = sys.argv[1:4]
client = SchemaRegistryClient({"url": url})
context = SerializationContext(topic, MessageField.VALUE)
if what == "read":
    read = AvroDeserializer(client)
    for line in sys.stdin:
        print(json.dumps(read(bytes.fromhex(line.strip()), context), default=str))
else:
    write = AvroSerializer(client, sys.argv[4])
    for line in sys.stdin:
        print(write(json.loads(line), context).hex())
