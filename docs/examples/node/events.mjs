/**
 * Hear who comes and goes, with plain amqplib. Each event is shown once, though the broker may bring it again.
 *
 *     npm install && node events.mjs amqp://guest:guest@localhost/%2F app.events client.connected client.disconnected
 */
import amqp from "amqplib";

const REMEMBERED = 10_000; // ids. Keep them with what an event changes, in one transaction, where that must be exact.
const [url, queue, ...keys] = process.argv.slice(2);

const connection = await amqp.connect(url);
const channel = await connection.createChannel();
// Durable: what happens while this program is away waits for it, up to a limit.
await channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "quorum", "x-max-length": 100_000 } });
for (const key of keys) await channel.bindQueue(queue, "warren.events", key);
await channel.prefetch(100);
const seen = new Set();

await channel.consume(queue, (event) => {
  if (event === null) throw new Error("the queue was deleted");
  const { messageId } = event.properties;
  if (!seen.has(messageId)) {
    seen.add(messageId);
    console.log(`${event.fields.routingKey} ${event.content}`);
  }
  if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
  channel.ack(event);
});
console.log("listening");
