package warren;

import com.rabbitmq.client.ConnectionFactory;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;

/**
 * Hear who comes and goes, with plain amqp-client. Each event is shown once, though the broker may bring it again.
 *
 * <pre>mvn -q compile exec:java -Dexec.mainClass=warren.Events -Dexec.args="amqp://guest:guest@localhost/%2F app.events client.connected"</pre>
 */
public final class Events {
    private Events() {}

    public static void main(String[] arguments) throws Exception {
        var factory = new ConnectionFactory();
        factory.setUri(arguments[0]);
        var connection = factory.newConnection("events"); // it connects again by itself
        var channel = connection.createChannel();
        // Durable: what happens while this program is away waits for it, up to a limit.
        Map<String, Object> limits = Map.of("x-queue-type", "quorum", "x-max-length", 100_000);
        channel.queueDeclare(arguments[1], true, false, false, limits);
        for (var key : Arrays.copyOfRange(arguments, 2, arguments.length)) {
            channel.queueBind(arguments[1], "warren.events", key);
        }
        channel.basicQos(100);
        var seen = remembered();
        channel.basicConsume(arguments[1], false, (tag, event) -> {
            if (seen.add(event.getProperties().getMessageId())) {
                var body = new String(event.getBody(), StandardCharsets.UTF_8);
                System.out.println(event.getEnvelope().getRoutingKey() + " " + body);
            }
            channel.basicAck(event.getEnvelope().getDeliveryTag(), false);
        }, tag -> System.exit(1)); // the queue was deleted
        System.out.println("listening");
        new CountDownLatch(1).await();
    }

    /** The last 10,000 ids. Keep them with what an event changes, in one transaction, where that must be exact. */
    private static Set<String> remembered() {
        return Collections.newSetFromMap(new LinkedHashMap<>() {
            @Override
            protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
                return size() > 10_000;
            }
        });
    }
}
