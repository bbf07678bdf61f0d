"""A client that is not ours: reads and writes Protobuf by confluent-kafka's serializers.

protobuf.py read URL TOPIC     lines of hex in, lines of JSON out
protobuf.py write URL TOPIC    lines of JSON in, lines of hex out

The message is shop.Item { int64 id; string name; double price; repeated string tags; Inner inner;
google.protobuf.Timestamp at }, with Inner { int32 q } inside it. Writing registers it as a serialized descriptor, as this client does.
"""
import json
import sys

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, timestamp_pb2

Field = descriptor_pb2.FieldDescriptorProto


def message_class():
    file = descriptor_pb2.FileDescriptorProto(name="item.proto", package="shop", syntax="proto3")
    item = file.message_type.add(name="Item")
    for number, (name, kind, label) in enumerate(
        [
            ("id", Field.TYPE_INT64, Field.LABEL_OPTIONAL),
            ("name", Field.TYPE_STRING, Field.LABEL_OPTIONAL),
            ("price", Field.TYPE_DOUBLE, Field.LABEL_OPTIONAL),
            ("tags", Field.TYPE_STRING, Field.LABEL_REPEATED),
            ("inner", Field.TYPE_MESSAGE, Field.LABEL_OPTIONAL),
            ("at", Field.TYPE_MESSAGE, Field.LABEL_OPTIONAL),
        ],
        start=1,
    ):
        field = item.field.add(name=name, number=number, type=kind, label=label)
        if kind == Field.TYPE_MESSAGE:
            field.type_name = {"inner": ".shop.Item.Inner", "at": ".google.protobuf.Timestamp"}[name]
    file.dependency.append("google/protobuf/timestamp.proto")
    inner = item.nested_type.add(name="Inner")
    inner.field.add(name="q", number=1, type=Field.TYPE_INT32, label=Field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Item"))


what, url, topic = sys.argv[1:4]
context = SerializationContext(topic, MessageField.VALUE)
Item = message_class()
if what == "read":
    # Without a registry: the client would ask it for a serialized form that only Confluent's has.
    read = ProtobufDeserializer(Item, {"use.deprecated.format": False})
    for line in sys.stdin:
        item = read(bytes.fromhex(line.strip()), context)
        print(json.dumps(json_format.MessageToDict(item), ensure_ascii=False))
else:
    client = SchemaRegistryClient({"url": url})
    write = ProtobufSerializer(Item, client, {"use.deprecated.format": False})
    for line in sys.stdin:
        print(write(json_format.ParseDict(json.loads(line), Item()), context).hex())
