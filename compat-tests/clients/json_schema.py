"""A client that is not ours: reads and writes JSON with JSON Schema by confluent-kafka's serializers.

json_schema.py read URL TOPIC           lines of hex in, lines of JSON out; the schema is the registry's
json_schema.py write URL TOPIC SCHEMA   lines of JSON in, lines of hex out
"""
import json
import sys

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

what, url, topic = sys.argv[1:4]
client = SchemaRegistryClient({"url": url})
context = SerializationContext(topic, MessageField.VALUE)
if what == "read":
    schema = client.get_latest_version(f"{topic}-value").schema
    read = JSONDeserializer(schema.schema_str, schema_registry_client=client)
    for line in sys.stdin:
        print(json.dumps(read(bytes.fromhex(line.strip()), context), ensure_ascii=False))
else:
    write = JSONSerializer(sys.argv[4], client)
    for line in sys.stdin:
        print(write(json.loads(line), context).hex())
