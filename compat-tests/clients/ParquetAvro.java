import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.IndexedRecord;
import org.apache.parquet.avro.AvroParquetReader;
import org.apache.parquet.io.LocalInputFile;

/** The rows of a Parquet file as parquet-avro reads them, as lines of JSON; byte strings in hex. */
public class ParquetAvro {
    public static void main(String[] arguments) throws Exception {
        var input = new LocalInputFile(Path.of(arguments[0]));
        try (var reader = AvroParquetReader.<GenericRecord>builder(input).build()) {
            for (GenericRecord row = reader.read(); row != null; row = reader.read()) {
                System.out.println(json(row));
            }
        }
    }

    static String json(Object value) {
        if (value == null || value instanceof Number || value instanceof Boolean) return String.valueOf(value);
        if (value instanceof ByteBuffer bytes) {
            byte[] copy = new byte[bytes.remaining()];
            bytes.duplicate().get(copy);
            return quoted(HexFormat.of().formatHex(copy));
        }
        if (value instanceof GenericFixed fixed) return quoted(HexFormat.of().formatHex(fixed.bytes()));
        if (value instanceof IndexedRecord row) {
            return row.getSchema().getFields().stream()
                    .map(field -> quoted(field.name()) + ":" + json(row.get(field.pos())))
                    .collect(Collectors.joining(",", "{", "}"));
        }
        if (value instanceof List<?> items) {
            return items.stream().map(ParquetAvro::json).collect(Collectors.joining(",", "[", "]"));
        }
        if (value instanceof Map<?, ?> map) {
            var sorted = new TreeMap<String, Object>();
            map.forEach((key, item) -> sorted.put(key.toString(), item));
            return sorted.entrySet().stream()
                    .map(entry -> quoted(entry.getKey()) + ":" + json(entry.getValue()))
                    .collect(Collectors.joining(",", "{", "}"));
        }
        return quoted(value.toString());
    }

    static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"';
    }
}
