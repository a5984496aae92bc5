import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { test } from "node:test";
import { randomFrom } from "../../test/support/random.ts";
import { AddressCounts, ClientAddresses } from "./addresses.ts";

const keys: readonly (readonly [address: string | undefined, prefix: number, key: string | undefined])[] = [
  ["192.0.2.1", 64, "192.0.2.1"],
  ["::ffff:192.0.2.1", 64, "192.0.2.1"],
  ["::ffff:c000:201", 64, "192.0.2.1"],
  ["::FFFF:C000:0201", 1, "192.0.2.1"],
  ["0:0:0:0:0:ffff:192.0.2.1", 64, "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2"],
  ["2001:0DB8:0001:0002::", 64, "2001:db8:1:2"],
  ["2001:db8:1:2ff::1", 56, "2001:db8:1:200"],
  ["2001:db8:1:2ff::1", 48, "2001:db8:1"],
  ["2001:db8:1:2ff::1", 1, "0"],
  ["ffff::", 1, "8000"],
  ["2001:db8::3:4:5:6", 128, "2001:db8:0:0:3:4:5:6"],
  ["2001:db8::3:4:5:6", 127, "2001:db8:0:0:3:4:5:6"],
  ["2001:db8::3:4:5:7", 127, "2001:db8:0:0:3:4:5:6"],
  ["::1", 64, "0:0:0:0"],
  ["::", 64, "0:0:0:0"],
  ["64:ff9b::192.0.2.1", 128, "64:ff9b:0:0:0:0:c000:201"],
  ["fe80::1%eth0", 64, "fe80:0:0:0%eth0"],
  ["fe80::1%eth1", 64, "fe80:0:0:0%eth1"],
  [undefined, 64, undefined],
  ["", 64, undefined],
  ["localhost", 64, undefined],
];

for (const [address, prefix, key] of keys) {
  test(`${address} is counted under ${key} with ${prefix} bits`, () => {
    assert.equal(new ClientAddresses(prefix, []).keyOf(address), key);
  });
}

test("every address of a /64 has one key, and the next /64 has another, however they are written", (t) => {
  const random = randomFrom();
  t.diagnostic(`seed ${random.seed}`);
  const addresses = new ClientAddresses(64, []);
  for (let run = 0; run < 1_000; run += 1) {
    const group = (): string => random.below(random.pick([1, 0x1_0000])).toString(16);
    const network = `2001:${group()}:${group()}`;
    const id = random.below(0xffff);
    const write = (low: string): string => `${network}:${id.toString(16).padStart(random.below(4), "0")}:${low}`;
    const one = write(`${group()}:${group()}:${group()}:${group()}`);
    const other = write(":");
    assert.equal(addresses.keyOf(one), addresses.keyOf(other), `${one} and ${other}`);
    const next = `${network}:${(id + 1).toString(16)}::`;
    assert.notEqual(addresses.keyOf(one), addresses.keyOf(next), `${one} and ${next}`);
  }
});

test("a proxy is trusted by its address, its network and its IPv4-mapped address", () => {
  const addresses = new ClientAddresses(64, ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1"]);
  for (const trusted of ["10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203", "192.0.2.7", "2001:db8:ffff::1", "::1"]) {
    assert.ok(addresses.isTrusted(trusted), trusted);
  }
  for (const other of ["11.0.0.1", "192.0.2.8", "2001:db9::1", "::2", "", "10.0.0", "fe80::1%lo", undefined]) {
    assert.ok(!addresses.isTrusted(other), `${other}`);
  }
});

test("nobody is trusted unless told", () => {
  const addresses = new ClientAddresses(64, []);
  assert.equal(addresses.trustsProxies, false);
  assert.equal(addresses.isTrusted("127.0.0.1"), false);
  assert.equal(addresses.clientOf("127.0.0.1", "192.0.2.1"), "127.0.0.1");
});

// The connection comes from 10.0.0.1; trusted are 10.0.0.0/8 and 2001:db8:ffff::/48.
const forwarded: readonly (readonly [header: string | undefined, client: string, why: string])[] = [
  [undefined, "10.0.0.1", "no header"],
  ["", "10.0.0.1", "an empty header"],
  ["192.0.2.1", "192.0.2.1", "one entry"],
  ["203.0.113.9, 192.0.2.1", "192.0.2.1", "the left entry may be a lie"],
  ["10.0.0.9, 192.0.2.1", "192.0.2.1", "a lie that claims to be a proxy"],
  ["192.0.2.1, 10.0.0.2, 10.0.0.3", "192.0.2.1", "several proxies"],
  ["192.0.2.1,10.0.0.2,\t10.0.0.3 ", "192.0.2.1", "no spaces, and others"],
  ["192.0.2.1, 2001:db8:ffff::1", "192.0.2.1", "an IPv6 proxy"],
  ["192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1", "a mapped proxy"],
  ["10.0.0.4, 10.0.0.3", "10.0.0.4", "all are trusted: the furthest"],
  ["192.0.2.1:4711", "192.0.2.1", "a port"],
  ["[2001:db8::1]:4711", "2001:db8::1", "a port behind an IPv6 address"],
  ["[2001:db8::1]", "2001:db8::1", "brackets"],
  ["2001:db8::1", "2001:db8::1", "no brackets"],
  ['"[2001:db8::1]:4711"', "2001:db8::1", "quotes"],
  ['"192.0.2.1"', "192.0.2.1", "quotes around an IPv4 address"],
  ["192.0.2.1, , ,", "192.0.2.1", "empty elements"],
  [",,,", "10.0.0.1", "nothing but commas"],
  ["unknown", "10.0.0.1", "a word"],
  ["192.0.2.1, unknown", "10.0.0.1", "nobody vouches for what is left of a word"],
  ["192.0.2.1, unknown, 10.0.0.2", "10.0.0.2", "a word that a proxy wrote"],
  ["192.0.2.300", "10.0.0.1", "no address"],
  ["192.0.2.1:port", "10.0.0.1", "no port"],
  ["192.0.2.1:", "10.0.0.1", "an empty port"],
  ["192.0.02.1", "10.0.0.1", "an octal number, perhaps"],
  ["[192.0.2.1]", "10.0.0.1", "brackets around an IPv4 address"],
  ["[2001:db8::1", "10.0.0.1", "half a bracket"],
  ["fe80::1%eth0", "10.0.0.1", "a zone of another machine"],
  ["2001:db8::1%1, 10.0.0.2", "10.0.0.2", "zones that would make many of one"],
  [`${" ".repeat(2_000)}192.0.2.1${" ".repeat(2_000)}`, "192.0.2.1", "a lot of space"],
  [`${"9".repeat(8_000)}, 10.0.0.2`, "10.0.0.2", "an endless entry"],
];

for (const [header, client, why] of forwarded) {
  test(`${client} is who called, with ${why} in X-Forwarded-For`, () => {
    const addresses = new ClientAddresses(64, ["10.0.0.0/8", "2001:db8:ffff::/48"]);
    assert.equal(addresses.clientOf("10.0.0.1", header), client);
  });
}

test("a peer that is no proxy is the client, whatever it writes", () => {
  const addresses = new ClientAddresses(64, ["10.0.0.0/8"]);
  assert.equal(addresses.clientOf("192.0.2.1", "203.0.113.9"), "192.0.2.1");
  assert.equal(addresses.requestKeyOf("192.0.2.1", "203.0.113.9"), "192.0.2.1");
});

test("a request that a trusted address makes itself is counted under nobody", () => {
  const addresses = new ClientAddresses(64, ["10.0.0.0/8"]);
  assert.equal(addresses.requestKeyOf("10.0.0.1"), undefined);
  assert.equal(addresses.requestKeyOf("10.0.0.1", "10.0.0.2"), undefined);
  assert.equal(addresses.requestKeyOf("10.0.0.1", "unknown"), undefined);
  assert.equal(addresses.requestKeyOf("10.0.0.1", "2001:db8::1, 10.0.0.2"), "2001:db8:0:0");
});

test("a header made to be long costs no more than a look at its last entries", () => {
  const addresses = new ClientAddresses(64, ["0.0.0.0/0"]);
  const hostile = Array.from({ length: 50_000 }, (_, index) => `10.0.${index >> 8}.${index & 0xff}`).join(",");
  const start = performance.now();
  for (let run = 0; run < 100; run += 1) addresses.clientOf("10.0.0.1", hostile);
  // 32 entries take 10 us; all of them would take 15 ms.
  assert.ok(performance.now() - start < 100 * 5, `${performance.now() - start} ms for 100 headers`);
});

test("no header makes the search throw or find something that is no address", (t) => {
  const random = randomFrom();
  t.diagnostic(`seed ${random.seed}`);
  const addresses = new ClientAddresses(64, ["10.0.0.0/8", "::/8"]);
  const pieces = ["10.0.0.2", "192.0.2.1", "::1", "[", "]", ":", ",", " ", '"', "%", "80", "\t", "unknown", "é", "\\"];
  for (let run = 0; run < 20_000; run += 1) {
    const header = Array.from({ length: random.below(12) }, () => random.pick(pieces)).join("");
    const client = addresses.clientOf("10.0.0.1", header);
    assert.match(client, /^[\da-f.:]+$/, JSON.stringify(header));
    assert.notEqual(addresses.keyOf(client), undefined, JSON.stringify(header));
  }
});

test("an address is counted up to the limit, and forgotten when it has none", () => {
  const counts = new AddressCounts(2);
  assert.ok(counts.tryEnter("a") && counts.tryEnter("a") && counts.tryEnter("b"));
  assert.equal(counts.tryEnter("a"), false);
  assert.equal(counts.size, 2);
  counts.leave("a");
  assert.equal(counts.countOf("a"), 1);
  assert.ok(counts.tryEnter("a"));
  counts.leave("a");
  counts.leave("a");
  counts.leave("b");
  assert.equal(counts.size, 0);
});
