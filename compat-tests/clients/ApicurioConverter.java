import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.storage.Converter;

/**
 * Apicurio's own Avro converter: a topic, a tab and a message in a line, a message out. Connect JSON
 * is written, and comes out as hex behind "0x"; hex is read, and comes out as Connect JSON.
 * Arguments: options as key=value.
 */
class ApicurioConverter {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> options = new HashMap<>();
        for (String argument : arguments) {
            String[] pair = argument.split("=", 2);
            options.put(pair[0], pair[1]);
        }
        Class<?> converters = Class.forName("io.apicurio.registry.utils.converter.AvroConverter");
        Converter avro = (Converter) converters.getDeclaredConstructor().newInstance();
        avro.configure(options, false);
        JsonConverter json = new JsonConverter();
        json.configure(Map.of("schemas.enable", "true", "replace.null.with.default", "false"), false);
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line; (line = in.readLine()) != null; ) {
            String topic = line.substring(0, line.indexOf('\t'));
            String message = line.substring(topic.length() + 1);
            try {
                if (message.startsWith("0x")) {
                    byte[] bytes = HexFormat.of().parseHex(message.substring(2));
                    SchemaAndValue data = avro.toConnectData(topic, new RecordHeaders(), bytes);
                    byte[] text = json.fromConnectData(topic, data.schema(), data.value());
                    out.println(new String(text, StandardCharsets.UTF_8));
                } else {
                    SchemaAndValue data =
                            json.toConnectData(topic, message.getBytes(StandardCharsets.UTF_8));
                    RecordHeaders headers = new RecordHeaders();
                    byte[] bytes = avro.fromConnectData(topic, headers, data.schema(), data.value());
                    out.println("0x" + HexFormat.of().formatHex(bytes));
                }
            } catch (RuntimeException error) {
                out.println("error: " + error);
            }
        }
        System.exit(0);
    }
}
