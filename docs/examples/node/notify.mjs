/**
 * Notify a room, a user or a connection, with plain amqplib.
 *
 *     npm install && node notify.mjs amqp://guest:guest@localhost/%2F room.default '{"text": "from the backend"}'
 */
import { randomUUID } from "node:crypto";
import amqp from "amqplib";

const [url, key, payload] = process.argv.slice(2);

const connection = await amqp.connect(url);
const channel = await connection.createConfirmChannel();
let isReturned = false;
channel.on("return", () => (isReturned = true));
// The id makes a repeat harmless: after an error, publish again under the same one.
const properties = { contentType: "application/json", type: "NOTIFICATION", persistent: true, messageId: randomUUID(), mandatory: true };
channel.publish("warren.notify", key, Buffer.from(payload), properties);
await channel.waitForConfirms();
if (isReturned) throw new Error("nobody takes notifications"); // it comes before the confirm
await connection.close();
