// Puts records through Kafka's own transformations and prints what comes out, for the test
// transforms.rs: a case in JSON a line in, a line out.
//
//   {"chain": [{"type": "Cast$Value", ..., "predicate": {"type": "RecordIsTombstone"}, "negate": true}, ...],
//    "record": {"topic", "partition"?, "timestamp"?, "offset"? (a sink's record), "key", "value", "headers": [[name, data], ...]}}
//   data: {"schema": ..., "payload": ...}, {"plain": ...} or null
//
// A line out shows types as well as values; see `schema` and `value`.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.predicates.Predicate;

public class TransformHarness {
    static final ObjectMapper MAPPER = new ObjectMapper();
    static final JsonConverter ENVELOPES = converter(true);
    static final JsonConverter PLAIN = converter(false);

    static JsonConverter converter(boolean schemas) {
        JsonConverter converter = new JsonConverter();
        // A null in a record stays one.
        converter.configure(Map.of("schemas.enable", schemas, "replace.null.with.default", false), false);
        return converter;
    }

    static SchemaAndValue data(JsonNode node) throws Exception {
        if (node == null || node.isNull()) return SchemaAndValue.NULL;
        if (node.has("plain")) return PLAIN.toConnectData("t", MAPPER.writeValueAsBytes(node.get("plain")));
        return ENVELOPES.toConnectData("t", MAPPER.writeValueAsBytes(node));
    }

    static String quoted(Object text) {
        return "\"" + text.toString().replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\"";
    }

    static String hex(byte[] bytes) {
        StringBuilder out = new StringBuilder();
        for (byte b : bytes) out.append(String.format("%02x", b));
        return out.toString();
    }

    static String schema(Schema schema) {
        if (schema == null) return "none";
        StringBuilder out = new StringBuilder(schema.type().getName());
        if (schema.isOptional()) out.append('?');
        if (schema.name() != null) out.append(" name=").append(quoted(schema.name()));
        if (schema.version() != null) out.append(" version=").append(schema.version());
        if (schema.doc() != null) out.append(" doc=").append(quoted(schema.doc()));
        if (schema.parameters() != null)
            new TreeMap<>(schema.parameters()).forEach((k, v) -> out.append(" param ").append(quoted(k)).append('=').append(quoted(v)));
        if (schema.defaultValue() != null) out.append(" default=").append(value(schema.defaultValue()));
        switch (schema.type()) {
            case ARRAY: return out.append('<').append(schema(schema.valueSchema())).append('>').toString();
            case MAP: return out.append('<').append(schema(schema.keySchema())).append(',').append(schema(schema.valueSchema())).append('>').toString();
            case STRUCT: {
                out.append('<');
                for (Field field : schema.fields()) out.append(quoted(field.name())).append(':').append(schema(field.schema())).append(';');
                return out.append('>').toString();
            }
            default: return out.toString();
        }
    }

    static String value(Object value) {
        if (value == null) return "null";
        if (value instanceof Boolean) return value.toString();
        if (value instanceof Byte) return value + "b";
        if (value instanceof Short) return value + "s";
        if (value instanceof Integer) return value + "i";
        if (value instanceof Long) return value + "l";
        if (value instanceof Float) return String.format("%08xf", Float.floatToIntBits((Float) value));
        if (value instanceof Double) return String.format("%016xd", Double.doubleToLongBits((Double) value));
        if (value instanceof String) return quoted(value);
        if (value instanceof byte[]) return "x" + hex((byte[]) value);
        if (value instanceof ByteBuffer) return "x" + hex(((ByteBuffer) value).array());
        if (value instanceof BigDecimal) return ((BigDecimal) value).unscaledValue() + "e-" + ((BigDecimal) value).scale();
        if (value instanceof Date) return "at " + ((Date) value).getTime();
        StringBuilder out = new StringBuilder();
        if (value instanceof List) {
            out.append('[');
            for (Object item : (List<?>) value) out.append(value(item)).append(',');
            return out.append(']').toString();
        }
        if (value instanceof Map) {
            out.append('{');
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet())
                out.append(value(entry.getKey())).append(':').append(value(entry.getValue())).append(',');
            return out.append('}').toString();
        }
        if (value instanceof Struct) {
            Struct struct = (Struct) value;
            out.append('(');
            for (Field field : struct.schema().fields()) out.append(value(struct.getWithoutDefault(field.name()))).append(',');
            return out.append(')').toString();
        }
        return value.getClass().getName();
    }

    static String shown(Schema schema, Object value) {
        String text = schema(schema) + " " + value(value);
        if (value instanceof Struct && !schema.equals(((Struct) value).schema())) text += " of another schema";
        return text;
    }

    static String failure(String where, Throwable error) {
        String message = String.valueOf(error.getMessage()).replace("\n", "\\n");
        return where + " " + error.getClass().getName() + ": " + message;
    }

    @SuppressWarnings("rawtypes")
    static class Step {
        Transformation transformation;
        Predicate predicate;
        boolean negate;
    }

    @SuppressWarnings("unchecked")
    static <T> T make(String prefix, JsonNode type) throws Exception {
        String name = type.asText();
        return (T) Class.forName(name.contains(".") ? name : prefix + name).getDeclaredConstructor().newInstance();
    }

    static Map<String, String> options(JsonNode node) {
        Map<String, String> options = new HashMap<>();
        for (Iterator<Map.Entry<String, JsonNode>> entries = node.fields(); entries.hasNext(); ) {
            Map.Entry<String, JsonNode> entry = entries.next();
            if (entry.getValue().isObject() || entry.getKey().equals("negate")) continue;
            options.put(entry.getKey(), entry.getValue().isNull() ? null : entry.getValue().asText());
        }
        return options;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    static String run(JsonNode test) throws Exception {
        List<Step> steps = new ArrayList<>();
        for (JsonNode spec : test.get("chain")) {
            Step step = new Step();
            try {
                step.transformation = make("org.apache.kafka.connect.transforms.", spec.get("type"));
                step.transformation.configure(options(spec));
                if (spec.has("predicate")) {
                    JsonNode predicate = spec.get("predicate");
                    step.predicate = make("org.apache.kafka.connect.transforms.predicates.", predicate.get("type"));
                    step.predicate.configure(options(predicate));
                    step.negate = spec.path("negate").asBoolean();
                }
            } catch (Exception | StackOverflowError error) {
                return failure("configure", error);
            }
            steps.add(step);
        }
        JsonNode in = test.get("record");
        SchemaAndValue key = data(in.get("key")), value = data(in.get("value"));
        ConnectHeaders headers = new ConnectHeaders();
        for (JsonNode header : in.path("headers")) headers.add(header.get(0).asText(), data(header.get(1)));
        Integer partition = in.has("partition") ? in.get("partition").asInt() : null;
        Long timestamp = in.has("timestamp") ? in.get("timestamp").asLong() : null;
        String topic = in.get("topic").asText();
        ConnectRecord record = in.has("offset")
            ? new SinkRecord(topic, partition, key.schema(), key.value(), value.schema(), value.value(),
                in.get("offset").asLong(), timestamp, TimestampType.CREATE_TIME, headers)
            : new SourceRecord(null, null, topic, partition, key.schema(), key.value(), value.schema(), value.value(),
                timestamp, headers);
        try {
            for (Step step : steps) {
                if (step.predicate != null && step.predicate.test(record) == step.negate) continue;
                record = step.transformation.apply(record);
                if (record == null) return "dropped";
            }
        } catch (Exception | StackOverflowError error) {
            return failure("apply", error);
        }
        StringBuilder out = new StringBuilder();
        out.append(quoted(record.topic())).append(' ').append(record.kafkaPartition()).append(' ').append(record.timestamp());
        out.append(" key ").append(shown(record.keySchema(), record.key()));
        out.append(" value ").append(shown(record.valueSchema(), record.value()));
        for (Header header : (Iterable<Header>) record.headers())
            out.append(" header ").append(quoted(header.key())).append(' ').append(shown(header.schema(), header.value()));
        return out.toString();
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false, "UTF-8");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(run(MAPPER.readTree(line)));
            out.flush();
        }
        out.flush();
    }
}
