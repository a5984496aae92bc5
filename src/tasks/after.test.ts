/** Tasks that wait for a response: when they start, and what of the request is gone by then. Real servers throughout. */

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { EventEmitter, once } from "node:events";
import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { connect } from "node:net";
import { test, type TestContext } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { fastify } from "fastify";
import { listen, type LoopbackServer } from "../../test/support/loopback.ts";
import { createContext, Registry } from "../core/index.ts";
import { Tasks, type TaskHandle, type TasksOptions } from "./index.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function makeTasks(t: TestContext, options: TasksOptions = {}): Tasks {
  const timer = setInterval(() => {}, 60_000);
  t.after(() => clearInterval(timer));
  return new Tasks({ registry: new Registry(), ...options });
}

type Handler = (req: IncomingMessage, res: ServerResponse) => void;

function serve(handler: Handler): Promise<LoopbackServer> {
  return listen(createServer(handler));
}

async function fetchText(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } });
  return response.text();
}

test("a task starts when its response has ended, and a client that waits has all of it by then", async (t) => {
  const tasks = makeTasks(t);
  const handles: TaskHandle[] = [];
  const log: string[] = [];
  await using server = await serve((_req, res) => {
    res.on("finish", () => log.push("finish"));
    handles.push(tasks.after(res, "audit", { timeout: "3s" }, () => void log.push("task")));
    log.push(handles[0]?.state ?? "");
    res.write("half");
    setTimeout(() => res.end("whole"), 30);
  });

  assert.equal(await fetchText(server.port), "halfwhole");

  const [handle] = handles;
  assert.equal((await handle?.done)?.outcome, "ok");
  assert.deepEqual(log, ["waiting", "finish", "task"]);
});

test("a task starts when the client leaves, unless it is only for answers that arrived", async (t) => {
  const tasks = makeTasks(t);
  const { promise, resolve } = Promise.withResolvers<TaskHandle[]>();
  await using server = await serve((_req, res) => {
    res.write("half of it");
    resolve([
      tasks.after(res, "always", undefined, () => {}),
      tasks.after(res, "if-delivered", { onlyIfDelivered: true }, () => assert.fail("it was not delivered")),
    ]);
  });
  const socket = connect(server.port, "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const [always, ifDelivered] = await promise;
  await once(socket, "data");
  assert.deepEqual([always?.state, ifDelivered?.state], ["waiting", "waiting"]);

  socket.destroy();

  assert.equal((await always?.done)?.outcome, "ok");
  assert.equal((await ifDelivered?.done)?.outcome, "skipped");
});

test("a task for a response that has ended already starts at once", async (t) => {
  const tasks = makeTasks(t);
  const { promise, resolve } = Promise.withResolvers<ServerResponse>();
  await using server = await serve((_req, res) => {
    res.on("close", () => resolve(res));
    res.end("done");
  });
  await fetchText(server.port);
  const res = await promise;

  const ends = [
    await tasks.after(res, "late", undefined, () => {}).done,
    await tasks.after(res, "late", { onlyIfDelivered: true }, () => {}).done,
  ];

  assert.deepEqual(
    ends.map(({ outcome }) => outcome),
    ["ok", "ok"],
  );
});

test("HTTP/2: a task starts at the end of its stream, and knows whether the answer arrived", async (t) => {
  const tasks = makeTasks(t);
  const handles = new Map<string, TaskHandle[]>();
  await using server = await listen(
    createHttp2Server((req, res) => {
      handles.set(req.url, [
        tasks.after(res, "always", undefined, () => {}),
        tasks.after(res, "if-delivered", { onlyIfDelivered: true }, () => {}),
      ]);
      res.write("half");
      if (req.url === "/whole") res.end("whole");
    }),
  );
  const session = connectHttp2(`http://127.0.0.1:${server.port}`);
  t.after(() => session.destroy());
  const whole = session.request({ ":path": "/whole" }).resume();
  await once(whole, "close");
  const cut = session.request({ ":path": "/cut" });
  await once(cut, "data");
  cut.close();

  const outcomes = async (path: string): Promise<unknown> =>
    Promise.all((handles.get(path) ?? []).map(async ({ done }) => (await done).outcome));

  assert.deepEqual(await outcomes("/whole"), ["ok", "ok"]);
  assert.deepEqual(await outcomes("/cut"), ["ok", "skipped"]);
});

test("a response that Fastify injects, without a connection, counts as delivered", async (t) => {
  const tasks = makeTasks(t);
  const app = fastify();
  const handles: TaskHandle[] = [];
  app.get("/", async (_req, reply) => {
    handles.push(tasks.after(reply.raw, "audit", { onlyIfDelivered: true }, () => {}));
    return "fine";
  });

  assert.equal((await app.inject("/")).body, "fine");

  assert.equal((await handles[0]?.done)?.outcome, "ok");
});

test("fifty tasks for one response make Node print no warning, and each runs once", async (t) => {
  const tasks = makeTasks(t);
  const warnings: Error[] = [];
  const warn = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warn);
  t.after(() => process.off("warning", warn));
  let runs = 0;
  await using server = await serve((_req, res) => {
    for (let index = 0; index < 50; index += 1) tasks.after(res, "many", undefined, () => (runs += 1));
    res.end();
  });

  await fetchText(server.port);
  while (tasks.stats().queued + tasks.stats().running + tasks.stats().waiting > 0) await nextTurn();
  await sleep(10);

  assert.equal(runs, 50);
  assert.deepEqual(warnings, []);
});

test("more tasks than maxWaiting that wait for their response are rejected", async (t) => {
  const tasks = makeTasks(t, { maxWaiting: 3 });
  class Response extends EventEmitter {
    writableEnded = false;
  }
  const responses = Array.from({ length: 5 }, () => new Response());

  const handles = responses.map((res) => tasks.after(res, "waiting", undefined, () => {}));

  assert.deepEqual(
    handles.map(({ state }) => state),
    ["waiting", "waiting", "waiting", "ended", "ended"],
  );
  for (const res of responses) res.emit("finish");
  const outcomes = await Promise.all(handles.map(async ({ done }) => (await done).outcome));
  assert.deepEqual(outcomes, ["ok", "ok", "ok", "rejected", "rejected"]);
});

test("what a task throws after the response neither crashes the process nor reaches the client", async (t) => {
  const errors: unknown[] = [];
  const tasks = makeTasks(t, { onError: (error) => void errors.push(error) });
  await using server = await serve((_req, res) => {
    tasks.after(res, "throws", undefined, async () => {
      await nextTurn();
      throw new Error("too late");
    });
    res.end("fine");
  });

  assert.equal(await fetchText(server.port), "fine");
  while (errors.length === 0) await nextTurn();
  assert.equal(await fetchText(server.port), "fine");
});

/** Answers once the references are gone, or after as many collections as it takes to be sure that they are not. */
async function countAlive(refs: readonly WeakRef<object>[]): Promise<number> {
  for (let attempt = 0; attempt < 30 && refs.some((ref) => ref.deref() !== undefined); attempt += 1) {
    await sleep(5);
    collectGarbage();
  }
  return refs.filter((ref) => ref.deref() !== undefined).length;
}

/** Here and not in a handler: a closure made there would share its scope, and hold the request by itself. */
const neverSettles = (): Promise<void> => {
  const never = new Promise<void>(() => {});
  // As whatever is to settle it one day would: a promise that nobody holds is collected with all that waits for it.
  nevers.push(never);
  return never;
};
const nevers: Promise<void>[] = [];

test("requests whose tasks never settle are not kept in memory, nor what was in their AsyncLocalStorage", async (t) => {
  const tasks = makeTasks(t, { drain: { grace: 10, abort: 20, stop: 10 }, timeout: "1h" });
  const storage = new AsyncLocalStorage<object>();
  const refs: WeakRef<object>[] = [];
  const handles: TaskHandle[] = [];
  const handle: Handler = (req, res) => {
    const store = { ballast: Buffer.alloc(1_024) };
    refs.push(new WeakRef(req), new WeakRef(res), new WeakRef(store));
    const request = createContext({ timeout: "10s" });
    refs.push(new WeakRef(request));
    storage.run(store, () =>
      request.run(() => {
        handles.push(tasks.after(res, "deaf", undefined, neverSettles));
        handles.push(tasks.run("deaf-too", undefined, neverSettles));
        handles.push(tasks.after(res, "short", undefined, () => {}));
      }),
    );
    res.end("x");
    request[Symbol.dispose]();
  };
  {
    await using server = await serve(handle);
    for (let index = 0; index < 20; index += 1) {
      const { promise, resolve } = Promise.withResolvers<void>();
      get({ port: server.port, agent: false }, (res) => res.resume().on("close", resolve));
      await promise;
    }
    while (tasks.stats().running < 40) await nextTurn();
  }
  // The HTTP parser of the last connection keeps its async frame until the next one uses it (nodejs/node#61882).
  {
    await using server = await serve((_req, res) => void res.end());
    for (let index = 0; index < 3; index += 1) await fetchText(server.port);
  }

  const alive = await countAlive(refs);

  assert.equal(tasks.stats().running, 40);
  assert.equal(refs.length, 80);
  assert.equal(alive, 0, `${alive} of 80 objects of 20 requests are still in memory`);
  assert.equal(handles.filter(({ state }) => state === "running").length, 40);
  await tasks.drain();
});
