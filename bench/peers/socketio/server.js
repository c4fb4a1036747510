// The peer Socket.IO: one node with the Redis adapter, its defaults, and WebSocket as the only transport.
// It accepts the events "join" (acknowledged) and "say", and sends "said" to the whole room, including the sender.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const { values } = parseArgs({ options: { port: { type: "string" }, redis: { type: "string" } } });

const publisher = createClient({ url: values.redis });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, { adapter: createAdapter(publisher, subscriber), transports: ["websocket"] });

io.on("connection", (socket) => {
  socket.on("join", async (room, acknowledge) => {
    await socket.join(room);
    acknowledge("joined");
  });
  socket.on("say", (room, body) => io.to(room).emit("said", body));
});

http.listen(Number(values.port), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
