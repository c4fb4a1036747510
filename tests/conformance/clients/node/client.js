// A client on the npm package ws; see ../README.md for what it does. `node client.js URL [false|true|JSON of perMessageDeflate]`
import WebSocket from 'ws';

const [url, compression = 'true'] = process.argv.slice(2);
const text = 'warren '.repeat(15_000).slice(0, 100_000);
const seen = { extensions: '', subprotocol: '', ack: 0, chat: 0, pong: '', control: false, code: 0 };
const socket = new WebSocket(url, ['warren.v1'], { perMessageDeflate: JSON.parse(compression) });
const waiting = new Map();

const send = (message) => socket.send(JSON.stringify(message));
const until = (key) => new Promise((resolve) => waiting.set(key, resolve));
const came = (key) => {
  waiting.get(key)?.();
  waiting.delete(key);
};

socket.on('message', (data) => {
  const message = JSON.parse(data.toString());
  if (message.type === 'ACK') seen.ack += 1;
  if (message.type === 'PONG') seen.pong = message.ref;
  if (message.type === 'CHAT' && message.payload === text) seen.chat += 1;
  came(message.type);
});
socket.on('pong', () => {
  seen.control = true;
  came('control');
});
socket.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
socket.on('close', (code) => {
  seen.code = code;
  console.log(JSON.stringify(seen));
});

await until('WELCOME');
seen.extensions = socket.extensions;
seen.subprotocol = socket.protocol;
const joined = until('JOINED');
send({ type: 'JOIN', room: 'matrix', id: 'j' });
await joined;
for (const id of ['c1', 'c2']) {
  const both = Promise.all([until('ACK'), until('CHAT')]);
  send({ type: 'CHAT', room: 'matrix', payload: text, id, include_sender: true });
  await both;
}
const pongs = Promise.all([until('PONG'), until('control')]);
send({ type: 'PING', id: 'p' });
socket.ping();
await pongs;
socket.send('x'.repeat(300_000));
