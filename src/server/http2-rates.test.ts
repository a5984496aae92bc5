/** One stream of HTTP/2 that its client does not read, on a connection on which other things move. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Registry } from "../core/instruments.ts";
import { ca, serverCertificate } from "../../test/support/certificates.ts";
import { LagMeter } from "../../test/support/transport-checks.ts";
import { createServer } from "./server.ts";

const graceMs = 400;
const sizes: Readonly<Record<string, number>> = { "/big": 2 ** 26, "/small": 100, "/strings": 2 ** 20 };

async function start(t: TestContext) {
  const minResponseRate = { bytesPerSecond: 240, grace: graceMs };
  const registry = new Registry();
  const server = createServer({ registry, minResponseRate, tls: serverCertificate, http2: true }, (req, res) => {
    const size = sizes[req.url ?? ""] ?? 0;
    if (req.url === "/strings") {
      for (let sent = 0; sent < size; sent += 2 ** 18) res.write("é".repeat(2 ** 17));
      res.end();
    } else res.end(Buffer.alloc(size));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // It listens on TCP.
  const { port } = server.address() as AddressInfo;
  const session = connect(`https://127.0.0.1:${port}`, { ca, servername: "localhost" });
  session.on("error", () => undefined);
  t.after(async () => {
    session.destroy();
    await server.drain();
  });
  return { server, session };
}

function ask(session: ClientHttp2Session, path: string): ClientHttp2Stream {
  const stream = session.request({ ":path": path });
  return stream.on("error", () => undefined);
}

/** How long it takes until the stream closes; `Infinity` if it stays. */
async function closedAfter(stream: ClientHttp2Stream, withinMs: number): Promise<number> {
  const from = performance.now();
  const closed = new Promise((resolve) => stream.once("close", resolve));
  const first = await Promise.race([closed, sleep(withinMs, "late")]);
  return first === "late" ? Infinity : performance.now() - from;
}

async function assertCut(t: TestContext, meanwhile: (session: ClientHttp2Session) => Disposable): Promise<void> {
  const { server, session } = await start(t);
  using lag = new LagMeter();
  const stuck = ask(session, "/big").pause();
  await once(stuck, "response");
  using _busy = meanwhile(session);

  const tookMs = await closedAfter(stuck, 4 * graceMs + 2_000);

  assert.ok(tookMs < 2 * graceMs + 100 + lag.totalMs, `it took ${tookMs} ms`);
  assert.notEqual(stuck.rstCode, 0);
  assert.equal(server.stats().timeouts.write_rate, 1);
  assert.equal(session.destroyed, false, "its neighbours went with it");
  const small = ask(session, "/small").resume();
  const [headers] = await once(small, "response");
  assert.equal((headers as Record<string, unknown>)[":status"], 200);
}

function every(ms: number, fn: () => void): Disposable {
  const timer = setInterval(fn, ms);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

test("a stream that is not read is cut, though its session goes on sending PINGs", async (t) => {
  await assertCut(t, (session) => every(10, () => void session.ping(() => undefined)));
});

test("a stream that is not read is cut, though others of its session are answered", async (t) => {
  await assertCut(t, (session) => every(5, () => void ask(session, "/small").resume()));
});

test("a stream that is not read is cut, though another of its session is read as fast as can be", async (t) => {
  await assertCut(t, (session) => {
    let isOver = false;
    const read = (): void => {
      if (isOver || session.destroyed) return;
      ask(session, "/big").resume().on("close", read);
    };
    read();
    return { [Symbol.dispose]: () => (isOver = true) };
  });
});

test("a stream that is read slowly, and faster than it must, is not cut", async (t) => {
  const { server, session } = await start(t);
  const slow = ask(session, "/big").pause();
  await once(slow, "response");
  using _pings = every(10, () => void session.ping(() => undefined));
  let read = 0;
  using _reads = every(graceMs / 4, () => {
    for (let taken = 0; taken < 40_000;) {
      const chunk: unknown = slow.read();
      if (!(chunk instanceof Buffer)) return;
      taken += chunk.length;
      read += chunk.length;
    }
  });

  await sleep(6 * graceMs);

  assert.deepEqual([server.stats().timeouts.write_rate, slow.destroyed], [0, false]);
  // Slow beside the 64 MB of the whole. How large a piece `read` gives differs from one line of Node to the next.
  assert.ok(read > 100_000 && read < 8_000_000, `it read ${read} bytes`);
});

test("chunks large and small arrive in their order, whether or not the handler waits for a drain", async (t) => {
  const numbers = Buffer.from(Uint32Array.from({ length: 500_000 }, (_, index) => index).buffer);
  const lengths = [1, 10, 100_000, 16_384, 16_385, 3, 70_000, 200];
  const server = createServer({ registry: new Registry(), tls: serverCertificate, http2: true }, async (req, res) => {
    for (let at = 0, turn = 0; at < numbers.length; turn += 1) {
      const length = lengths[turn % lengths.length] ?? 1;
      const hasRoom = res.write(numbers.subarray(at, at + length));
      at += length;
      // oxlint-disable-next-line no-await-in-loop -- one chunk after the other
      if (req.url === "/waits" && !hasRoom) await once(res, "drain");
    }
    res.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // It listens on TCP.
  const { port } = server.address() as AddressInfo;
  const session = connect(`https://127.0.0.1:${port}`, { ca, servername: "localhost" });
  t.after(() => server.close());

  for (const path of ["/waits", "/pours"]) {
    const chunks: Buffer[] = [];
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    for await (const chunk of ask(session, path)) chunks.push(chunk as Buffer);
    assert.ok(Buffer.concat(chunks).equals(numbers), path);
  }
  session.close();
});

test("a large answer arrives whole, in one piece or in many, of bytes or of text", async (t) => {
  const { session } = await start(t);
  for (const path of ["/big", "/strings", "/small"]) {
    const stream = ask(session, path);
    let bytes = 0;
    let odd = 0;
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (path === "/strings") odd += chunk.reduce((sum, byte) => sum + (byte === 0xc3 || byte === 0xa9 ? 0 : 1), 0);
    });
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await once(stream, "close");
    assert.deepEqual([bytes, odd, stream.rstCode], [sizes[path], 0, 0], path);
  }
});
