package warren;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.ConnectionFactory;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Notify a room, a user or a connection, with plain amqp-client.
 *
 * <pre>mvn -q compile exec:java -Dexec.mainClass=warren.Notify -Dexec.args="amqp://guest:guest@localhost/%2F room.default '{}'"</pre>
 */
public final class Notify {
    private Notify() {}

    public static void main(String[] arguments) throws Exception {
        var factory = new ConnectionFactory();
        // "/%2F": without it this library takes the virtual host without a name
        factory.setUri(arguments[0]);
        try (var connection = factory.newConnection("notify"); var channel = connection.createChannel()) {
            channel.confirmSelect();
            var isReturned = new AtomicBoolean();
            channel.addReturnListener(returned -> isReturned.set(true));
            // The id makes a repeat harmless: after an error, publish again under the same one.
            var properties = new AMQP.BasicProperties.Builder()
                    .contentType("application/json")
                    .type("NOTIFICATION")
                    .deliveryMode(2)
                    .messageId(UUID.randomUUID().toString())
                    .build();
            var body = arguments[2].getBytes(StandardCharsets.UTF_8);
            channel.basicPublish("warren.notify", arguments[1], true, properties, body);
            channel.waitForConfirmsOrDie(10_000);
            if (isReturned.get()) { // it comes before the confirm
                throw new IllegalStateException("nobody takes notifications");
            }
        }
    }
}
