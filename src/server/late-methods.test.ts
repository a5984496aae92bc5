import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { connectTo, protocols, serveGuarded, type Handler, type Protocol } from "../../test/support/kept-connection.ts";
import { lateCalls, lateCallsOf, type AnyResponse } from "../../test/support/late-calls.ts";
import type { LoopbackServer } from "../../test/support/loopback.ts";
import { containLateWrites } from "./late-methods.ts";
import { LateWrites, type LateWrite } from "./late-writes.ts";

interface Contained extends LoopbackServer {
  readonly lateWrites: LateWrites;
  readonly reports: readonly LateWrite[];
}

async function contained(protocol: Protocol, handler: Handler): Promise<Contained> {
  const reports: LateWrite[] = [];
  const owner = { lateWrites: new LateWrites((late) => reports.push(late)) };
  const server = await serveGuarded(protocol, (response) => containLateWrites(response, owner), handler);
  return Object.assign(server, { ...owner, reports });
}

/** More than sockets and windows take: it is still on its way when `end()` returns. */
const large = Buffer.alloc(10_000_000, "large ");

function answerSmall(res: AnyResponse): void {
  if ("sendDate" in res) res.sendDate = false;
  res.setHeader("x-kept", "1");
  res.setHeader("content-length", 2);
  res.end("ok");
}

function answerLarge(res: AnyResponse): void {
  if ("sendDate" in res) res.sendDate = false;
  res.setHeader("content-length", 2 * large.length);
  res.write(large);
  res.end(large);
}

/** Where a late call comes from. */
const callers: readonly ((call: () => void) => Promise<unknown>)[] = [
  async (call) => call(),
  (call) => Promise.resolve().then(call),
  async (call) => {
    await sleep(1);
    call();
  },
  (call) => {
    const source = new PassThrough();
    source.on("data", call);
    source.write("data");
    return sleep(1);
  },
];

/** What a framework or a middleware has done to the response, before it is answered and before it is written to late. */
const dresses: Readonly<Record<string, { early: (res: AnyResponse) => void; late: (res: AnyResponse) => void }>> = {
  "as it came": { early: () => {}, late: () => {} },
  "with another prototype": { early: swapPrototype, late: () => {} },
  "whose prototype is replaced once it is answered": { early: () => {}, late: swapPrototype },
  "with wrapped methods": { early: wrapMethods, late: () => {} },
  "whose methods are wrapped once it is answered": { early: () => {}, late: wrapMethods },
};

/** As Express does. */
function swapPrototype(res: AnyResponse): void {
  Object.setPrototypeOf(res, Object.create(Object.getPrototypeOf(res)));
}

/** As compression, on-headers and express-session do, for every method that there is. */
function wrapMethods(res: AnyResponse): void {
  const target = res as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const { method } of Object.values(lateCalls)) {
    const original = target[method];
    if (original === undefined) continue;
    target[method] = function wrapper(...args: unknown[]): unknown {
      return original.apply(this, args);
    };
  }
}

/** When it is too late. Each answers, and calls `act` afterwards. */
const moments: Readonly<Record<string, (res: AnyResponse, act: () => Promise<unknown>) => Promise<unknown>>> = {
  "right after the end": (res, act) => {
    answerSmall(res);
    return act();
  },
  "after the answer": async (res, act) => {
    answerSmall(res);
    await once(res, "close");
    await act();
  },
};

interface Round {
  readonly protocol: Protocol;
  readonly moment: string;
  readonly dress: string;
}

/** What a late call returned, so that it can be compared. */
function returnOf(res: AnyResponse, name: string): unknown {
  const result = lateCalls[name]?.call(res);
  return result === res ? "res" : result;
}

/** Makes each late call there is, from each kind of caller in turn, and asks for something else on the connection. */
async function tryAll({ protocol, moment, dress }: Round): Promise<void> {
  let returned: unknown;
  let acted = Promise.withResolvers<unknown>();
  const answerLate = async (res: AnyResponse, name: string, turn: number): Promise<unknown> => {
    dresses[dress]?.early(res);
    return moments[moment]?.(res, async () => {
      dresses[dress]?.late(res);
      await callers[turn % callers.length]?.(() => (returned = returnOf(res, name)));
    });
  };
  await using server = await contained(protocol, (req, res) => {
    const [, name = "", turn] = decodeURIComponent(req.url ?? "").split(/[/?]/);
    if (name === "next") answerSmall(res);
    else answerLate(res, name, Number(turn)).then(acted.resolve, acted.reject);
  });
  await using connection = connectTo(protocol, server.port);
  const next = await connection.ask("/next");
  const names = lateCallsOf(protocol);
  for (const [turn, name] of names.entries()) {
    const path = `/${encodeURIComponent(name)}/${turn}`;
    for (const again of [0, 1]) {
      acted = Promise.withResolvers();
      assert.equal(await connection.ask(`${path}?secret=1`), next, `${name} spoilt its own answer`);
      await acted.promise;
      assert.equal(await connection.ask("/next"), next, `${name} spoilt the next answer`);
      assert.equal(returned, lateCalls[name]?.returns, `${name} returned something else`);
      assert.equal(server.lateWrites.count, 2 * turn + again + 1, `${name} was not counted once`);
    }
    const late = server.lateWrites.places()[turn];
    assert.deepEqual([late?.method, late?.count, late?.request], [lateCalls[name]?.method, 2, `GET ${path}`]);
  }
  checkPlaces(server, names.length);
}

/** Every call was told, once, with a stack and a place of its own. */
function checkPlaces({ reports, lateWrites }: Contained, count: number): void {
  assert.deepEqual(
    reports.map(({ place }) => place),
    lateWrites.places().map(({ place }) => place),
  );
  assert.equal(new Set(reports.map(({ place }) => place)).size, count);
  for (const { place, stack, count: first } of reports) {
    assert.match(place, /test\/support\/late-calls\.ts:\d+:\d+$/);
    assert.ok(stack.includes(place), `not the place of its stack: ${place}`);
    assert.equal(first, 1);
  }
}

for (const protocol of protocols) {
  for (const moment of Object.keys(moments)) {
    for (const dress of Object.keys(dresses)) {
      test(`${protocol}: what is called ${moment} of a response ${dress} does nothing, and is told once`, () =>
        tryAll({ protocol, moment, dress }));
    }
  }

  test(`${protocol}: what is called while the next request is answered does nothing to that`, async () => {
    const names = lateCallsOf(protocol);
    let first: AnyResponse | undefined;
    await using server = await contained(protocol, (req, res) => {
      if (req.url === "/first") {
        first = res;
        answerSmall(res);
        return;
      }
      const callLate = (): void => {
        if (req.url === "/during" && first !== undefined) for (const name of names) returnOf(first, name);
      };
      if ("sendDate" in res) res.sendDate = false;
      callLate();
      res.setHeader("content-length", 4);
      callLate();
      res.write("ne");
      callLate();
      setImmediate(() => {
        callLate();
        res.end("xt", callLate);
      });
    });
    await using connection = connectTo(protocol, server.port);
    await connection.ask("/first");
    const next = await connection.ask("/next");

    assert.equal(await connection.ask("/during"), next);

    assert.equal(await connection.ask("/next"), next);
    assert.equal(server.lateWrites.count, 5 * names.length);
  });

  test(`${protocol}: what is called while the answer is on its way does nothing to it, nor to the next`, async () => {
    const names = lateCallsOf(protocol);
    const answered = Promise.withResolvers<AnyResponse>();
    await using server = await contained(protocol, (req, res) => {
      if (req.url === "/next") return answerSmall(res);
      answerLarge(res);
      if (req.url === "/late") answered.resolve(res);
    });
    await using connection = connectTo(protocol, server.port);
    const next = await connection.ask("/next");
    const expected = await connection.ask("/large");

    connection.pause();
    connection.send("/late");
    const res = await answered.promise;
    const returned = names.map((name) => returnOf(res, name));
    await sleep(1);
    const finishedEarly = res.writableFinished;
    connection.resume();

    assert.ok((await connection.answer()) === expected, "the answer is not what it should be");
    assert.equal(await connection.ask("/next"), next);
    assert.equal(finishedEarly, false, "the answer was meant to be on its way");
    assert.deepEqual(
      returned,
      names.map((name) => lateCalls[name]?.returns),
    );
    assert.equal(server.lateWrites.count, names.length);
    checkPlaces(server, names.length);
  });
}
