"""Random schemas and values through our converters and through confluent-kafka's serializers.

interop.py BINARY URL avro|json|protobuf SEED COUNT

Each way: what `ferroconnect convert` writes is read by the client, and what the client writes is read by
`ferroconnect convert`. Prints what differs and ends with 1, or prints how many values were compared.
"""
import base64
import datetime
import decimal
import json
import random
import subprocess
import sys

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.serialization import MessageField, SerializationContext

binary, url, language, seed, count = sys.argv[1:6]
rng = random.Random(f"{language}{seed}")
count = int(count)
client = SchemaRegistryClient({"url": url, "timeout": 60})
JSON = "org.apache.kafka.connect.json.JsonConverter"
CONNECT = "org.apache.kafka.connect.data."
CLASSES = {
    "avro": "io.confluent.connect.avro.AvroConverter",
    "json": "io.confluent.connect.json.JsonSchemaConverter",
    "protobuf": "io.confluent.connect.protobuf.ProtobufConverter",
}
BY_RECORD = "io.confluent.kafka.serializers.subject.RecordNameStrategy"
RUN = f"r{language}{seed}"
context = SerializationContext(f"interop-{language}-{seed}", MessageField.VALUE)
failures = []
compared = 0
names = 0


def fresh(kind):
    global names
    names += 1
    return f"{kind}{names}"


def convert(source, target, lines, *more):
    command = [binary, "convert", "--from", source, "--to", target, "--topic", context.topic, *more]
    done = subprocess.run(command, input="".join(f"{line}\n" for line in lines), capture_output=True, text=True)
    out = done.stdout.removesuffix("\n").split("\n")
    if len(out) != len(lines):
        sys.exit(f"{len(out)} lines for {len(lines)}: {done.stderr}")
    return out


def ours(**options):
    all_options = {"schema.registry.url": url, "value.subject.name.strategy": BY_RECORD, **options}
    return CLASSES[language] + "".join(f",{key}={value}" for key, value in all_options.items())


def same(what, schema, found, expected):
    global compared
    compared += 1
    if found != expected:
        failures.append(f"{what}\n schema   {json.dumps(schema)}\n found    {found}\n expected {expected}")


def text():
    return "".join(rng.choice("abcZ 09_\"\\\n\té😀\u2028") for _ in range(rng.randrange(8)))


def to_base64(raw):
    return base64.b64encode(raw).decode()


def unscaled(number):
    return number.to_bytes((number.bit_length() + 8) // 8, "big", signed=True)


# Connect data: a schema, and of a value its JSON form and what a client shows of it.

INTEGERS = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}


def connect_schema(depth, element=False):
    """`element`: inside an array or map, where Protobuf tells no null and takes no further array or map."""
    kinds = [*INTEGERS, "float", "double", "boolean", "string", "bytes", "Decimal", "Date", "Time", "Timestamp"] * 2
    if depth:
        kinds += ["struct"] * 2 + ([] if element and language == "protobuf" else ["map", "entries", "array", "array"])
    kind = rng.choice(kinds)
    schema = {"type": kind, "optional": rng.random() < 0.4 and not element}
    if kind in ("Decimal", "Date", "Time", "Timestamp"):
        schema |= {"type": {"Decimal": "bytes", "Timestamp": "int64"}.get(kind, "int32"), "name": CONNECT + kind, "version": 1}
        if kind == "Decimal":
            schema["parameters"] = {"scale": str(rng.randrange(6)), "connect.decimal.precision": "20"}
    elif kind == "array":
        schema["items"] = connect_schema(depth - 1, True)
    elif kind in ("map", "entries"):
        schema |= {"type": "map", "values": connect_schema(depth - 1, True), "name": f"{RUN}.{fresh('Map')}"}
        key = "string" if kind == "map" else rng.choice(["int32", "int64", "boolean"])
        schema["keys"] = {"type": key, "optional": False}
    elif kind == "struct":
        schema |= connect_struct(depth - 1)
    elif rng.random() < 0.2 and language != "protobuf":
        schema["default"] = connect_value(schema | {"optional": False})[0]
    return schema


def connect_struct(depth):
    fields = [connect_schema(depth) | {"field": f"f{index}"} for index in range(rng.randrange(1, 6))]
    return {"type": "struct", "name": f"{RUN}.{fresh('Rec')}", "fields": fields}


def connect_value(schema):
    """The JSON form, and what a client shows."""
    if schema["optional"] and rng.random() < 0.3:
        if "default" in schema:
            shown = connect_shown(schema, schema["default"])
            return None, shown
        return None, absent(schema)
    kind, logical = schema["type"], schema.get("name", "").removeprefix(CONNECT)
    if logical == "Decimal":
        number = rng.choice([0, 1, -1, rng.randrange(-(10**6), 10**6), rng.randrange(10**19)])
        value = to_base64(unscaled(number))
    elif logical == "Date":
        value = rng.randrange(-10_000, 40_000)
    elif logical == "Time":
        value = rng.randrange(86_400_000)
    elif logical == "Timestamp":
        value = rng.randrange(-(10**12), 4 * 10**12)
    elif kind in INTEGERS:
        value = rng.choice([0, 1, -1, 2 ** INTEGERS[kind] - 1, -(2 ** INTEGERS[kind])])
    elif kind == "float":
        value = rng.randrange(-(2**20), 2**20) / 8
    elif kind == "double":
        value = rng.choice([0.0, 1e300, -1e-300, rng.random()])
    elif kind == "boolean":
        value = rng.random() < 0.5
    elif kind == "string":
        value = text()
    elif kind == "bytes":
        value = to_base64(rng.randbytes(rng.randrange(5)))
    elif kind == "array":
        items = [connect_value(schema["items"]) for _ in range(rng.randrange(4))]
        return [item[0] for item in items], [item[1] for item in items]
    elif kind == "map":
        keys = {connect_value(schema["keys"])[0] for _ in range(rng.randrange(4))}
        pairs = [(key, connect_value(schema["values"])) for key in sorted(keys)]
        if schema["keys"]["type"] == "string" and language != "protobuf":
            return {key: item[0] for key, item in pairs}, {key: item[1] for key, item in pairs}
        shown = sorted(({"key": key, "value": item[1]} for key, item in pairs), key=str)
        if schema["keys"]["type"] == "string":
            return {key: item[0] for key, item in pairs}, shown
        return [[key, item[0]] for key, item in pairs], shown
    else:
        values = {field["field"]: connect_value(field) for field in schema["fields"]}
        return ({name: value[0] for name, value in values.items()}, {name: value[1] for name, value in values.items()})
    return value, connect_shown(schema, value)


OPTIONAL = False


def absent(schema):
    """What a client shows of a null."""
    if language != "protobuf" or OPTIONAL:
        return [] if language == "protobuf" and schema["type"] in ("array", "map") else None
    if schema.get("name", "").startswith(CONNECT) or schema["type"] == "struct":
        return None
    if schema["type"] in ("array", "map"):
        return []
    return {"string": "", "bytes": "", "boolean": False}.get(schema["type"], 0)


# How a client shows decimals: by their digits, as numbers of JSON, or as the text of their bytes.
DECIMALS = "digits"


def connect_shown(schema, value):
    if schema.get("name") == CONNECT + "Decimal" and DECIMALS != "bytes":
        number = int.from_bytes(base64.b64decode(value), "big", signed=True)
        number = decimal.Decimal(number).scaleb(-int(schema["parameters"]["scale"])).normalize() + 0
        return str(number) if DECIMALS == "digits" else float(number)
    return value


def ordered(shown):
    """Lists of a map's entries in one order: maps have none."""
    if isinstance(shown, dict):
        return {key: ordered(value) for key, value in shown.items()}
    if isinstance(shown, list):
        items = [ordered(item) for item in shown]
        entries = all(isinstance(item, dict) and set(item) == {"key", "value"} for item in items)
        return sorted(items, key=str) if entries else items
    return shown


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def plain(value):
    """A client's value as numbers, texts and lists."""
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // datetime.timedelta(milliseconds=1)
    if isinstance(value, datetime.date):
        return value.toordinal() - EPOCH.toordinal()
    if isinstance(value, datetime.time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1000 + value.microsecond // 1000
    if isinstance(value, decimal.Decimal):
        return str(value.normalize() + 0)
    if isinstance(value, bytes):
        return to_base64(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def written_by_us(read, options):
    schemas, lines, expected = [], [], []
    for _ in range(count):
        schema = connect_struct(3) | {"optional": False}
        for _ in range(3):
            value, shown = connect_value(schema)
            schemas.append(schema)
            lines.append(json.dumps({"schema": schema, "payload": value}))
            expected.append(shown)
    # Nulls with a default take it, as a source's would.
    hexes = convert(JSON, ours(**options), lines, "--to-hex")
    back = convert(ours(**options), f"{JSON},schemas.enable=true,replace.null.with.default=false", hexes, "--from-hex")
    for schema, line, shown, written, again in zip(schemas, lines, expected, hexes, back):
        if written.startswith("error"):
            failures.append(f"{written}\n of {line}")
            continue
        same(f"read by the client, {options}: {written}", schema, ordered(plain(read(bytes.fromhex(written)))), ordered(shown))
        if again.startswith("error"):
            failures.append(f"{again}\n of {line}")
        elif language != "protobuf":
            again = json.loads(again)
            same("back", schema, shape(again["schema"]), shape(schema))


def shape(schema):
    """A schema without what the registry adds."""
    schema = {key: value for key, value in schema.items() if key not in ("version", "default")}
    if "fields" in schema:
        schema["fields"] = [shape(field) for field in schema["fields"]]
    for part in ("items", "keys", "values"):
        if part in schema:
            schema[part] = shape(schema[part])
    return schema


def read_by_us(cases):
    """Cases: a schema to show, a message, the JSON that it is."""
    target = f"{JSON},schemas.enable=false,decimal.format=NUMERIC,replace.null.with.default=false"
    out = convert(ours(), target, [message.hex() for _, message, _ in cases], "--from-hex")
    for (schema, message, expected), line in zip(cases, out):
        found = line if line.startswith("error") else ordered(json.loads(line))
        same(f"written by the client: {message.hex()}", schema, found, ordered(expected))


# Avro


def avro_type(depth, branch=False):
    """A type, and a function to a random value for fastavro with its Connect JSON."""
    whole = lambda bits: rng.choice([0, 1, -1, 2**bits - 1, -(2**bits)])
    day = lambda: datetime.date(1970, 1, 1) + datetime.timedelta(days=rng.randrange(-1000, 30_000))
    kinds = ["boolean", "int", "long", "float", "double", "string", "bytes", "enum", "fixed", "date", "time-millis"]
    kinds += ["time-micros", "timestamp-millis", "timestamp-micros", "decimal", "fixed-decimal", "uuid", "int8"]
    if depth:
        kinds += ["array", "map", "record", "record"] + ([] if branch else ["nullable"] * 4 + ["union"] * 2)
    kind = rng.choice(kinds)
    if kind == "boolean":
        return kind, lambda: (flag := rng.random() < 0.5, flag)
    if kind in ("int", "long"):
        return kind, lambda: (number := whole(31 if kind == "int" else 63), number)
    if kind == "int8":
        return {"type": "int", "connect.type": "int8"}, lambda: (number := rng.randrange(-128, 128), number)
    if kind in ("float", "double"):
        return kind, lambda: (number := rng.randrange(-(2**20), 2**20) / 8, number)
    if kind == "string":
        return kind, lambda: (value := text(), value)
    if kind == "bytes":
        return kind, lambda: (value := rng.randbytes(rng.randrange(4)), to_base64(value))
    if kind == "uuid":
        return {"type": "string", "logicalType": "uuid"}, lambda: ("6a2f41a3-c54c-fce8-32d2-0324e1c32e22",) * 2
    if kind == "enum":
        symbols = ["A", "B", "C"]
        return {"type": "enum", "name": f"{RUN}.{fresh('E')}", "symbols": symbols}, lambda: (value := rng.choice(symbols), value)
    if kind == "fixed":
        return {"type": "fixed", "name": f"{RUN}.{fresh('F')}", "size": 3}, lambda: (value := rng.randbytes(3), to_base64(value))
    if kind == "date":
        return {"type": "int", "logicalType": "date"}, lambda: (value := day(), plain(value))
    if kind.startswith("time-"):
        base = "int" if kind == "time-millis" else "long"

        def value_of_time():
            value = datetime.time(rng.randrange(24), rng.randrange(60), rng.randrange(60), rng.randrange(1000) * 1000)
            return value, plain(value) * (1 if base == "int" else 1000)

        return {"type": base, "logicalType": kind}, value_of_time
    if kind.startswith("timestamp-"):

        def value_of_timestamp():
            ms = rng.randrange(-(10**12), 4 * 10**12)
            return EPOCH + datetime.timedelta(milliseconds=ms), ms * (1 if kind == "timestamp-millis" else 1000)

        return {"type": "long", "logicalType": kind}, value_of_timestamp
    if kind.endswith("decimal"):
        schema = {"type": "bytes"} if kind == "decimal" else {"type": "fixed", "name": f"{RUN}.{fresh('D')}", "size": 8}

        def value_of_decimal():
            value = decimal.Decimal(rng.randrange(-(10**9), 10**9)).scaleb(-3)
            return value, float(value)

        return schema | {"logicalType": "decimal", "precision": 12, "scale": 3}, value_of_decimal
    if kind == "array":
        items, value = avro_type(depth - 1)
        return {"type": "array", "items": items}, lambda: unzip([value() for _ in range(rng.randrange(4))])
    if kind == "map":
        values, value = avro_type(depth - 1)

        def value_of_map():
            pairs = {text(): value() for _ in range(rng.randrange(4))}
            return {key: pair[0] for key, pair in pairs.items()}, {key: pair[1] for key, pair in pairs.items()}

        return {"type": "map", "values": values}, value_of_map
    if kind == "record":
        return avro_record(depth - 1)
    if kind == "nullable":
        inner, value = avro_type(depth - 1, True)
        branches = rng.sample(["null", inner], 2)
        return branches, lambda: (None, None) if rng.random() < 0.3 else value()
    # Types that fastavro and Connect both tell apart by their values.
    some = ["boolean", "string", "long", "bytes"]
    rng.shuffle(some)
    chosen = some[: rng.randrange(2, 5)]
    values = {"boolean": True, "string": "s", "long": 7, "bytes": b"x"}

    def value_of_union():
        name = rng.choice(chosen)
        shown = dict.fromkeys(chosen) | {name: plain(values[name])}
        return values[name], shown

    return chosen, value_of_union


def unzip(pairs):
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def avro_record(depth):
    fields = [avro_type(depth) for _ in range(rng.randrange(1, 6))]
    schema = {
        "type": "record",
        "name": f"{RUN}.{fresh('A')}",
        "fields": [{"name": f"f{index}", "type": kind} for index, (kind, _) in enumerate(fields)],
    }

    def value():
        values = [value() for _, value in fields]
        both = [{f"f{index}": value[side] for index, value in enumerate(values)} for side in (0, 1)]
        return both[0], both[1]

    return schema, value


def avro():
    from confluent_kafka.schema_registry import record_subject_name_strategy
    from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer

    reader = AvroDeserializer(client, conf={"subject.name.strategy": record_subject_name_strategy})
    for options in [{}, {"enhanced.avro.schema.support": "true"}]:
        written_by_us(lambda message: reader(message, context), options)
    cases = []
    for _ in range(count):
        schema, value = avro_record(3)
        write = AvroSerializer(client, json.dumps(schema), conf={"subject.name.strategy": record_subject_name_strategy})
        for _ in range(3):
            data, shown = value()
            cases.append((schema, write(data, context), shown))
    read_by_us(cases)


# JSON Schema


def json_type(depth, branch=False):
    kinds = ["integer", "number", "boolean", "string", "enum"] + (["object", "array", "map"] if depth else [])
    kinds += [] if branch else ["nullable"]
    kind = rng.choice(kinds)
    if kind == "integer":
        return {"type": kind}, lambda: rng.choice([0, -1, 2**53, 2**31])
    if kind == "number":
        return {"type": kind}, lambda: rng.choice([0.5, -1e300, 1e-7, 3.25])
    if kind == "boolean":
        return {"type": kind}, lambda: rng.random() < 0.5
    if kind == "string":
        return {"type": kind}, text
    if kind == "enum":
        return {"type": "string", "enum": ["a", "b c", "é"]}, lambda: rng.choice(["a", "b c", "é"])
    if kind == "nullable":
        inner, value = json_type(0, True)
        return {"oneOf": [{"type": "null"}, inner]}, lambda: None if rng.random() < 0.4 else value()
    if kind == "array":
        items, value = json_type(depth - 1)
        return {"type": kind, "items": items}, lambda: [value() for _ in range(rng.randrange(3))]
    if kind == "map":
        values, value = json_type(depth - 1)
        shown = {"type": "object", "connect.type": "map", "additionalProperties": values}
        return shown, lambda: {text(): value() for _ in range(rng.randrange(3))}
    return json_object(depth - 1)


def json_object(depth):
    fields = {f"f{index}": json_type(depth) for index in range(rng.randrange(1, 6))}
    properties = {name: kind for name, (kind, _) in fields.items()}
    schema = {"type": "object", "title": f"{RUN}.{fresh('J')}", "properties": properties}
    return schema, lambda: {name: value() for name, (_, value) in fields.items()}


def json_schema():
    global DECIMALS
    from confluent_kafka.schema_registry import record_subject_name_strategy
    from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer

    def read(message):
        schema = client.get_schema(int.from_bytes(message[1:5], "big"))
        # Else it asks for associations, which this registry does not have and once did not answer.
        conf = {"subject.name.strategy": record_subject_name_strategy}
        return JSONDeserializer(schema, schema_registry_client=client, conf=conf)(message, context)

    for options in [{"decimal.format": "NUMERIC"}, {}, {"object.additional.properties": "false"}]:
        DECIMALS = "numbers" if options.get("decimal.format") else "bytes"
        written_by_us(read, options)
    cases = []
    for _ in range(count):
        schema, value = json_object(3)
        text = json.dumps({"$schema": "http://json-schema.org/draft-07/schema#"} | schema)
        write = JSONSerializer(text, client, conf={"subject.name.strategy": record_subject_name_strategy})
        for _ in range(3):
            data = value()
            cases.append((schema, write(data, context), data))
    read_by_us(cases)


# Protobuf

META = """syntax = "proto3"; package confluent; import "google/protobuf/descriptor.proto";
message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
extend google.protobuf.FieldOptions { Meta field_meta = 1088; }"""
DECIMAL = """syntax = "proto3"; package confluent.type;
message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }"""
DATE = """syntax = "proto3"; package google.type; message Date { int32 year = 1; int32 month = 2; int32 day = 3; }"""
TIME = """syntax = "proto3"; package google.type;
message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }"""


def compiled(folder, source):
    """The messages of a file, by protoc."""
    import pathlib

    import grpc_tools
    from google.protobuf import descriptor_pb2, descriptor_pool
    from grpc_tools import protoc

    folder = pathlib.Path(folder)
    # As the JVM's: what the field's options need is not imported.
    source = source.replace(";", '; import "confluent/meta.proto";', 1)
    files = {"confluent/meta.proto": META, "confluent/type/decimal.proto": DECIMAL}
    files |= {"google/type/date.proto": DATE, "google/type/timeofday.proto": TIME, "file.proto": source}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    out = folder / "out.bin"
    if protoc.main(["protoc", f"-I{folder}", f"-I{known}", "--include_imports", f"--descriptor_set_out={out}", "file.proto"]):
        sys.exit(f"protoc refuses\n{source}")
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
        pool.Add(file)
    return pool.FindFileByName("file.proto")


WRAPPED = ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")


def proto_plain(message):
    """A message as numbers, texts and lists."""
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        return message.seconds * 1000 + message.nanos // 1_000_000
    if name == "google.type.Date":
        return datetime.date(message.year, message.month, message.day).toordinal() - EPOCH.toordinal()
    if name == "google.type.TimeOfDay":
        return ((message.hours * 60 + message.minutes) * 60 + message.seconds) * 1000 + message.nanos // 1_000_000
    if name == "confluent.type.Decimal":
        number = decimal.Decimal(int.from_bytes(message.value, "big", signed=True))
        return str(number.scaleb(-message.scale).normalize() + 0)
    if name.startswith("google.protobuf.") and name.endswith("Value"):
        return plain(message.value)
    shown = {}
    for index, oneof in enumerate(message.DESCRIPTOR.oneofs):
        if any(field.name == oneof.name.removeprefix("_") for field in oneof.fields) and len(oneof.fields) == 1:
            continue
        chosen = message.WhichOneof(oneof.name)
        members = {field.name: None for field in oneof.fields}
        if chosen:
            members[chosen] = proto_field(message.DESCRIPTOR.fields_by_name[chosen], message)
        shown[f"{oneof.name}_{index}"] = members if chosen else None
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof and f"{oneof.name}_{oneof.index}" in shown:
            continue
        shown[field.name] = proto_field(field, message)
    return shown


def proto_field(field, message):
    value = getattr(message, field.name)
    if field.message_type and field.message_type.GetOptions().map_entry:
        of = field.message_type.fields_by_name["value"]
        items = {key: proto_single(of, item) for key, item in sorted(value.items())}
        text_keys = field.message_type.fields_by_name["key"].type == field.TYPE_STRING
        return items if text_keys else [[key, item] for key, item in items.items()]
    if field.is_repeated:
        return [proto_single(field, item) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return proto_single(field, value)


def proto_single(field, value):
    if field.message_type:
        return proto_plain(value)
    if field.enum_type:
        return field.enum_type.values_by_number[value].name
    return plain(value)


def proto_file():
    """A random file of one message, and a function that fills it."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2, wrappers_pb2

    Field = descriptor_pb2.FieldDescriptorProto
    package, name = RUN, fresh("P")
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=package, syntax="proto3")
    file.dependency.extend(["google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto"])
    scalars = [number for number in range(1, 19) if number not in (Field.TYPE_GROUP, Field.TYPE_MESSAGE, Field.TYPE_ENUM)]

    def fill_type(field, kinds, scope, message, depth):
        kind = rng.choice(kinds)
        if kind == "scalar":
            field.type = rng.choice(scalars)
        elif kind == "enum":
            enum = message.enum_type.add(name=fresh("E"))
            for number in range(3):
                enum.value.add(name=f"{enum.name}_{number}", number=number)
            field.type, field.type_name = Field.TYPE_ENUM, f".{scope}.{enum.name}"
        elif kind == "nested":
            field.type, field.type_name = Field.TYPE_MESSAGE, f".{scope}.{message_in(message.nested_type.add(), scope, depth - 1)}"
        else:
            field.type, field.type_name = Field.TYPE_MESSAGE, f".google.protobuf.{kind}"

    def message_in(message, scope, depth, name=None):
        message.name = name or fresh("M")
        scope = f"{scope}.{message.name}"
        kinds = ["scalar"] * 6 + ["enum", "Timestamp", *(f"{kind}Value" for kind in rng.sample(WRAPPED, 2))]
        kinds += ["nested"] * 3 if depth else []
        numbers = iter(rng.sample(range(1, 60), 40))
        new = lambda: message.field.add(name=fresh("f"), number=next(numbers), label=Field.LABEL_OPTIONAL)
        for _ in range(rng.randrange(1, 7)):
            field = new()
            fill_type(field, kinds, scope, message, depth)
            if rng.random() < 0.25:
                field.label = Field.LABEL_REPEATED
        if rng.random() < 0.4:
            field = new()
            entry = message.nested_type.add(name="".join(part.capitalize() for part in field.name.split("_")) + "Entry")
            entry.options.map_entry = True
            keys = [Field.TYPE_STRING, Field.TYPE_INT32, Field.TYPE_SINT64, Field.TYPE_BOOL]
            entry.field.add(name="key", number=1, label=Field.LABEL_OPTIONAL, type=rng.choice(keys))
            value = entry.field.add(name="value", number=2, label=Field.LABEL_OPTIONAL)
            fill_type(value, ["scalar", "Timestamp"] + (["nested"] if depth else []), scope, message, depth)
            field.label, field.type, field.type_name = Field.LABEL_REPEATED, Field.TYPE_MESSAGE, f".{scope}.{entry.name}"
        if rng.random() < 0.4:
            oneof = len(message.oneof_decl)
            message.oneof_decl.add(name=fresh("o"))
            for _ in range(rng.randrange(2, 4)):
                field = new()
                fill_type(field, kinds, scope, message, depth)
                field.oneof_index = oneof
        if rng.random() < 0.4:
            field = new()
            field.type, field.proto3_optional = rng.choice(scalars), True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")
        return message.name

    message_in(file.message_type.add(), package, 2, name)
    pool = descriptor_pool.DescriptorPool()
    for known in (timestamp_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return file, message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))


def proto_fill(message):
    for field in message.DESCRIPTOR.fields:
        if field.message_type and field.message_type.GetOptions().map_entry:
            of_key, of_value = (field.message_type.fields_by_name[part] for part in ("key", "value"))
            for _ in range(rng.randrange(3) if of_key.type == field.TYPE_STRING else rng.randrange(2)):
                key = proto_value(of_key)
                if of_value.message_type:
                    proto_fill(getattr(message, field.name)[key])
                else:
                    getattr(message, field.name)[key] = proto_value(of_value)
        elif rng.random() < 0.3:
            continue
        elif field.is_repeated and field.message_type:
            for _ in range(rng.randrange(3)):
                proto_fill(getattr(message, field.name).add())
        elif field.is_repeated:
            getattr(message, field.name).extend(proto_value(field) for _ in range(rng.randrange(4)))
        elif field.message_type:
            getattr(message, field.name).SetInParent()
            proto_fill(getattr(message, field.name))
        else:
            setattr(message, field.name, proto_value(field))
    if message.DESCRIPTOR.full_name == "google.protobuf.Timestamp":
        message.seconds, message.nanos = rng.randrange(-(10**9), 4 * 10**9), rng.randrange(1000) * 1_000_000


def proto_value(field):
    kind = field.cpp_type
    if kind in (field.CPPTYPE_INT32, field.CPPTYPE_INT64):
        bits = 31 if kind == field.CPPTYPE_INT32 else 63
        return rng.choice([0, 1, -1, 2**bits - 1, -(2**bits)])
    if kind in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64):
        return rng.choice([0, 1, 2**32 - 1])
    if kind in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
        return rng.choice([0.0, 1.5, -3.25])
    if kind == field.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if kind == field.CPPTYPE_ENUM:
        return rng.randrange(3)
    return rng.randbytes(3) if field.type == field.TYPE_BYTES else text()


def protobuf():
    global OPTIONAL
    import tempfile

    from confluent_kafka.schema_registry import record_subject_name_strategy
    from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
    from google.protobuf import message_factory

    classes = {}
    with tempfile.TemporaryDirectory() as folder:

        def read(message):
            number = int.from_bytes(message[1:5], "big")
            if number not in classes:
                file = compiled(folder, client.get_schema(number).schema_str)
                classes[number] = message_factory.GetMessageClass(next(iter(file.message_types_by_name.values())))
            if message[5]:
                sys.exit(f"not the first message: {message.hex()}")
            return proto_plain(classes[number].FromString(message[6:]))

        for option in (None, "optional.for.nullables", "wrapper.for.nullables"):
            OPTIONAL = option is not None
            written_by_us(read, {option: "true"} if option else {})
    cases = []
    for _ in range(count):
        file, message_class = proto_file()
        conf = {"use.deprecated.format": False, "subject.name.strategy": record_subject_name_strategy}
        write = ProtobufSerializer(message_class, client, conf)
        for _ in range(3):
            message = message_class()
            proto_fill(message)
            cases.append((str(file), write(message, context), proto_plain(message)))
    read_by_us(cases)


{"avro": avro, "json": json_schema, "protobuf": protobuf}[language]()
for failure in failures[:5]:
    print(failure)
if failures:
    sys.exit(f"{len(failures)} of {compared} differ")
print(compared, "values")
