/** Part of the contract of `framework-contract.ts`: limits, and what is answered when a handler or a client goes wrong. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { context } from "sluice/core";
import { controller } from "sluice/server";
import type { Open, RawExchange, Stage } from "./framework-contract.ts";
import { until } from "./loopback.ts";

const octets = { "content-type": "application/octet-stream" };
const json = { "content-type": "application/json" };

async function answers(open: Open): Promise<void> {
  await using stage = await open();
  const caller = stage.call();
  const item = await caller.ask("/items/7");
  assert.deepEqual([item.status, item.body], [200, "item 7"]);
  const name = await caller.ask("/json", { body: '{"name":"mug"}', headers: json });
  assert.deepEqual([name.status, name.body], [200, "mug"]);
  assert.equal((await caller.ask("/nowhere")).status, 404);
  const head = await caller.ask("/items/7", { method: "HEAD" });
  assert.deepEqual([head.status, head.body], [200, ""]);
  assert.equal(caller.opened, 1);

  const requests = stage.registry.collect().find(({ name: family }) => family === "http_server_requests_total");
  const routes = requests?.samples.map(({ labels: [, route, method, status] }) => [route, method, status].join(" "));
  assert.deepEqual(
    routes?.toSorted(),
    ["/items/:id GET 200", "/items/:id HEAD 200", "/json POST 200", " GET 404"].toSorted(),
  );
}

async function failsLikeTheFramework(open: Open): Promise<void> {
  await using stage = await open({
    answer: ({ req }) => {
      if (req.headers["x-fail"] === "later") return sleep(1).then(() => Promise.reject(new Error("a late mistake")));
      throw new Error("a mistake");
    },
  });
  const caller = stage.call();
  for (const fail of ["at once", "later"]) {
    // oxlint-disable-next-line no-await-in-loop -- on one connection
    const { status, body } = await caller.ask("/work", { headers: { "x-fail": fail } });
    assert.equal(status, 500);
    assert.match(body, stage.framework.failure);
  }
  assert.equal((await caller.ask("/items/7")).body, "item 7");
  assert.equal(caller.opened, 1);
}

async function refusesGarbage(open: Open): Promise<void> {
  await using stage = await open();
  for (const before of ["", "GET /items/7 HTTP/1.1\r\nHost: x\r\n\r\n"]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const socket = await stage.socket();
    const got = text(socket);
    socket.write(before);
    // oxlint-disable-next-line no-await-in-loop -- the answer comes first
    if (before !== "") await once(socket, "readable");
    socket.write("not a request\r\n\r\n");
    // Who sends more than is read must not lose the answer to a reset.
    socket.write("x".repeat(3_000_000));
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    assert.match(await got, before === "" ? /^HTTP\/1\.1 400 / : /^HTTP\/1\.1 200 [^]*item 7HTTP\/1\.1 400 /);
  }
  assert.equal(stage.app.guarded.stats().badRequests, 2);
  assert.equal((await stage.call().ask("/items/7")).body, "item 7");
}

/** What a handler may do after its time is over. */
const lateHandlers: Readonly<Record<string, (raw: RawExchange) => string>> = {
  answers: () => "too late",
  throws: () => {
    throw new Error("too late");
  },
  "throws at whoever reads": ({ req }) => {
    req.destroy(new Error("too late"));
    return "too late";
  },
  "writes to the response": ({ res }) => {
    res.setHeader("x-late", "1");
    Readable.from(["too ", "late"]).pipe(res);
    return "too late";
  },
  "destroys all that it has": ({ req, res }) => {
    res.destroy();
    req.socket.destroy();
    return "too late";
  },
};

async function answersForLateHandlers(open: Open): Promise<void> {
  for (const [what, finish] of Object.entries(lateHandlers)) {
    const gates: Record<string, PromiseWithResolvers<string>> = {
      first: Promise.withResolvers(),
      second: Promise.withResolvers(),
    };
    const started: string[] = [];
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await using stage = await open(
      {
        answer: async (raw) => {
          const turn = String(raw.req.headers["x-turn"]);
          started.push(turn);
          const answer = await gates[turn]?.promise;
          return turn === "first" ? finish(raw) : (answer ?? "");
        },
      },
      { handlerTimeout: 150 },
    );
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await playLateHandler(stage, gates, started);
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await until(() => stage.app.guarded.stats().inFlight === 0);
    assert.equal(stage.app.guarded.stats().timeouts.handler, 1, what);
  }
}

/** The first handler ends while the second one works on the same connection. */
async function playLateHandler(
  stage: Stage,
  gates: Record<string, PromiseWithResolvers<string>>,
  started: readonly string[],
): Promise<void> {
  const caller = stage.call();
  const first = await caller.ask("/work", { headers: { "x-turn": "first" } });
  assert.equal(first.status, 503);
  assert.equal(first.headers["retry-after"], "1");
  const second = caller.ask("/work", { headers: { "x-turn": "second" } });
  await until(() => started.length === 2);
  gates["first"]?.resolve("");
  await sleep(20);
  gates["second"]?.resolve("in time");

  assert.deepEqual([(await second).status, (await second).body], [200, "in time"]);
  assert.equal((await caller.ask("/items/7")).body, "item 7");
  assert.equal(caller.opened, 1, "the connection of a handler that was late is not kept");
}

async function refusesAnnouncedBodies(open: Open): Promise<void> {
  const names: unknown[] = [];
  await using stage = await open({ name: (name) => String(names.push(name)) }, { maxBodyBytes: 1_000 });
  const caller = stage.call();
  const body = JSON.stringify({ name: "x".repeat(2_000) });
  const { status } = await caller.ask("/json", { body, headers: { ...json, "content-length": body.length } });
  assert.equal(status, 413);
  assert.equal((await caller.ask("/json", { body: '{"name":1}', headers: json })).status, 200);
  assert.deepEqual(names, [1]);
}

async function refusesGrowingBodies(open: Open): Promise<void> {
  const names: unknown[] = [];
  await using stage = await open({ name: (name) => String(names.push(name)) }, { maxBodyBytes: 1_000 });
  const sending = stage.call().send("/json", { method: "POST", headers: json });
  const { body } = sending;
  body.on("error", () => undefined);
  // The piece in the middle is too much; without it the rest would be a body again.
  for (const piece of ['{"name":', " ".repeat(2_000), "1}"]) {
    body.write(piece);
    // oxlint-disable-next-line no-await-in-loop -- each is a piece of its own
    await sleep(10);
  }
  body.end();
  assert.equal((await sending.answer).status, 413);
  assert.equal((await stage.call().ask("/json", { body: '{"name":2}', headers: json })).status, 200);
  assert.deepEqual(names, [2], "a handler was given a body with a hole");
  await until(() => stage.app.guarded.stats().inFlight === 0);
  assert.equal(stage.app.guarded.stats().inFlight, 0);
}

async function endsReadersOfGrowingBodies(open: Open): Promise<void> {
  let bytes = 0;
  const thrown: unknown[] = [];
  await using stage = await open(
    {
      takeIn: async (body) => {
        try {
          for await (const chunk of body) bytes += chunk.length;
        } catch (error) {
          thrown.push(error);
          throw error;
        }
        return "complete";
      },
    },
    { maxBodyBytes: 100_000 },
  );
  const sending = stage.call().send("/upload", { method: "POST", headers: octets });
  const { body } = sending;
  body.on("error", () => undefined);
  Readable.from(Array.from({ length: 20 }, () => Buffer.alloc(10_000))).pipe(body);
  assert.equal((await sending.answer).status, 413);
  await until(() => thrown.length === 1);
  assert.equal(thrown.length, 1, "the reader of a body that is too large waits on");
  assert.ok(bytes <= 100_000, `${bytes} bytes came through`);
}

async function takesTurns(open: Open): Promise<void> {
  let atOnce = 0;
  const seen: string[] = [];
  await using stage = await open({
    answer: async ({ req, res }) => {
      atOnce += 1;
      seen.push(`${atOnce} at once${context() === controller(res).context ? "" : ", in a foreign context"}`);
      await sleep(1);
      atOnce -= 1;
      return `<${String(req.headers["x-turn"])}>`;
    },
  });
  const socket = await stage.socket();
  const turns = Array.from({ length: 20 }, (_, turn) => `GET /work HTTP/1.1\r\nHost: x\r\nX-Turn: ${turn}\r\n`);
  socket.write(`${turns.join("\r\n")}Connection: close\r\n\r\n`);
  const got = await text(socket);
  assert.deepEqual(
    got.match(/(?<=<)\d+(?=>)/g),
    Array.from(turns, (_, turn) => String(turn)),
  );
  assert.deepEqual(seen, Array(20).fill("1 at once"));
}

async function queues(open: Open): Promise<void> {
  const { promise: gate, resolve } = Promise.withResolvers<string>();
  let atOnce = 0;
  const seen: string[] = [];
  await using stage = await open(
    {
      answer: async ({ res }) => {
        atOnce += 1;
        seen.push(`${atOnce} at once${context() === controller(res).context ? "" : ", in a foreign context"}`);
        const answer = await gate;
        atOnce -= 1;
        return answer;
      },
    },
    { concurrency: { limit: 1, queue: 4, queueTimeout: "5s" } },
  );
  const asked = Array.from({ length: 8 }, () => stage.call().ask("/work"));
  await until(() => stage.app.guarded.stats().shed.concurrency === 3);
  assert.equal(stage.app.guarded.stats().shed.concurrency, 3);
  resolve("done");
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  assert.deepEqual(
    statuses.toSorted((one, other) => one - other),
    [200, 200, 200, 200, 200, 503, 503, 503],
  );
  assert.deepEqual(seen, Array(5).fill("1 at once"));
}

async function keepsLargeBodiesApart(open: Open): Promise<void> {
  await using stage = await open();
  const caller = stage.call();
  // Above what some body parsers take, and below `maxBodyBytes`.
  const body = JSON.stringify({ name: "x".repeat(3_000_000) });
  const { status } = await caller.ask("/json", { body, headers: { ...json, "content-length": body.length } });
  assert.ok(status === 200 || status === 413, `${status}`);
  assert.equal((await caller.ask("/json", { body: '{"name":"mug"}', headers: json })).body, "mug");
}

async function goesOnWhenTold(open: Open): Promise<void> {
  await using stage = await open();
  const caller = stage.call();
  const { status, body } = await caller.ask("/json", {
    body: '{"name":"mug"}',
    headers: { ...json, expect: "100-continue" },
  });
  assert.deepEqual([status, body], [200, "mug"]);
}

export const limitCases: Readonly<Record<string, (open: Open) => Promise<void>>> = {
  "its handlers answer, and the metrics know their routes": answers,
  "a handler that throws gets the framework's 500, and its connection is kept": failsLikeTheFramework,
  "garbage is answered with 400": refusesGarbage,
  "pipelined requests are handled one at a time": takesTurns,
  "requests above the concurrency limit wait, or are shed": queues,
  "the body parser's own limit is answered too": keepsLargeBodiesApart,
  "a client that expects 100 is told to go on": goesOnWhenTold,
  "a handler that ends after its 503 disturbs nobody": answersForLateHandlers,
  "a body announced as too large is refused before the body parser": refusesAnnouncedBodies,
  "a body that grows too large reaches no handler, not even in part": refusesGrowingBodies,
  "who reads a body that grows too large is told": endsReadersOfGrowingBodies,
};
