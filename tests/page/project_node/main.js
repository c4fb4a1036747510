/** A CommonJS program as a user of the package writes it: it says a word in a room, hears the answer, and tells what it saw. */
const { WebSocket } = require("ws");
const { WarrenClient, WarrenError } = require("warren-client");
const { sse } = require("warren-client/sse");

async function main() {
  const client = new WarrenClient(process.argv[2], { user: "program", transport: sse({ WebSocket }) });
  client.connect();
  const room = client.room("package");
  await room.joined;
  const ack = await room.send("CHAT", { text: "from the program" });
  const refused = await client.join("no room").catch((error) => error instanceof WarrenError && error.code);
  const [heard] = await Promise.all([room.once("CHAT"), console.log(JSON.stringify({ seq: ack.seq, refused }))]);
  console.log(JSON.stringify({ heard: heard.payload.text }));
  client.close();
}

main();
