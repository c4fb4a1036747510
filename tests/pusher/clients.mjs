// Clients on pusher-js and laravel-echo, and a backend on the server library for Node.js, all as they are. A test says by lines of JSON on
// stdin what they do; what comes of it, and what they are told, are lines of JSON on stdout.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.argv[2]}/package.json`);
const Pusher = require("pusher-js");
const Server = require("pusher");
const nacl = require("tweetnacl");
const { default: Echo } = await import(pathToFileURL(`${process.argv[2]}/node_modules/laravel-echo/dist/echo.js`));

const { appId, key, secret, apiPort, masterKey } = JSON.parse(process.argv[3]);
const server = new Server({ appId, key, secret, host: "127.0.0.1", port: String(apiPort), useTLS: false, encryptionMasterKeyBase64: masterKey });
const clients = new Map();
const tell = (told) => process.stdout.write(`${JSON.stringify(told)}\n`);

function connect({ name, port, user, info }) {
  const member = { user_id: user, user_info: info ?? { name } };
  const client = new Pusher(key, {
    wsHost: "127.0.0.1",
    wsPort: port,
    forceTLS: false,
    enabledTransports: ["ws"],
    cluster: "none",
    nacl,
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, then) =>
        then(null, server.authorizeChannel(socketId, channelName, channelName.startsWith("presence-") ? member : undefined)),
    },
    userAuthentication: {
      customHandler: ({ socketId }, then) => then(null, server.authenticateUser(socketId, { id: user, user_info: member.user_info })),
    },
  });
  clients.set(name, client);
  client.connection.bind("state_change", ({ current }) => tell({ name, state: current, socketId: client.connection.socket_id }));
  client.connection.bind("error", (error) => tell({ name, error: error?.data ?? String(error) }));
  client.bind_global((event, data) => tell({ name, event, data }));
  client.user.bind_global((event, data) => tell({ name, own: event, data }));
  return client;
}

const members = (channel) => Object.keys(channel.members.members).sort();
const commands = {
  connect: (said) => void connect(said),
  async subscribe({ name, channel }) {
    const subscribed = clients.get(name).subscribe(channel);
    const told = (event) => new Promise((then) => subscribed.bind(event, then));
    if (channel.includes("-encrypted-")) subscribed.bind_global((event, data) => tell({ name, opened: event, data }));
    for (const event of ["pusher:member_added", "pusher:member_removed"])
      subscribed.bind(event, ({ id, info }) => tell({ name, channel, event, id, info }));
    await Promise.race([
      told("pusher:subscription_succeeded"),
      told("pusher:subscription_error").then((error) => Promise.reject(new Error(JSON.stringify(error)))),
    ]);
    return channel.startsWith("presence-") ? { me: subscribed.members.me, members: members(subscribed) } : {};
  },
  unsubscribe: ({ name, channel }) => clients.get(name).unsubscribe(channel),
  members: ({ name, channel }) => members(clients.get(name).channel(channel)),
  say: ({ name, channel, event, data }) => clients.get(name).channel(channel).trigger(event, data),
  signIn: ({ name }) => clients.get(name).signin(),
  disconnect: ({ name }) => clients.get(name).disconnect(),
  // the backend
  trigger: async ({ channels, event, data, socketId }) =>
    (await server.trigger(channels, event, data, socketId ? { socket_id: socketId } : {})).status,
  triggerBatch: async ({ batch }) => (await server.triggerBatch(batch)).status,
  sendToUser: async ({ user, event, data }) => (await server.sendToUser(user, event, data)).status,
  terminate: async ({ user }) => (await server.terminateUserConnections(user)).status,
  get: async ({ path, params }) => (await server.get({ path, params })).json(),
  webhook: ({ headers, body }) => {
    const webhook = server.webhook({ headers, rawBody: body });
    return { valid: webhook.isValid(), events: webhook.isValid() ? webhook.getEvents() : [] };
  },
  // laravel-echo on one of the clients
  echo({ name, channel, event, whisper }) {
    const echo = new Echo({ broadcaster: "pusher", client: clients.get(name) });
    const joined = channel.startsWith("presence-") ? echo.join(channel.slice(9)) : echo.private(channel.slice(8));
    const heard = (kind) => (data) => tell({ name, echo: kind, data });
    joined.listen(event, heard("listen")).listenForWhisper(whisper, heard("whisper")).error(heard("error"));
    if (channel.startsWith("presence-")) joined.here(heard("here")).joining(heard("joining")).leaving(heard("leaving"));
    clients.set(`${name}/echo`, joined);
    return new Promise((then) => joined.subscribed(() => then({})));
  },
  whisper: ({ name, event, data }) => void clients.get(`${name}/echo`).whisper(event, data),
};

createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const { id, command, ...said } = JSON.parse(line);
    try {
      tell({ id, result: (await commands[command](said)) ?? null });
    } catch (error) {
      tell({ id, failed: `${error.message} ${error.status ?? ""} ${error.body ?? ""}` });
    }
  })
  .on("close", () => process.exit(0));
