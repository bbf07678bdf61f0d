import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/**
 * Random pairs of schemas, a random message of the first, and what Avro's library reads of it in the
 * second. A line each: the writer's schema, the reader's, the message, the same in the reader's
 * schema or "!" and the error, and whether the library calls the two compatible; apart by tabs.
 */
class AvroResolution {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final List<String> PRIMITIVES =
            List.of("null", "boolean", "int", "long", "float", "double", "bytes", "string");

    private final Random random;
    private int names;

    AvroResolution(long seed) {
        random = new Random(seed);
    }

    public static void main(String[] arguments) throws Exception {
        long seed = Long.parseLong(arguments[0]);
        int count = Integer.parseInt(arguments[1]);
        for (int done = 0; done < count; seed++) {
            String line = new AvroResolution(seed).line();
            if (line != null) {
                System.out.println(line);
                done++;
            }
        }
    }

    private String line() throws Exception {
        JsonNode first = type(0, true);
        JsonNode second = evolved(first);
        Schema writer;
        Schema reader;
        try {
            writer = new Schema.Parser().parse(first.toString());
            reader = new Schema.Parser().parse(second.toString());
        } catch (RuntimeException invalid) {
            return null;
        }
        byte[] message = encoded(writer, datum(writer));
        String outcome;
        try {
            GenericDatumReader<Object> datums = new GenericDatumReader<>(writer, reader);
            Object read = datums.read(null, DecoderFactory.get().binaryDecoder(message, null));
            outcome = HexFormat.of().formatHex(encoded(reader, read));
        } catch (RuntimeException mismatch) {
            outcome = "!" + mismatch.getClass().getName();
        }
        boolean compatible =
                SchemaCompatibility.checkReaderWriterCompatibility(reader, writer).getType()
                        == SchemaCompatibility.SchemaCompatibilityType.COMPATIBLE;
        String hex = HexFormat.of().formatHex(message);
        return String.join(
                "\t", first.toString(), second.toString(), hex, outcome, String.valueOf(compatible));
    }

    private static byte[] encoded(Schema schema, Object datum) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(out, null);
        new GenericDatumWriter<>(schema).write(datum, encoder);
        encoder.flush();
        return out.toByteArray();
    }

    private boolean oneIn(int count) {
        return random.nextInt(count) == 0;
    }

    private JsonNode text(String value) {
        return JSON.getNodeFactory().textNode(value);
    }

    private String name(String kind) {
        return kind + names++;
    }

    /** A type, or a union if {@code union}; null is one of a union's only: Connect has no other. */
    private JsonNode type(int depth, boolean union) {
        if (depth > 3 || oneIn(2)) {
            int first = union ? 1 : 0;
            return text(PRIMITIVES.get(first + random.nextInt(PRIMITIVES.size() - first)));
        }
        ObjectNode type = JSON.createObjectNode();
        switch (random.nextInt(union ? 7 : 6)) {
            case 0:
                type.put("type", "array").set("items", type(depth + 1, true));
                return type;
            case 1:
                type.put("type", "map").set("values", type(depth + 1, true));
                return type;
            case 2:
                type.put("type", "enum").put("name", name("E"));
                ArrayNode symbols = type.putArray("symbols");
                for (int at = 0; at <= random.nextInt(4); at++) {
                    symbols.add("S" + at);
                }
                return type;
            case 3:
                type.put("type", "fixed").put("name", name("F")).put("size", random.nextInt(4));
                return type;
            case 4:
            case 5:
                type.put("type", "record").put("name", name("R"));
                ArrayNode fields = type.putArray("fields");
                int count = random.nextInt(5);
                for (int at = 0; at < count; at++) {
                    fields.addObject().put("name", "f" + at).set("type", type(depth + 1, true));
                }
                return type;
            default:
                ArrayNode branches = JSON.createArrayNode();
                branches.add(text("int"));
                for (int at = random.nextInt(3); at > 0; at--) {
                    branches.add(type(depth + 1, false));
                }
                return shuffled(branches);
        }
    }

    /** The next version of a schema, which fits more often than not. */
    private JsonNode evolved(JsonNode type) {
        if (!type.isArray() && oneIn(8)) {
            ArrayNode branches = JSON.createArrayNode();
            branches.add(evolved(type)).add(type(4, false));
            return shuffled(branches);
        }
        if (type.isTextual()) {
            if (type.asText().equals("null") || !oneIn(3)) {
                return type;
            }
            List<String> wider =
                    switch (type.asText()) {
                        case "int" -> List.of("long", "float", "double");
                        case "long" -> List.of("float", "double");
                        case "float" -> List.of("double");
                        case "string" -> List.of("bytes");
                        case "bytes" -> List.of("string");
                        default -> PRIMITIVES.subList(1, PRIMITIVES.size());
                    };
            return text(wider.get(random.nextInt(wider.size())));
        }
        if (type.isArray()) {
            if (type.size() == 1 && oneIn(2)) {
                return evolved(type.get(0));
            }
            ArrayNode branches = JSON.createArrayNode();
            for (JsonNode branch : type) {
                JsonNode next = evolved(branch);
                branches.add(next.isArray() ? branch : next);
            }
            return shuffled(branches);
        }
        ObjectNode next = type.deepCopy();
        if (next.has("name") && oneIn(6)) {
            String old = next.get("name").asText();
            next.put("name", name("N"));
            if (!oneIn(3)) {
                next.putArray("aliases").add(old);
            }
        }
        switch (type.get("type").asText()) {
            case "array":
                next.set("items", evolved(type.get("items")));
                break;
            case "map":
                next.set("values", evolved(type.get("values")));
                break;
            case "enum":
                ArrayNode symbols = shuffled((ArrayNode) next.get("symbols"));
                if (symbols.size() > 1 && oneIn(3)) {
                    symbols.remove(0);
                    if (oneIn(2)) {
                        next.put("default", symbols.get(0).asText());
                    }
                }
                next.set("symbols", symbols);
                break;
            case "record":
                next.set("fields", fields((ArrayNode) type.get("fields")));
                break;
            default:
                break;
        }
        return next;
    }

    private ArrayNode fields(ArrayNode fields) {
        ArrayNode next = JSON.createArrayNode();
        for (JsonNode field : fields) {
            if (oneIn(6)) {
                continue;
            }
            ObjectNode copy = JSON.createObjectNode();
            String old = field.get("name").asText();
            if (oneIn(6)) {
                copy.put("name", name("n"));
                copy.putArray("aliases").add("never").add(old);
            } else {
                copy.put("name", old);
            }
            copy.set("type", evolved(field.get("type")));
            next.add(copy);
        }
        if (oneIn(2)) {
            ObjectNode added = next.addObject();
            JsonNode type = type(2, true);
            added.put("name", name("a")).set("type", type);
            if (!oneIn(8)) {
                added.set("default", defaultOf(type));
            }
        }
        return oneIn(2) ? shuffled(next) : next;
    }

    private ArrayNode shuffled(ArrayNode nodes) {
        List<JsonNode> all = new ArrayList<>();
        nodes.forEach(all::add);
        Collections.shuffle(all, random);
        return JSON.createArrayNode().addAll(all);
    }

    private JsonNode defaultOf(JsonNode type) {
        if (type.isArray()) {
            return defaultOf(type.get(0));
        }
        String kind = type.isTextual() ? type.asText() : type.get("type").asText();
        ObjectNode object = JSON.createObjectNode();
        ArrayNode array = JSON.createArrayNode();
        return switch (kind) {
            case "null" -> JSON.getNodeFactory().nullNode();
            case "boolean" -> JSON.getNodeFactory().booleanNode(random.nextBoolean());
            case "int", "long" -> JSON.getNodeFactory().numberNode(random.nextInt());
            case "float", "double" -> JSON.getNodeFactory().numberNode(random.nextInt(9) / 4.0);
            case "bytes", "string" -> text(List.of("", "d\u00fc", "\u0001\u00ff").get(random.nextInt(3)));
            case "array" -> oneIn(2) ? array : array.add(defaultOf(type.get("items")));
            case "map" -> oneIn(2) ? object : object.set("k", defaultOf(type.get("values")));
            case "enum" -> type.get("symbols").get(0);
            case "fixed" -> text("\u00fe".repeat(type.get("size").asInt()));
            default -> {
                for (JsonNode field : type.get("fields")) {
                    object.set(field.get("name").asText(), defaultOf(field.get("type")));
                }
                yield object;
            }
        };
    }

    private Object datum(Schema schema) {
        switch (schema.getType()) {
            case NULL:
                return null;
            case BOOLEAN:
                return random.nextBoolean();
            case INT:
                return oneIn(2) ? random.nextInt(100) - 50 : random.nextInt();
            case LONG:
                return oneIn(2) ? random.nextInt(100) - 50L : random.nextLong();
            case FLOAT:
                return random.nextInt(1000) / 8f;
            case DOUBLE:
                return random.nextGaussian();
            case BYTES:
                return ByteBuffer.wrap("b\u00e4".repeat(random.nextInt(3)).getBytes(
                        java.nio.charset.StandardCharsets.UTF_8));
            case STRING:
                return "t\u20ac".repeat(random.nextInt(3));
            case FIXED:
                byte[] bytes = new byte[schema.getFixedSize()];
                random.nextBytes(bytes);
                return new GenericData.Fixed(schema, bytes);
            case ENUM:
                List<String> symbols = schema.getEnumSymbols();
                return new GenericData.EnumSymbol(schema, symbols.get(random.nextInt(symbols.size())));
            case ARRAY:
                List<Object> items = new ArrayList<>();
                for (int at = random.nextInt(3); at > 0; at--) {
                    items.add(datum(schema.getElementType()));
                }
                return items;
            case MAP:
                Map<String, Object> entries = new HashMap<>();
                for (int at = random.nextInt(3); at > 0; at--) {
                    entries.put("k" + at, datum(schema.getValueType()));
                }
                return entries;
            case UNION:
                return datum(schema.getTypes().get(random.nextInt(schema.getTypes().size())));
            default:
                GenericData.Record record = new GenericData.Record(schema);
                for (Schema.Field field : schema.getFields()) {
                    record.put(field.pos(), datum(field.schema()));
                }
                return record;
        }
    }
}
