// Runs Kafka's own assignors on inputs from stdin and prints what they hand out, for the test
// assignor.rs. It lives in Kafka's package because the assignors' entry points are package-private.
//
//   H <max delay>                                      a new leader
//   R <now> <last completed> <generation> <connectors> <member>...    a round
//   E <connectors> <member>...                         an eager round
// connectors: name:tasks,... or "-";  member: id=connector;...|connector/task;...
// Output per round: the delay, then id=<assignment in the bytes of the group protocol>.
package org.apache.kafka.connect.runtime.distributed;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.apache.kafka.common.message.JoinGroupResponseData.JoinGroupResponseMember;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.connect.storage.ClusterConfigState;
import org.apache.kafka.connect.util.ConnectorTaskId;

public class AssignorHarness {
    static final String LEADER = "leader";
    static final String URL = "http://leader:8083/";

    static class StandingClock implements Time {
        long now;
        public long milliseconds() { return now; }
        public long nanoseconds() { return now * 1_000_000; }
        public void sleep(long ms) { }
        public void waitObject(Object object, Supplier<Boolean> condition, long deadline) { }
        public <T> T waitForFuture(java.util.concurrent.Future<T> future, long deadline) { return null; }
    }

    static ClusterConfigState config(String text) {
        Map<String, Integer> counts = new HashMap<>();
        Map<String, Map<String, String>> configs = new HashMap<>();
        Map<ConnectorTaskId, Map<String, String>> tasks = new HashMap<>();
        if (!text.equals("-")) {
            for (String item : text.split(",")) {
                int colon = item.lastIndexOf(':');
                String name = item.substring(0, colon);
                int count = Integer.parseInt(item.substring(colon + 1));
                counts.put(name, count);
                configs.put(name, Map.of());
                for (int task = 0; task < count; task++)
                    tasks.put(new ConnectorTaskId(name, task), Map.of());
            }
        }
        return new ClusterConfigState(7, null, counts, configs, new HashMap<>(), tasks, new HashMap<>(),
            new HashMap<>(), new HashMap<>(), Collections.emptySet(), Collections.emptySet());
    }

    static Map<String, WorkerCoordinator.ConnectorsAndTasks> members(String[] words, int from) {
        Map<String, WorkerCoordinator.ConnectorsAndTasks> members = new HashMap<>();
        for (int i = from; i < words.length; i++) {
            String[] member = words[i].split("=", 2);
            String[] lists = member[1].split("\\|", -1);
            List<String> connectors = new ArrayList<>();
            List<ConnectorTaskId> tasks = new ArrayList<>();
            for (String name : lists[0].split(";"))
                if (!name.isEmpty()) connectors.add(name);
            for (String id : lists[1].split(";")) {
                if (id.isEmpty()) continue;
                int slash = id.lastIndexOf('/');
                tasks.add(new ConnectorTaskId(id.substring(0, slash), Integer.parseInt(id.substring(slash + 1))));
            }
            members.put(member[0], new WorkerCoordinator.ConnectorsAndTasks.Builder().with(connectors, tasks).build());
        }
        return members;
    }

    static String hex(ByteBuffer buffer) {
        StringBuilder text = new StringBuilder();
        while (buffer.hasRemaining()) text.append(String.format("%02x", buffer.get()));
        return text.toString();
    }

    static <T> Collection<T> of(Map<String, Collection<T>> map, String member) {
        return map.getOrDefault(member, Collections.emptyList());
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        StandingClock time = new StandingClock();
        IncrementalCooperativeAssignor assignor = null;
        Field unsafeField = Class.forName("sun.misc.Unsafe").getDeclaredField("theUnsafe");
        unsafeField.setAccessible(true);
        Object unsafe = unsafeField.get(null);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            StringBuilder answer = new StringBuilder();
            if (words[0].equals("H")) {
                assignor = new IncrementalCooperativeAssignor(new LogContext(), time, Integer.parseInt(words[1]));
                continue;
            } else if (words[0].equals("R")) {
                time.now = Long.parseLong(words[1]);
                Map<String, WorkerCoordinator.ConnectorsAndTasks> members = members(words, 5);
                IncrementalCooperativeAssignor.ClusterAssignment result = assignor.performTaskAssignment(
                    config(words[4]), Integer.parseInt(words[2]), Integer.parseInt(words[3]), members);
                answer.append(assignor.delay);
                for (String member : new TreeMap<>(members).keySet()) {
                    ExtendedAssignment assignment = new ExtendedAssignment((short) 2, (short) 0, LEADER, URL, 7,
                        of(result.newlyAssignedConnectors(), member), of(result.newlyAssignedTasks(), member),
                        result.newlyRevokedConnectors(member), result.newlyRevokedTasks(member), assignor.delay);
                    answer.append(' ').append(member).append('=')
                        .append(hex(IncrementalCooperativeConnectProtocol.serializeAssignment(assignment, true)));
                }
            } else {
                WorkerCoordinator coordinator = (WorkerCoordinator) unsafe.getClass()
                    .getMethod("allocateInstance", Class.class).invoke(unsafe, WorkerCoordinator.class);
                coordinator.configSnapshot(config(words[1]));
                List<JoinGroupResponseMember> joined = new ArrayList<>();
                for (String member : new TreeMap<>(members(words, 2)).keySet()) {
                    ExtendedWorkerState state = new ExtendedWorkerState(URL, 7, null);
                    joined.add(new JoinGroupResponseMember().setMemberId(member)
                        .setMetadata(ConnectProtocol.serializeMetadata(state).array()));
                }
                String leader = joined.get(0).memberId();
                Map<String, ByteBuffer> result = new EagerAssignor(new LogContext())
                    .performAssignment(leader, ConnectProtocolCompatibility.EAGER, joined, coordinator);
                answer.append(0);
                for (Map.Entry<String, ByteBuffer> entry : new TreeMap<>(result).entrySet())
                    answer.append(' ').append(entry.getKey()).append('=').append(hex(entry.getValue()));
            }
            out.println(answer);
        }
    }
}
