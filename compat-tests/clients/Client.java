import java.util.HashMap;
import java.util.Map;
import org.sourcelab.kafka.connect.apiclient.Configuration;
import org.sourcelab.kafka.connect.apiclient.KafkaConnectClient;
import org.sourcelab.kafka.connect.apiclient.request.dto.ConnectorStatus;
import org.sourcelab.kafka.connect.apiclient.request.dto.NewConnectorDefinition;

/** A connector's life by kafka-connect-client, unchanged from Maven Central. */
public class Client {
    private static KafkaConnectClient connect;
    private static String name;

    public static void main(String[] arguments) throws Exception {
        connect = new KafkaConnectClient(new Configuration(arguments[0]));
        name = arguments[1];
        check(connect.getConnectServerVersion().getVersion().equals("4.3.1"), "version");
        connect.addConnector(NewConnectorDefinition.newBuilder()
            .withName(name)
            .withConfig("connector.class", "FileStreamSource")
            .withConfig("tasks.max", 1)
            .withConfig("file", arguments[2])
            .withConfig("topic", name)
            .build());
        await("RUNNING");
        check(connect.getConnectors().contains(name), "list");
        check(connect.getConnector(name).getConfig().get("topic").equals(name), "read");
        check(connect.getConnectorsWithAllExpandedMetadata() != null, "expand");
        check(connect.pauseConnector(name), "pause");
        await("PAUSED");
        check(connect.resumeConnector(name), "resume");
        await("RUNNING");
        check(connect.restartConnector(name), "restart");
        await("RUNNING");
        check(connect.restartConnectorTask(name, 0), "restart of a task");
        await("RUNNING");
        Map<String, String> config = new HashMap<>(connect.getConnectorConfig(name));
        config.put("batch.size", "7");
        connect.updateConnectorConfig(name, config);
        check(connect.getConnectorConfig(name).get("batch.size").equals("7"), "update");
        check(connect.deleteConnector(name), "delete");
        check(!connect.getConnectors().contains(name), "gone");
        System.out.println("done");
        System.exit(0);
    }

    private static void await(String state) throws InterruptedException {
        for (int i = 0; i < 300; i++) {
            try {
                ConnectorStatus status = connect.getConnectorStatus(name);
                if (status.getConnector().get("state").equals(state) && status.getTasks().size() == 1
                    && status.getTasks().get(0).getState().equals(state)) {
                    return;
                }
            } catch (RuntimeException notThereYet) {
                // Asked again below.
            }
            Thread.sleep(200);
        }
        throw new IllegalStateException(name + " is not " + state);
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }
}
