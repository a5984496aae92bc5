/** A request can be given up at every stage: it settles at once, and its connection is closed or kept, never lost. */

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertNothingLeft, blackhole, until } from "../../test/support/loopback.ts";
import { answer, holdingServer, rawServer } from "../../test/support/raw-server.ts";
import { ask, send, type Sent } from "../../test/support/send.ts";
import { assertQuiet, openTransport } from "../../test/support/transport-checks.ts";

afterEach(assertNothingLeft);

/** Aborts, and fails unless the handler hears of it, with the reason, in the same turn of the event loop. */
function abortNow(sent: Sent): void {
  const reason = sent.abort();
  assert.deepEqual({ ended: sent.ended, error: sent.error }, { ended: 1, error: reason });
}

test("given up in the queue, it leaves its place to the next", async () => {
  await using server = await holdingServer();
  await using transport = openTransport({ maxConnsPerHost: 1 });
  const { origin } = server;
  const first = ask(transport, { origin });
  await until(() => server.held.length === 1);
  const given = send(transport, { origin, path: "/given" });
  const next = ask(transport, { origin, path: "/next" });

  abortNow(given);
  assert.equal(transport.stats().waiting, 1);
  server.release();
  await first;
  await until(() => server.held.length === 1);
  server.release();
  await next;

  assert.deepEqual(
    server.requests.map(({ path }) => path),
    ["/", "/next"],
  );
  await assertQuiet(transport);
});

test("given up while a dial gets no answer, it settles at once; the dial ends with its own limit", async () => {
  await using hole = await blackhole();
  await using transport = openTransport({ dialTimeout: 60 });
  const given = send(transport, { origin: `http://127.0.0.1:${hole.port}` });
  await sleep(5);

  abortNow(given);

  assert.equal(transport.stats().waiting, 0);
  await assertQuiet(transport);
  assert.equal(transport.stats().timeouts.connect, 1);
});

test("given up in the callback that tells of its start, it never asks for a connection", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport();
  const reason = new Error("at once");
  const error = await new Promise<Error>((resolve) => {
    transport.dispatch(
      { origin: server.origin, path: "/", method: "GET" },
      {
        onRequestStart: (controller) => controller.abort(reason),
        onResponseStart() {},
        onResponseData() {},
        onResponseEnd() {},
        onResponseError: (_controller, given) => resolve(given),
      },
    );
  });

  assert.equal(error, reason);
  assert.equal(transport.stats().connecting, 0);
  await assertQuiet(transport);
  assert.equal(server.accepted, 0);
});

test("given up between the loan and the first byte, it is not sent", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport();
  for (const warm of [() => ask(transport, { origin: server.origin }), () => transport.prewarm(server.origin, 1)]) {
    await warm();
    assert.equal(transport.stats().idle, 1);
    const given = send(transport, { origin: server.origin, path: "/given" });
    assert.equal(transport.stats().inFlight, 1);

    abortNow(given);

    await assertQuiet(transport);
    await sleep(5);
  }
  assert.deepEqual(
    server.requests.map(({ path }) => path),
    ["/"],
  );
});

test("given up in mid-upload, its body is let go and its connection closed", async () => {
  await using server = await rawServer(() => {});
  await using transport = openTransport();
  let released = 0;
  const generator = (async function* () {
    try {
      for (;;) {
        yield Buffer.alloc(100);
        await sleep(1);
      }
    } finally {
      released += 1;
    }
  })();
  const stream = new Readable({ read: () => void setTimeout(() => stream.push("some"), 1) });
  stream.on("error", () => {});

  for (const body of [generator, stream]) {
    const given = send(transport, { origin: server.origin, method: "POST", body });
    await until(() => transport.stats().inFlight === 1);
    await sleep(10);
    abortNow(given);
    await assertQuiet(transport);
  }

  await until(() => released === 1 && server.connections.size === 0);
  assert.deepEqual(
    { released, destroyed: stream.destroyed, open: server.connections.size },
    {
      released: 1,
      destroyed: true,
      open: 0,
    },
  );
});

test("given up while it waits for the header, its connection is closed", async () => {
  await using server = await holdingServer();
  await using transport = openTransport();
  const given = send(transport, { origin: server.origin });
  await until(() => server.held.length === 1);

  abortNow(given);

  await assertQuiet(transport);
  await until(() => server.connections.size === 0);
  assert.deepEqual(
    { aborted: transport.stats().closed.aborted, open: server.connections.size },
    { aborted: 1, open: 0 },
  );
});

test("given up after an interim answer, its connection is closed", async () => {
  await using server = await rawServer((socket) => socket.write("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"));
  await using transport = openTransport();
  const given = send(transport, { origin: server.origin });
  await until(() => given.interim.length === 1);

  abortNow(given);

  await assertQuiet(transport);
  assert.equal(transport.stats().idle, 0);
});

test("a body given up before its end is read to it when it is short, and its connection kept", async () => {
  await using server = await rawServer((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n${"x".repeat(1_000)}`);
    setTimeout(() => socket.write("x".repeat(99_000)), 10);
  });
  await using transport = openTransport();

  for (const pauses of [false, true]) {
    const given = send(transport, { origin: server.origin, pauses });
    await given.header;
    abortNow(given);
    assert.equal(transport.stats().inUse, 1, "it is being read to its end");
    await assertQuiet(transport);
    assert.equal(transport.stats().idle, 1);
  }

  assert.equal(server.accepted, 1);
});

test("a body given up is not read for longer than 50 ms", async () => {
  await using server = await rawServer((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome"));
  await using transport = openTransport();
  const given = send(transport, { origin: server.origin });
  await given.header;
  const from = performance.now();

  abortNow(given);

  await until(() => transport.stats().inUse === 0);
  assert.ok(performance.now() - from >= 50);
  await assertQuiet(transport);
  assert.deepEqual(
    { idle: transport.stats().idle, aborted: transport.stats().closed.aborted },
    { idle: 0, aborted: 1 },
  );
});

test("a body given up is not read for more than 256 KiB", async () => {
  let written = 0;
  await using server = await rawServer((socket) => {
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n");
    const more = (): void => {
      while (!socket.destroyed && written < 100_000_000) {
        written += 65_536;
        if (!socket.write(Buffer.alloc(65_536))) return;
      }
    };
    socket.on("drain", more);
    more();
  });
  await using transport = openTransport();
  const given = send(transport, { origin: server.origin, pauses: true });
  await given.header;

  abortNow(given);

  await assertQuiet(transport);
  assert.equal(transport.stats().idle, 0);
  assert.ok(written < 40_000_000, `${written} bytes were sent`);
});

test("a body without a declared length is closed when it is given up", async () => {
  await using server = await rawServer((socket) => socket.write("HTTP/1.1 200 OK\r\n\r\npart"));
  await using transport = openTransport();
  for (const pauses of [false, true]) {
    const given = send(transport, { origin: server.origin, pauses });
    await given.header;
    abortNow(given);
    await assertQuiet(transport);
  }
  assert.equal(transport.stats().idle, 0);
});

test("abort in every callback of the answer ends it once", async () => {
  await using server = await rawServer((socket) => {
    socket.write(
      "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
  });
  await using transport = openTransport();
  const reason = new Error("given up");
  for (const at of ["interim", "header", "data", "end"]) {
    const heard: string[] = [];
    await new Promise<void>((resolve) => {
      transport.dispatch(
        { origin: server.origin, path: "/", method: "POST", body: "some" },
        {
          onRequestStart() {},
          onResponseStart(controller, status) {
            if (at === (status === 103 ? "interim" : "header")) controller.abort(reason);
          },
          onResponseData(controller) {
            if (at === "data") controller.abort(reason);
          },
          onResponseEnd(controller) {
            heard.push("end");
            if (at === "end") controller.abort(reason);
            resolve();
          },
          onResponseError(_controller, error) {
            heard.push(error === reason ? "reason" : error.message);
            resolve();
          },
        },
      );
    });
    await sleep(5);
    await assertQuiet(transport);
    assert.deepEqual([at, heard], [at, [at === "end" ? "end" : "reason"]]);
  }
});

test("a handler that throws fails its request, wherever it does, and leaves nothing in use", async () => {
  await using server = await rawServer((socket) => answer(socket));
  await using transport = openTransport();
  const thrown = new Error("a bug of the caller's");
  let at = "";
  const fail = (here: string): void => {
    if (here === at) throw thrown;
  };
  for (at of ["start", "sent", "started", "header", "data", "end"]) {
    const error = await new Promise<Error | undefined>((resolve) => {
      transport.dispatch(
        { origin: server.origin, path: "/", method: "GET" },
        {
          onRequestStart: () => fail("start"),
          onRequestSent: () => fail("sent"),
          onResponseStarted: () => fail("started"),
          onResponseStart: () => fail("header"),
          onResponseData: () => fail("data"),
          onResponseEnd: () => fail("end"),
          onResponseError: (_controller, given) => resolve(given),
        },
      );
    });
    assert.equal(error, thrown, at);
    await assertQuiet(transport);
  }
  assert.equal((await ask(transport, { origin: server.origin })).body, "ok");
});
