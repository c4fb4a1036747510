/** A server of the event stream and POST in Node, whose gateway is the test itself: it keeps what comes and says what it is told. */
import { createServer } from "node:http";
import { once } from "node:events";

export class SseServer {
  streams = []; // {url, headers, response, secret, frames}: what was posted for it
  posts = []; // {connection, frames}
  refuse = null; // (request) ▶ [status, headers] for a request that is to be refused
  upgrades = 0;
  #server;

  static async start() {
    const server = new SseServer();
    server.#server = createServer((request, response) => server.#serve(request, response));
    server.#server.on("upgrade", (request, socket) => {
      server.upgrades++;
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    server.#server.listen(0, "127.0.0.1");
    await once(server.#server, "listening");
    return server;
  }

  get url() {
    return `ws://127.0.0.1:${this.#server.address().port}/ws`;
  }

  get last() {
    return this.streams.at(-1);
  }

  async stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #serve(request, response) {
    const url = new URL(request.url, "http://gateway");
    const refused = this.refuse?.(request, url);
    if (refused) return response.writeHead(refused[0], refused[1]).end();
    if (url.pathname === "/sse") return this.#stream(request, url, response);
    if (url.pathname === "/publish") return this.#post(request, url, response);
    response.writeHead(404).end();
  }

  #stream(request, url, response) {
    const n = this.streams.length + 1;
    const stream = { url, headers: request.headers, connection: `g1~${n}`, secret: `s${n}`, frames: [], isOver: false };
    stream.raw = (text) => response.write(text);
    stream.say = (frame) => response.write(`id: v\ndata: ${JSON.stringify(frame)}\n\n`);
    stream.welcome = (payload) =>
      stream.say({
        type: "WELCOME",
        payload: { connection: stream.connection, user: "ann", heartbeat_ms: 30_000, rooms: [], limits: {}, expires_at: null, post: stream.secret, ...payload },
      });
    stream.end = () => response.end();
    response.on("close", () => (stream.isOver = true));
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    response.flushHeaders();
    this.streams.push(stream);
    this.opened?.(stream);
  }

  async #post(request, url, response) {
    const connection = url.searchParams.get("connection");
    const stream = this.streams.find((each) => each.connection === connection);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (!stream || stream.isOver) return response.writeHead(410).end();
    if (request.headers.authorization !== `Bearer ${stream.secret}`) return response.writeHead(401).end();
    const frames = JSON.parse(Buffer.concat(chunks).toString());
    this.posts.push({ connection, frames });
    stream.frames.push(...frames);
    const answer = this.answers?.(frames);
    if (answer) return response.writeHead(answer[0], answer[1]).end();
    response.writeHead(202).end();
    for (const frame of frames) this.posted?.(stream, frame);
  }
}

/** Wait until `holds()`; fails after a long time. */
export async function until(holds, what) {
  for (let turn = 0; turn < 3_000; turn++) {
    if (holds()) return;
    await new Promise((then) => setTimeout(then, 5));
  }
  throw new Error(`never: ${what}`);
}
