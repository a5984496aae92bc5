// oxlint-disable no-await-in-loop -- the cases must run one after the other
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { Readable } from "node:stream";
import { test, type TestContext } from "node:test";
import { Dispatcher, FormData } from "undici";
import { expectsContinue, sendExpectContinue } from "./expect-continue.ts";

/** What a raw server does with one connection. `read(marker)` resolves with all that came once it includes `marker`. */
type Script = (peer: net.Socket, read: (marker: string) => Promise<string>) => Promise<void> | void;

interface Peer {
  readonly origin: string;
  readonly port: number;
  /** All bytes of the only connection. */
  received: () => string;
  /** Resolves when the connection is closed. */
  readonly closed: Promise<void>;
}

async function serveRaw(t: TestContext, script: Script): Promise<Peer> {
  let received = "";
  const closed = Promise.withResolvers<void>();
  const server = net.createServer((peer) => {
    peer.setEncoding("latin1");
    peer.on("data", (chunk: string) => (received += chunk));
    // A client that goes away resets the connection, and that is what some of these tests want.
    peer.on("error", () => peer.destroy());
    peer.on("close", () => closed.resolve());
    const read = async (marker: string): Promise<string> => {
      while (!received.includes(marker)) await once(peer, "data");
      return received;
    };
    void Promise.resolve(script(peer, read)).catch((error: unknown) => peer.destroy(error as Error));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as net.AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, port, received: () => received, closed: closed.promise };
}

/** Takes the place of the pool: dials for each request. */
class ExpectClient extends Dispatcher {
  readonly #port: number;
  readonly #timeoutMs: number;
  readonly #watch: ((event: string) => void) | undefined;
  readonly sockets: net.Socket[] = [];

  constructor(port: number, timeoutMs: number, watch?: (event: string) => void) {
    super();
    this.#port = port;
    this.#timeoutMs = timeoutMs;
    this.#watch = watch;
  }

  override dispatch(opts: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const socket = net.connect({ port: this.#port, host: "127.0.0.1" });
    this.sockets.push(socket);
    socket.once("connect", () => {
      const watch = this.#watch;
      if (watch !== undefined) {
        handler.onBodySent = (chunk) => watch(`body ${chunk.length}`);
        handler.onRequestSent = () => watch("sent");
        handler.onResponseStarted = () => watch("started");
      }
      sendExpectContinue(opts, handler, { socket, expectContinueTimeoutMs: this.#timeoutMs });
    });
    return true;
  }
}

interface Sending {
  readonly timeoutMs?: number;
  readonly watch?: (event: string) => void;
  readonly client?: ExpectClient;
}

async function send(
  peer: Peer,
  init: Partial<Dispatcher.RequestOptions>,
  { timeoutMs = 5_000, watch, client = new ExpectClient(peer.port, timeoutMs, watch) }: Sending = {},
): Promise<string> {
  const response = await client.request({ origin: peer.origin, path: "/upload", method: "PUT", ...init });
  return `${response.statusCode} ${await response.body.text()}`;
}

const agree = "HTTP/1.1 100 Continue\r\n\r\n";
const ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

test("the body follows only after the server has agreed", async (t) => {
  let beforeAgreement = "";
  const peer = await serveRaw(t, async (socket, read) => {
    await read("\r\n\r\n");
    await new Promise((resolve) => setTimeout(resolve, 50));
    beforeAgreement = await read("");
    socket.write(agree);
    await read("hello");
    socket.end(ok);
  });
  const events: string[] = [];
  assert.equal(await send(peer, { body: "hello" }, { watch: (event) => events.push(event) }), "200 ok");
  assert.ok(beforeAgreement.endsWith("\r\n\r\n"));
  assert.match(beforeAgreement, /^PUT \/upload HTTP\/1\.1\r\n/);
  assert.match(beforeAgreement, /\r\nexpect: 100-continue\r\n/i);
  assert.match(beforeAgreement, /\r\nconnection: close\r\n/i);
  assert.match(beforeAgreement, /\r\ncontent-length: 5\r\n/i);
  assert.match(beforeAgreement, new RegExp(`\r\nhost: 127\\.0\\.0\\.1:${peer.port}\r\n`, "i"));
  assert.deepEqual(events, ["body 5", "sent", "started"]);
});

async function* yieldSlowly(): AsyncGenerator<string> {
  yield "bö";
  await new Promise((resolve) => setTimeout(resolve, 5));
  yield "dy";
}

test("every kind of body arrives whole, with its length or in chunks", async (t) => {
  const bytes = Buffer.from("bödy");
  const known: Record<string, unknown> = {
    string: "bödy",
    buffer: bytes,
    view: new Uint8Array(Buffer.from("xbödyx")).subarray(1, 6),
    arrayBuffer: new Uint8Array(bytes).buffer,
    blob: new Blob(["bödy"]),
  };
  const unknown: Record<string, unknown> = {
    readable: Readable.from(["bö", "", "dy"]),
    array: ["bö", Buffer.from("dy")],
    webStream: new Blob(["bödy"]).stream(),
    asyncGenerator: yieldSlowly(),
  };
  for (const [name, body] of Object.entries({ ...known, ...unknown })) {
    const peer = await serveRaw(t, async (socket, read) => {
      await read("\r\n\r\n");
      socket.write(agree);
      await read(name in known ? bytes.toString("latin1") : "\r\n0\r\n\r\n");
      socket.end(ok);
    });
    assert.equal(await send(peer, { body: body as string }), "200 ok", name);
    const raw = peer.received();
    const head = raw.slice(0, raw.indexOf("\r\n\r\n"));
    const sent = raw.slice(head.length + 4);
    assert.match(head, name in known ? /content-length: 5/ : /transfer-encoding: chunked/, name);
    const content = name in known ? sent : sent.replaceAll(/[0-9a-f]\r\n([^\r]*)\r\n/g, "$1");
    assert.equal(Buffer.from(content, "latin1").toString(), "bödy", name);
  }
});

test("a request without a body expects nothing and does not wait", async (t) => {
  const peer = await serveRaw(t, async (socket, read) => {
    await read("\r\n\r\n");
    setTimeout(() => socket.end(ok), 20);
  });
  const events: string[] = [];
  assert.equal(await send(peer, { body: null }, { watch: (event) => events.push(event) }), "200 ok");
  assert.ok(!peer.received().includes("expect"));
  assert.deepEqual(events, ["sent", "started"]);
});

test("a form is sent with its boundary as the content type", async (t) => {
  const peer = await serveRaw(t, async (socket, read) => {
    await read("\r\n\r\n");
    socket.write(agree);
    await read("\r\n0\r\n\r\n");
    socket.end(ok);
  });
  const form = new FormData();
  form.set("field", "value");
  assert.equal(await send(peer, { body: form }), "200 ok");
  assert.match(peer.received(), /content-type: multipart\/form-data; boundary=/i);
  assert.match(peer.received(), /name="field"\r\n\r\nvalue/);
});

test("a final answer before the agreement keeps the body back and ends the connection", async (t) => {
  for (const status of [401, 417, 200]) {
    const peer = await serveRaw(t, async (socket, read) => {
      await read("\r\n\r\n");
      // The server leaves the connection open: it is the client that has to close it.
      socket.write(`HTTP/1.1 ${status} Early\r\ncontent-length: 2\r\n\r\nno`);
    });
    const stream = Readable.from(["secret"]);
    assert.equal(await send(peer, { body: stream }), `${status} no`);
    await peer.closed;
    assert.ok(peer.received().endsWith("\r\n\r\n"), peer.received());
    assert.ok(stream.destroyed);
  }
});

test("a server that says nothing gets the body after the timeout", async (t) => {
  const startedAt = performance.now();
  const peer = await serveRaw(t, async (socket, read) => {
    await read("hello");
    socket.end(ok);
  });
  assert.equal(await send(peer, { body: "hello" }, { timeoutMs: 100 }), "200 ok");
  assert.ok(performance.now() - startedAt >= 99);
});

test("an agreement that comes after the timeout does not send the body twice", async (t) => {
  const peer = await serveRaw(t, async (socket, read) => {
    await read("hello");
    socket.write(agree);
    await new Promise((resolve) => setTimeout(resolve, 30));
    socket.end(ok);
  });
  assert.equal(await send(peer, { body: "hello" }, { timeoutMs: 20 }), "200 ok");
  assert.equal(peer.received().split("hello").length, 2);
});

test("other informational answers reach the handler and do not release the body", async (t) => {
  const peer = await serveRaw(t, async (socket, read) => {
    await read("\r\n\r\n");
    socket.write("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
    await new Promise((resolve) => setTimeout(resolve, 30));
    socket.end(`HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n`);
  });
  const info: unknown[] = [];
  assert.equal(await send(peer, { body: "hello", onInfo: (given) => info.push(given) }), "403 ");
  assert.deepEqual(info, [{ statusCode: 103, headers: { link: "</a.css>" } }]);
  assert.ok(!peer.received().includes("hello"));
});

test("informational answers without end are cut off", async (t) => {
  const peer = await serveRaw(t, async (socket, read) => {
    await read("\r\n\r\n");
    const timer = setInterval(() => socket.write("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10)), 1);
    socket.on("close", () => clearInterval(timer));
  });
  await assert.rejects(send(peer, { body: "hello" }), { code: "UND_ERR_SOCKET", message: /64 informational/ });
  await peer.closed;
});

const answerAfter =
  (marker: string, answer: string): Script =>
  async (socket, read) => {
    await read("\r\n\r\n");
    socket.write(agree);
    await read(marker);
    socket.write(answer);
  };

test("an abort ends the exchange and the connection at every stage", async (t) => {
  const stages: Record<string, Script> = {
    "before the agreement": () => {},
    "while the body is sent": answerAfter("first", ""),
    "before the answer": answerAfter("0\r\n\r\n", ""),
    "within the answer": answerAfter("0\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"),
  };
  for (const [name, script] of Object.entries(stages)) {
    const peer = await serveRaw(t, script);
    const abort = new AbortController();
    const slow = name === "while the body is sent";
    const body = Readable.from(
      (async function* () {
        yield "first";
        if (slow) await new Promise((resolve) => setTimeout(resolve, 10_000).unref());
      })(),
    );
    const answer = send(peer, { body, signal: abort.signal });
    setTimeout(() => abort.abort(new Error(`abort ${name}`)), 100);
    await assert.rejects(answer, new RegExp(`abort ${name}`), name);
    await peer.closed;
    assert.ok(body.destroyed, name);
  }
});

test("a request that is aborted in its first moment writes nothing", async (t) => {
  const peer = await serveRaw(t, () => {});
  const socket = net.connect({ port: peer.port, host: "127.0.0.1" });
  await once(socket, "connect");
  const told: string[] = [];
  sendExpectContinue(
    { origin: peer.origin, path: "/", method: "PUT", body: "hello" },
    {
      onRequestStart: (controller) => controller.abort(new Error("no")),
      onResponseError: (_controller, error) => told.push(error.message),
    },
    { socket, expectContinueTimeoutMs: 10 },
  );
  await peer.closed;
  assert.deepEqual(told, ["no"]);
  assert.equal(peer.received(), "");
});

test("a body that is longer or shorter than its content-length fails, whatever its kind", async (t) => {
  for (const [length, body] of [
    ["4", "hello"],
    ["6", "hello"],
    ["4", Readable.from(["he", "llo"])],
    ["6", Readable.from(["he", "llo"])],
  ] as const) {
    const peer = await serveRaw(t, async (socket, read) => {
      await read("\r\n\r\n");
      socket.write(agree);
    });
    await assert.rejects(send(peer, { body, headers: { "content-length": length } }), {
      code: "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH",
    });
    await peer.closed;
  }
});

test("a stream that fails, before or after the agreement, fails the request with its error", async (t) => {
  for (const script of [(): void => {}, (socket: net.Socket): void => void socket.write(agree)]) {
    const peer = await serveRaw(t, script);
    const body = new Readable({ read: () => {} });
    setTimeout(() => body.destroy(new Error("disk gone")), 50);
    await assert.rejects(send(peer, { body }), /disk gone/);
    await peer.closed;
  }
});

test("a peer that closes or answers garbage gives the errors that undici's users know", async (t) => {
  const half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
  const upgrade = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
  // node:http lets it pass; taken for an interim answer, it would never be followed by another.
  const status = "HTTP/1.1 099 Odd\r\ncontent-length: 2\r\n\r\nok";
  for (const answer of ["", agree, half, upgrade, status, "SSH-2.0-OpenSSH\r\n"]) {
    const peer = await serveRaw(t, async (socket, read) => {
      await read("\r\n\r\n");
      socket.end(answer);
    });
    const garbage = answer === status ? "HPE_INVALID_STATUS" : "HPE_INVALID_CONSTANT";
    const code = answer === status || answer.startsWith("SSH") ? garbage : "UND_ERR_SOCKET";
    await assert.rejects(send(peer, { body: "hello" }), { code }, answer);
    await peer.closed;
  }
});

test("headers that cannot be sent are refused before anything is written", async (t) => {
  for (const headers of [
    { "x-bad": "a\r\nb: c" },
    { "x-bad": "a\0b" },
    { "bad name": "a" },
    { "transfer-encoding": "chunked" },
    { "content-length": "5, 5" },
    ["content-length", "5", "content-length", "5"],
  ]) {
    const peer = await serveRaw(t, () => {});
    await assert.rejects(send(peer, { body: "hello", headers }), { code: "UND_ERR_INVALID_ARG" });
    await peer.closed;
    assert.equal(peer.received(), "");
  }
});

test("a header given twice is sent as two lines, and the expectation once", async (t) => {
  const peer = await serveRaw(t, async (socket, read) => {
    await read("\r\n\r\n");
    socket.end("HTTP/1.1 204 No Content\r\n\r\n");
  });
  const headers = ["Expect", "100-continue", "X-One", "a", "X-One", "b", "host", "shop.test"];
  await send(peer, { body: "x", headers });
  const lines = peer.received().toLowerCase().split("\r\n");
  const kept = lines.filter((line) => /^(?:expect|x-one|host):/.test(line));
  assert.deepEqual(kept, ["x-one: a", "x-one: b", "host: shop.test", "expect: 100-continue"]);
});

test("a reader that pauses gets the whole answer later, though the server has long closed", async (t) => {
  const size = 3_000_000;
  const peer = await serveRaw(t, async (socket, read) => {
    await read("\r\n\r\n");
    socket.write(`${agree}HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n`);
    socket.end(Buffer.alloc(size));
  });
  const client = new ExpectClient(peer.port, 1_000);
  const response = await client.request({ origin: peer.origin, path: "/", method: "PUT", body: "x" });
  await new Promise((resolve) => setTimeout(resolve, 200));
  const before = client.sockets[0]?.bytesRead ?? 0;
  assert.ok(before < size, `${before} bytes were read ahead`);
  assert.deepEqual(response.headers["set-cookie"], ["a", "b"]);
  assert.equal((await response.body.bytes()).length, size);
});

test("a large body is written no faster than the server reads", async (t) => {
  let asked = 0;
  const peer = await serveRaw(t, async (socket, read) => {
    await read("\r\n\r\n");
    socket.write(agree);
    socket.pause();
    setTimeout(() => socket.resume(), 300);
    socket.on("data", (chunk: string) => {
      if (chunk.endsWith("\r\n0\r\n\r\n")) socket.end(ok);
    });
  });
  const body = (function* () {
    for (; asked < 400; asked++) yield Buffer.alloc(65_536);
  })();
  const answer = send(peer, { body: body as unknown as Readable });
  await new Promise((resolve) => setTimeout(resolve, 200));
  const early = asked;
  assert.equal(await answer, "200 ok");
  assert.ok(early < 400, `${early} of 400 chunks were taken while the server did not read`);
});

test("trailers arrive with the end", async (t) => {
  const peer = await serveRaw(t, async (socket, read) => {
    await read("\r\n\r\n");
    socket.end(`${agree}HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n`);
  });
  const client = new ExpectClient(peer.port, 1_000);
  const response = await client.request({ origin: peer.origin, path: "/", method: "PUT", body: "x" });
  await response.body.text();
  assert.deepEqual({ ...response.trailers }, { "x-sum": "7" });
});

test("a handler that throws ends the exchange with what it threw", async (t) => {
  const peer = await serveRaw(t, async (socket, read) => {
    await read("\r\n\r\n");
    socket.write(ok);
  });
  const socket = net.connect({ port: peer.port, host: "127.0.0.1" });
  await once(socket, "connect");
  const failed = Promise.withResolvers<Error>();
  sendExpectContinue(
    { origin: peer.origin, path: "/", method: "PUT", body: "hello" },
    {
      onResponseStart: () => {
        throw new Error("bad handler");
      },
      onResponseError: (_controller, error) => failed.resolve(error),
    },
    { socket, expectContinueTimeoutMs: 1_000 },
  );
  assert.equal((await failed.promise).message, "bad handler");
  await peer.closed;
});

test("only 100-continue counts as the expectation", () => {
  const opts = { path: "/", method: "PUT" } as const;
  assert.equal(expectsContinue({ ...opts, headers: { Expect: "100-Continue" } }), true);
  assert.equal(expectsContinue({ ...opts, headers: ["expect", "100-continue"] }), true);
  assert.equal(expectsContinue({ ...opts, headers: { expect: "tea" } }), false);
  assert.equal(expectsContinue(opts), false);
});
