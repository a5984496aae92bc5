import assert from "node:assert/strict";
import type { LookupAddress } from "node:dns";
import { getEventListeners } from "node:events";
import type { LookupFunction } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Resolver } from "./resolve.ts";

type Answer = Parameters<LookupFunction>[2];

/** A lookup that answers when told to, and counts. */
class Lookups {
  readonly names: string[] = [];
  readonly answers: Answer[] = [];
  readonly lookup: LookupFunction = (hostname, _options, answer) => {
    this.names.push(hostname);
    this.answers.push(answer);
  };

  answer(index: number, addresses: string | LookupAddress[]): void {
    this.answers[index]?.(null, addresses, 4);
  }

  fail(index: number, code: string): void {
    this.answers[index]?.(Object.assign(new Error(code), { code }), "");
  }
}

const one: LookupAddress[] = [{ address: "10.0.0.1", family: 4 }];
const never: AbortSignal = new AbortController().signal;

test("two hundred dials to one name at once are one lookup, and the next one asks again", async () => {
  const lookups = new Lookups();
  const resolver = new Resolver(lookups.lookup);

  const waiting = Array.from({ length: 200 }, () => resolver.resolve("shop.test", never));
  lookups.answer(0, one);
  for (const addresses of await Promise.all(waiting)) assert.deepEqual(addresses, one);
  assert.deepEqual({ asked: lookups.names.length, known: resolver.size }, { asked: 1, known: 0 });

  const later = resolver.resolve("shop.test", never);
  lookups.answer(1, "10.0.0.2");
  assert.deepEqual(await later, [{ address: "10.0.0.2", family: 4 }]);
});

test("an abort leaves the lookup to the others, and no listener on the signal", async () => {
  const lookups = new Lookups();
  const resolver = new Resolver(lookups.lookup);
  const leaves = new AbortController();
  const abandoned = resolver.resolve("shop.test", leaves.signal);
  const stays = resolver.resolve("shop.test", never);

  leaves.abort(new Error("client gone"));
  await assert.rejects(abandoned, /client gone/);
  lookups.answer(0, one);

  assert.deepEqual(await stays, one);
  assert.deepEqual(getEventListeners(leaves.signal, "abort"), []);
  assert.equal(lookups.names.length, 1);
});

test("a lookup that everybody has left is joined by who comes next", async () => {
  const lookups = new Lookups();
  const resolver = new Resolver(lookups.lookup);
  const leaves = new AbortController();
  const abandoned = resolver.resolve("shop.test", leaves.signal);
  leaves.abort(new Error("gone"));
  await assert.rejects(abandoned);

  const next = resolver.resolve("shop.test", never);
  lookups.answer(0, one);

  assert.deepEqual(await next, one);
});

test("a failure answers for a moment, so that a name server in trouble is not asked by every dial", async () => {
  const lookups = new Lookups();
  const resolver = new Resolver(lookups.lookup);
  const first = resolver.resolve("shop.test", never);
  lookups.fail(0, "EAI_AGAIN");
  await assert.rejects(first, { code: "EAI_AGAIN" });

  await assert.rejects(resolver.resolve("shop.test", never), { code: "EAI_AGAIN" });
  assert.equal(lookups.names.length, 1);
  await sleep(270);
  const later = resolver.resolve("shop.test", never);
  lookups.answer(1, one);
  assert.deepEqual(await later, one);
});

test("a lookup that never answers binds its name for thirty seconds, not for ever, and a late answer is ignored", async (t) => {
  const lookups = new Lookups();
  const resolver = new Resolver(lookups.lookup);
  const startedAt = performance.now();
  const lost = resolver.resolve("shop.test", never);
  t.mock.method(performance, "now", () => startedAt + 29_000);
  const joins = resolver.resolve("shop.test", never);

  t.mock.method(performance, "now", () => startedAt + 31_000);
  const asksAgain = resolver.resolve("shop.test", never);
  lookups.answer(1, one);
  assert.deepEqual(await asksAgain, one);
  const next = resolver.resolve("shop.test", never);
  lookups.fail(0, "ENOTFOUND");
  lookups.answer(2, one);

  assert.deepEqual(await next, one);
  await assert.rejects(lost, { code: "ENOTFOUND" });
  await assert.rejects(joins, { code: "ENOTFOUND" });
});

test("a numeric host is never looked up", async () => {
  const lookups = new Lookups();
  const resolver = new Resolver(lookups.lookup);
  assert.deepEqual(await resolver.resolve("::1", never), [{ address: "::1", family: 6 }]);
  assert.deepEqual(await resolver.resolve("127.0.0.1", never), [{ address: "127.0.0.1", family: 4 }]);
  assert.equal(lookups.names.length, 0);
});

test("a lookup that answers nonsense, twice or by throwing fails its own name and nothing else", async () => {
  const answers: Record<string, LookupFunction> = {
    "empty.test": (_name, _options, answer) => answer(null, []),
    "words.test": (_name, _options, answer) => answer(null, "not an address"),
    "nothing.test": (_name, _options, answer) => answer(null, undefined as never),
    "twice.test": (_name, _options, answer) => {
      answer(null, one);
      answer(new Error("second thoughts"), "");
    },
    "throws.test": () => {
      throw new Error("broken lookup");
    },
  };
  const resolver = new Resolver((name, options, answer) => answers[name]?.(name, options, answer));

  await assert.rejects(resolver.resolve("empty.test", never), { code: "ENOTFOUND", hostname: "empty.test" });
  await assert.rejects(resolver.resolve("words.test", never), { code: "ENOTFOUND", message: /not an address is not/ });
  await assert.rejects(resolver.resolve("nothing.test", never), { code: "ENOTFOUND" });
  assert.deepEqual(await resolver.resolve("twice.test", never), one);
  await assert.rejects(resolver.resolve("throws.test", never), /broken lookup/);
});

test("a thousand silent lookups are the limit, and failed names make room first", async () => {
  const lookups = new Lookups();
  const resolver = new Resolver(lookups.lookup);
  const failed = resolver.resolve("failed.test", never);
  lookups.fail(0, "ENOTFOUND");
  await assert.rejects(failed);

  const silent = Array.from({ length: 1_000 }, (_, index) => resolver.resolve(`silent-${index}.test`, never));
  await assert.rejects(resolver.resolve("one-more.test", never), { code: "EAI_AGAIN", syscall: "getaddrinfo" });

  assert.equal(resolver.size, 1_000);
  for (let index = 1; index <= 1_000; index++) lookups.answer(index, one);
  await Promise.all(silent);
  assert.equal(resolver.size, 0);
});
