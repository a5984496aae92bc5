/** WebSockets by `ws`, on a guarded server and on one of Node's own. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createPlainServer, request, type Server } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { webSockets, type WebSocketConnection } from "sluice/adapters/ws";
import { context, Registry } from "sluice/core";
import { createServer } from "sluice/server";
import type { WebSocketsOptions } from "sluice/streams";
import { WebSocket, type ClientOptions } from "ws";
import { until } from "./support/patience.ts";

interface Setup extends WebSocketsOptions {
  readonly guarded?: boolean;
  readonly onConnection?: (connection: WebSocketConnection) => void;
}

function answer(_req: unknown, res: { readonly end: (text: string) => void }): void {
  res.end("plain\n");
}

async function serve({ guarded = false, onConnection, ...options }: Setup = {}) {
  const safe = guarded ? createServer({ registry: new Registry(), drain: { grace: "3s" } }, answer) : undefined;
  const server: Server = safe ?? createPlainServer(answer);
  const connections: WebSocketConnection[] = [];
  const sockets = webSockets(server, { registry: new Registry(), ...options }, (connection) => {
    connections.push(connection);
    onConnection?.(connection);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const clients: Client[] = [];
  return {
    server,
    safe,
    sockets,
    connections,
    port,
    async open(path = "/", more: ClientOptions & { readonly protocols?: string[] } = {}): Promise<Client> {
      const { protocols = [], ...rest } = more;
      const client = new Client(new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, rest));
      clients.push(client);
      await client.opened;
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.socket.terminate();
      if (safe === undefined) {
        const closed = once(server.close(), "close");
        server.closeAllConnections();
        await closed;
      } else await safe.drain();
    },
  };
}

/** A client, and what became of it. */
class Client {
  readonly socket: WebSocket;
  readonly messages: string[] = [];
  closed: { readonly code: number; readonly reason: string } | undefined;
  /** The status of a handshake that failed. */
  status: number | undefined;
  readonly opened: Promise<void>;

  constructor(socket: WebSocket) {
    this.socket = socket;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.opened = promise;
    socket.on("open", () => resolve());
    socket.on("error", () => resolve());
    socket.on("unexpected-response", (_req, res) => {
      this.status = res.statusCode ?? 0;
      res.resume();
      resolve();
    });
    socket.on("message", (data: Buffer) => this.messages.push(String(data)));
    socket.on("close", (code, reason: Buffer) => (this.closed = { code, reason: String(reason) }));
  }

  /** What is below the protocol. */
  get raw(): Socket {
    const raw: unknown = Reflect.get(this.socket, "_socket");
    assert.ok(raw !== null && typeof raw === "object" && "pause" in raw);
    return raw as Socket;
  }
}

/** Sends to a client that does not read until nothing moves any more. */
async function hold(connection: WebSocketConnection): Promise<void> {
  for (let looks = 0; looks < 5; looks += 1) {
    if (connection.bufferedBytes < 65_536) {
      connection.send("x".repeat(65_536));
      looks = 0;
    }
    await sleep(5);
  }
}

for (const guarded of [true, false]) {
  describe(guarded ? "on a guarded server" : "on a server of Node's own", () => {
    test("messages go both ways, and to all", async () => {
      await using made = await serve({
        guarded,
        onConnection: (connection) =>
          connection.socket.on("message", (data: Buffer) => connection.send(String(data).toUpperCase())),
      });
      const first = await made.open();
      const second = await made.open("/anything?else=1");

      first.socket.send("hello");
      await until(() => first.messages.length === 1);
      made.sockets.broadcast("to all");
      made.sockets.broadcast(new Uint8Array([1, 2, 3]));
      await until(() => second.messages.length === 2);

      assert.deepEqual(first.messages, ["HELLO", "to all", "\u0001\u0002\u0003"]);
      assert.deepEqual(second.messages, ["to all", "\u0001\u0002\u0003"]);
      assert.equal(made.sockets.stats().active, 2);
      assert.equal([...made.sockets].length, 2);
    });

    test("at a drain each is closed with 1001, and who comes then is refused", async () => {
      await using made = await serve({ guarded });
      const clients = await Promise.all(Array.from({ length: 10 }, () => made.open()));
      const [connection] = made.connections;
      assert.ok(connection !== undefined);

      const ctx = connection.context;
      const drained = made.safe === undefined ? made.sockets.drain() : made.safe.drain();
      await until(() => clients.every(({ closed }) => closed !== undefined));
      const report = await drained;

      assert.deepEqual(new Set(clients.map(({ closed }) => closed?.code)), new Set([1_001]));
      assert.equal(report.cut, 0);
      assert.equal((ctx.cause as { code?: string }).code, "ERR_SHUTTING_DOWN");
      assert.equal(made.sockets.stats().closed.drain, 10);
      if (guarded) return;
      const late = await made.open();
      assert.equal(late.status, 503);
    });

    test("a client that does not read is cut at the end of the grace", async () => {
      await using made = await serve({ guarded, drain: { grace: "300ms" }, maxBufferedBytes: "8mb" });
      const client = await made.open();
      const [connection] = made.connections;
      assert.ok(connection !== undefined);
      client.raw.pause();
      await hold(connection);
      const from = performance.now();

      await (made.safe === undefined ? made.sockets.drain() : made.safe.drain());

      const took = performance.now() - from;
      assert.ok(took >= 295 && took < 2_500, `${took} ms`);
      assert.deepEqual([connection.state, connection.closeReason], ["closed", "drain"]);
      assert.deepEqual([made.sockets.stats().active, made.sockets.stats().bufferedBytes], [0, 0]);
    });

    test("a client that leaves ends the context of its connection", async () => {
      const contexts: unknown[] = [];
      await using made = await serve({ guarded, onConnection: () => contexts.push(context()) });
      const client = await made.open();
      const [connection] = made.connections;
      assert.ok(connection !== undefined);
      const ctx = connection.context;

      client.socket.terminate();
      await until(() => ctx.done);

      assert.equal((ctx.cause as { code?: string }).code, "ERR_CLIENT_GONE");
      assert.equal(connection.send("late"), false);
      assert.equal(made.sockets.stats().closed.client, 1);
    });
  });
}

test("a reader that stops is closed with 1013 at its limit, and nothing more waits for it", async () => {
  await using made = await serve({ maxBufferedBytes: "512kb" });
  const client = await made.open();
  const [connection] = made.connections;
  assert.ok(connection !== undefined);
  client.raw.pause();

  let most = 0;
  for (let sent = 0; connection.state === "open" && sent < 2_000; sent += 1) {
    connection.send("x".repeat(32_768));
    most = Math.max(most, connection.bufferedBytes);
    await sleep(0);
  }

  assert.deepEqual([connection.state, connection.closeReason], ["ending", "overflow"]);
  assert.ok(most > 300_000 && most <= 524_288 + 65_536, `${most} bytes waited`);
  assert.equal(made.sockets.stats().bufferedBytes, 0);
  client.raw.resume();
  await until(() => client.closed !== undefined);
  assert.deepEqual(client.closed, { code: 1_013, reason: "too far behind" });
  await until(() => made.sockets.stats().active === 0);
  assert.equal(made.sockets.stats().closed.overflow, 1);
});

test("one that may miss the oldest gets the newest in order, and never more than the limit waits", async () => {
  await using made = await serve({ maxBufferedBytes: "512kb", overflow: "drop-oldest" });
  const client = await made.open();
  const [connection] = made.connections;
  assert.ok(connection !== undefined);
  client.raw.pause();

  for (let number = 0; number < 600; number += 1) {
    connection.send(`${number} ${"x".repeat(32_768)}`);
    assert.ok(connection.bufferedBytes <= 524_288 + 65_536, `${connection.bufferedBytes} bytes wait`);
    if (number % 20 === 0) await sleep(0);
  }
  client.raw.resume();
  await until(() => client.messages.at(-1)?.startsWith("599 ") === true);

  const numbers = client.messages.map((message) => Number.parseInt(message, 10));
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
  );
  assert.equal(numbers.at(-1), 599);
  assert.equal(made.sockets.stats().dropped.overflow, 600 - numbers.length);
  assert.ok(numbers.length < 600);
});

test("one that wants only the latest gets the latest of each key", async () => {
  await using made = await serve({ overflow: "latest-only" });
  const client = await made.open();
  const [connection] = made.connections;
  assert.ok(connection !== undefined);
  client.raw.pause();
  await hold(connection);

  for (let tick = 0; tick < 10_000; tick += 1) made.sockets.broadcast(String(tick), { key: `k${tick % 3}` });
  client.raw.resume();
  await until(() => client.messages.at(-1) === "9999");

  assert.deepEqual(
    client.messages.filter((message) => message.length < 10),
    ["9997", "9998", "9999"],
  );
});

test("ready waits for a slow reader", async () => {
  await using made = await serve();
  const client = await made.open();
  const [connection] = made.connections;
  assert.ok(connection !== undefined);
  client.raw.pause();
  let sent = 0;
  const produce = async (): Promise<void> => {
    while (await connection.ready()) {
      connection.send("x".repeat(65_536));
      sent += 1;
    }
  };
  const produced = produce();
  await until(() => connection.bufferedBytes >= 65_536);
  await sleep(50);
  const before = sent;
  await sleep(50);
  assert.equal(sent, before, "it goes on although nobody reads");

  client.raw.resume();
  await until(() => sent > before);
  client.socket.terminate();
  await produced;

  assert.ok(sent > before);
  assert.equal(connection.closeReason, "client");
});

test("a client that answers no ping is cut after two, and one that does stays", async () => {
  await using made = await serve({ heartbeat: "200ms" });
  const well = await made.open();
  const dead = await made.open("/", { autoPong: false });
  const [, connection] = made.connections;
  const from = performance.now();

  await until(() => connection?.state === "closed");
  const took = performance.now() - from;
  await until(() => dead.closed !== undefined);

  assert.equal(connection?.closeReason, "stalled");
  assert.ok(took >= 400, `after ${took} ms`);
  assert.equal(dead.closed?.code, 1_006);
  assert.equal(well.closed, undefined);
});

test("beyond the limit a client reads 1013, and a hundred at once later 503", async () => {
  await using made = await serve({ maxConns: 1 });
  await made.open();
  const second = await made.open();
  await until(() => second.closed !== undefined);
  assert.deepEqual(second.closed, { code: 1_013, reason: "try again later" });

  // None of these answers the close.
  const silent = Array.from({ length: 101 }, () => openRaw(made.port));
  const statuses = await Promise.all(silent.map(({ status }) => status));
  for (const { socket } of silent) socket.destroy();

  assert.equal(statuses.filter((status) => status === 101).length, 100);
  assert.equal(statuses.filter((status) => status === 503).length, 1);
  assert.equal(made.sockets.stats().rejected.limit, 102);
  assert.equal(made.connections.length, 1);
});

/** A handshake by hand, and its status. */
function openRaw(port: number, headers: readonly string[] = []) {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  const lines = [
    "GET / HTTP/1.1",
    `Host: 127.0.0.1:${port}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${Buffer.alloc(16, 1).toString("base64")}`,
    ...headers,
  ];
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  const status = once(socket, "data").then(([data]: Buffer[]) => Number(/^HTTP\/1\.1 (\d{3})/.exec(String(data))?.[1]));
  return { socket, status };
}

test("the limit of an address holds for that address", async () => {
  await using made = await serve({ maxConnsPerAddress: 1, addressOf: (req) => String(req.headers["x-user"]) });
  const open = (user: string): Promise<Client> => made.open("/", { headers: { "x-user": user } });
  await open("ada");
  const second = await open("ada");
  const other = await open("bob");
  await until(() => second.closed !== undefined);

  assert.equal(second.closed?.code, 1_013);
  assert.equal(other.closed, undefined);
  assert.equal(made.sockets.stats().rejected.address, 1);
});

test("a page of another origin may not connect, unless it is named", async () => {
  await using made = await serve();
  await using listed = await serve({ origins: ["https://shop.example"] });
  await using open = await serve({ origins: "any" });
  const status = async (to: Pick<typeof made, "open">, origin: string): Promise<number | undefined> =>
    (await to.open("/", { headers: { origin } })).status;

  assert.equal(await status(made, `http://127.0.0.1:${made.port}`), undefined);
  assert.equal(await status(made, "https://evil.example"), 403);
  assert.equal(await status(made, `http://127.0.0.1:${made.port + 1}`), 403);
  assert.equal(await status(made, "null"), 403);
  assert.equal(await status(listed, "https://shop.example"), undefined);
  assert.equal(await status(listed, "https://shop.example.evil.example"), 403);
  assert.equal(await status(open, "https://evil.example"), undefined);
  assert.equal(made.sockets.stats().rejected.origin, 3);
});

test("the first protocol that both speak is chosen, and without one there is no connection", async () => {
  await using made = await serve({ protocols: ["v2", "v1"] });
  const first = await made.open("/", { protocols: ["v3", "v1", "v2"] });
  const second = await made.open("/", { protocols: ["v3"] });
  const third = await made.open();

  assert.equal(first.socket.protocol, "v1");
  assert.equal(second.status, 400);
  assert.equal(third.socket.protocol, "");
  assert.equal(made.sockets.stats().rejected.handshake, 1);
});

test("each path has its own, another one is not found, and whoever else listens is left alone", async () => {
  await using made = await serve({ path: "/a" });
  const others = webSockets(made.server, { path: "/b", registry: new Registry() });
  const first = await made.open("/a?x=1");
  const second = await made.open("/b");
  const third = await made.open("/c");

  assert.equal(third.status, 404);
  assert.deepEqual([made.sockets.stats().active, others.stats().active], [1, 1]);
  assert.equal(made.sockets.stats().rejected.path, 1);
  assert.ok(first.status === undefined && second.status === undefined);
  let heard = 0;
  made.server.on("upgrade", (req, socket) => {
    if (req.url !== "/c") return;
    heard += 1;
    socket.end("HTTP/1.1 410 Gone\r\nConnection: close\r\n\r\n");
  });
  assert.equal((await made.open("/c")).status, 410);
  assert.equal(heard, 1);
});

test("a message that is too large closes its connection with 1009, and no other", async () => {
  await using made = await serve({ maxPayload: "10kb" });
  const small = await made.open();
  const large = await made.open();
  let bytes = 0;
  made.connections[0]?.socket.on("message", (data: Buffer) => (bytes = data.length));

  small.socket.send("x".repeat(10_240));
  large.socket.send("x".repeat(10_241));
  await until(() => large.closed !== undefined && bytes > 0);

  assert.equal(large.closed?.code, 1_009);
  assert.deepEqual([bytes, small.closed], [10_240, undefined]);
  assert.equal(made.connections[1]?.closeReason, "protocol");
});

test("what is no handshake is answered, and the server goes on", async () => {
  await using made = await serve();
  const ask = (headers: Readonly<Record<string, string>>): Promise<number | undefined> => {
    const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
    const req = request({ port: made.port, host: "127.0.0.1", headers: { connection: "upgrade", ...headers } }).end();
    req.on("response", (res) => {
      res.resume();
      resolve(res.statusCode);
    });
    req.on("error", reject);
    return promise;
  };

  assert.equal(await ask({ upgrade: "websocket" }), 400);
  assert.equal(await ask({ upgrade: "h2c" }), 400);
  assert.equal(made.sockets.stats().rejected.handshake, 2);
  const client = await made.open();
  assert.equal(client.status, undefined);
});

test("a client that answers no close is cut", async () => {
  await using made = await serve({ guarded: true });
  const { socket, status } = openRaw(made.port);
  assert.equal(await status, 101);
  await until(() => made.connections.length === 1);
  const [connection] = made.connections;
  const from = performance.now();

  connection?.close(1_000, "enough");
  await once(socket.resume(), "close");

  const took = performance.now() - from;
  assert.ok(took > 4_500 && took < 8_000, `${took} ms`);
  await until(() => made.sockets.stats().active === 0);
  assert.equal(made.sockets.stats().active, 0);
});
