/**
 * Answer what clients ask for, with plain amqplib: a service that says who has asked, and what.
 *
 *     npm install && node serve.mjs amqp://guest:guest@localhost/%2F echo
 *
 * Start it several times, and the processes share the requests.
 */
import amqp from "amqplib";

const [url, service] = process.argv.slice(2);

const connection = await amqp.connect(url);
const channel = await connection.createChannel();
const queue = `app.${service}`;
// When a hundred requests wait, further ones are refused: their clients are told "overloaded" at once.
const limits = { "x-queue-type": "quorum", "x-max-length": 100, "x-overflow": "reject-publish" };
await channel.assertQueue(queue, { durable: true, arguments: limits });
await channel.bindQueue(queue, "warren.rpc", service);
await channel.prefetch(16);

function answer(user, payload) {
  return { user, payload };
}

await channel.consume(queue, (asked) => {
  if (asked === null) throw new Error("the queue was deleted");
  const { replyTo, correlationId, headers } = asked.properties;
  const answered = answer(headers.user, JSON.parse(asked.content));
  // The answer goes to where the request says, under the request's correlation id.
  const properties = { correlationId, contentType: "application/json" };
  channel.publish("warren.replies", replyTo, Buffer.from(JSON.stringify(answered)), properties);
  // Last: if this process dies before, another one is given the request. So a request may come twice, always with the same message id.
  channel.ack(asked);
});
console.log(`serving ${service}`);
