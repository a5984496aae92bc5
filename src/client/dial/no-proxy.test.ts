import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { isLoopback, parseNoProxy } from "./no-proxy.ts";

const cases: readonly (readonly [list: string, host: string, port: number, direct: boolean])[] = [
  ["", "shop.test", 80, false],
  ["*", "shop.test", 80, true],
  ["other.test, *", "10.0.0.1", 80, true],
  ["shop.test", "shop.test", 80, true],
  ["shop.test", "api.shop.test", 80, true],
  ["shop.test", "myshop.test", 80, false],
  ["SHOP.test ", "Shop.TEST", 80, true],
  [".shop.test", "shop.test", 80, false],
  [".shop.test", "api.shop.test", 80, true],
  ["*.shop.test", "api.shop.test", 80, true],
  ["*.shop.test", "shop.test", 80, false],
  ["shop.test:8080", "shop.test", 8080, true],
  ["shop.test:8080", "shop.test", 80, false],
  ["*.shop.test:8080", "api.shop.test", 8080, true],
  ["10.0.0.1", "10.0.0.1", 80, true],
  ["10.0.0.1", "10.0.0.10", 80, false],
  ["10.0.0.1:81", "10.0.0.1", 81, true],
  ["10.0.0.1:81", "10.0.0.1", 80, false],
  ["10.0.0.0/8", "10.200.3.4", 80, true],
  ["10.0.0.0/8", "11.0.0.1", 80, false],
  ["10.0.0.0/8", "[::ffff:10.1.2.3]", 80, true],
  ["10.0.0.0/99", "10.0.0.1", 80, false],
  ["fd00::/8", "[fd12::1]", 443, true],
  ["::/0", "10.0.0.1", 80, false],
  ["::1", "[::1]", 443, true],
  ["[::1]:443", "[::1]", 443, true],
  ["[::1]:443", "[::1]", 80, false],
  ["fe80::1", "[fe80::1%eth0]", 80, true],
  [":80,,/8, ,.", "shop.test", 80, false],
];

test("a NO_PROXY entry covers what Go says it covers, and no more", () => {
  for (const [list, host, port, direct] of cases) {
    assert.equal(parseNoProxy(list)(host, port), direct, `NO_PROXY="${list}" for ${host}:${port}`);
  }
});

test("localhost and every loopback address are loopback, their look-alikes are not", () => {
  const loopback = ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "[::ffff:127.0.0.1]"];
  const others = ["localhost.test", "128.0.0.1", "[::2]", "127.test"];
  assert.deepEqual([...loopback, ...others].filter(isLoopback), loopback);
});

/** A second reading of the rules, on strings of labels and bits, to compare with. */
interface Entry {
  readonly text: string;
  covers(host: Host): boolean;
}
interface Host {
  readonly text: string;
  readonly labels: readonly string[] | undefined;
  readonly bits: string;
  readonly port: number;
}

function bitsOf(address: readonly number[]): string {
  return address.map((byte) => byte.toString(2).padStart(8, "0")).join("");
}

test("a random NO_PROXY list answers for random hosts as a second reading of the rules does", (t) => {
  const seed = Number(process.env["SEED"] ?? randomInt(2 ** 31));
  t.diagnostic(`SEED=${seed}`);
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const label = (): string => ["a", "b", "shop", "test"][random(4)] ?? "";
  const labels = (): string[] => Array.from({ length: 1 + random(3) }, label);
  // Few different bytes, so that addresses and blocks meet.
  const bytes = (): number[] => Array.from({ length: 4 }, () => [10, 11, 138, 255][random(4)] ?? 0);

  const makeHost = (): Host => {
    const port = 80 + random(2);
    if (random(2) === 0) {
      const address = bytes();
      const text = random(4) === 0 ? `[::ffff:${address.join(".")}]` : address.join(".");
      return { text, labels: undefined, bits: bitsOf(address), port };
    }
    const name = labels();
    return { text: name.join("."), labels: name, bits: "", port };
  };
  const makeEntry = (): Entry => {
    const port = random(3) === 0 ? 80 + random(2) : undefined;
    const suffix = port === undefined ? "" : `:${port}`;
    const fits = (host: Host): boolean => port === undefined || host.port === port;
    const address = bytes();
    const bits = bitsOf(address);
    const name = labels();
    const isBelow = (host: Host): boolean =>
      host.labels !== undefined &&
      host.labels.length > name.length &&
      isDeepStrictEqual(host.labels.slice(-name.length), name);
    const prefix = random(33);
    const entries: Entry[] = [
      { text: `${address.join(".")}${suffix}`, covers: (host) => host.bits === bits && fits(host) },
      {
        text: `${address.join(".")}/${prefix}`,
        covers: (host) => host.bits !== "" && host.bits.startsWith(bits.slice(0, prefix)),
      },
      {
        text: `${name.join(".")}${suffix}`,
        covers: (host) => (isDeepStrictEqual(host.labels, name) || isBelow(host)) && fits(host),
      },
      { text: `.${name.join(".")}${suffix}`, covers: (host) => isBelow(host) && fits(host) },
      { text: `*.${name.join(".")}${suffix}`, covers: (host) => isBelow(host) && fits(host) },
    ];
    return entries[random(entries.length)] ?? { text: "", covers: () => false };
  };

  let direct = 0;
  for (let round = 0; round < 3_000; round++) {
    const entries = Array.from({ length: random(4) }, makeEntry);
    const list = entries.map(({ text }) => (random(2) === 0 ? ` ${text.toUpperCase()} ` : text)).join(",");
    const host = makeHost();
    const expected = entries.some((entry) => entry.covers(host));
    assert.equal(
      parseNoProxy(list)(host.text, host.port),
      expected,
      `NO_PROXY="${list}" for ${host.text}:${host.port}`,
    );
    if (expected) direct += 1;
  }
  assert.ok(direct > 100, "too few hosts were covered for the comparison to mean anything");
});
