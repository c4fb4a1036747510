// The do-it-yourself peer: `ws` on an HTTP server, and one Redis channel that every node subscribes to and relays to
// its own sockets of the room. It numbers nothing, keeps nothing and acknowledges nothing but JOIN.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { createClient } from "redis";
import { WebSocketServer } from "ws";

const { values } = parseArgs({ options: { port: { type: "string" }, redis: { type: "string" } } });
const CHANNEL = "chat";

const rooms = new Map();
const publisher = createClient({ url: values.redis });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

await subscriber.subscribe(CHANNEL, (text) => {
  for (const socket of rooms.get(JSON.parse(text).room) ?? []) {
    if (socket.readyState === socket.OPEN) socket.send(text);
  }
});

function join(socket, room) {
  if (!rooms.has(room)) rooms.set(room, new Set());
  rooms.get(room).add(socket);
  socket.rooms.add(room);
  socket.send(JSON.stringify({ type: "JOINED", room, timestamp: Date.now(), version: "1.0" }));
}

function leave(socket) {
  for (const room of socket.rooms) {
    rooms.get(room).delete(socket);
    if (rooms.get(room).size === 0) rooms.delete(room);
  }
}

function heard(socket, data) {
  let message;
  try {
    message = JSON.parse(data);
  } catch {
    socket.send(JSON.stringify({ type: "ERROR", payload: { message: "Invalid message format" }, version: "1.0" }));
    return;
  }
  if (message.type === "JOIN") join(socket, message.room);
  else publisher.publish(CHANNEL, JSON.stringify({ ...message, timestamp: Date.now(), version: "1.0" }));
}

const http = createServer();
const server = new WebSocketServer({ server: http, path: "/chat", maxPayload: 1024 * 1024 });
server.on("connection", (socket) => {
  socket.rooms = new Set();
  socket.alive = true;
  socket.on("pong", () => (socket.alive = true));
  socket.on("message", (data) => heard(socket, data));
  socket.on("close", () => leave(socket));
});
setInterval(() => {
  for (const socket of server.clients) {
    if (!socket.alive) socket.terminate();
    socket.alive = false;
    socket.ping();
  }
}, 30_000);

http.listen(Number(values.port), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
