import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { clientKeyOf, PerAddress } from "./per-address.ts";
import { checkUpgradeRules, isForPath } from "./upgrade-rules.ts";

function request(headers: Readonly<Record<string, string>>, url = "/"): IncomingMessage {
  return { url, headers } as unknown as IncomingMessage;
}

/** What a page of `origin` gets that connects to `host`. */
function status(origin: string, host: string): number | undefined {
  return checkUpgradeRules(request({ origin, host }), { origins: "same", protocols: [] })?.status;
}

function key(remoteAddress: string | undefined): string | undefined {
  return clientKeyOf({ socket: { remoteAddress } } as unknown as IncomingMessage);
}

test("a page of the same host may connect, whatever its scheme says of the port", () => {
  assert.equal(status("https://shop.example", "shop.example"), undefined);
  assert.equal(status("https://shop.example", "SHOP.example:443"), undefined);
  assert.equal(status("http://shop.example:8080", "shop.example:8080"), undefined);
  assert.equal(status("http://[::1]:8080", "[::1]:8080"), undefined);
  assert.equal(status("https://shop.example", "shop.example:80"), 403);
  assert.equal(status("https://shop.example.evil", "shop.example"), 403);
  assert.equal(status("https://evil", "shop.example@evil"), 403);
  assert.equal(status("null", "shop.example"), 403);
  assert.equal(status("", "shop.example"), 403);
  assert.equal(status("https://shop.example", ""), 403);
});

test("a path is matched as a whole, without its query", () => {
  assert.ok(isForPath(request({}, "/stock?a=/other"), "/stock"));
  assert.ok(isForPath(request({}, "/anything"), undefined));
  assert.ok(!isForPath(request({}, "/stock/"), "/stock"));
  assert.ok(!isForPath(request({}, "/?/stock"), "/stock"));
});

test("one IPv4 address is one client, and so is a network of IPv6", () => {
  assert.equal(key("192.0.2.7"), "192.0.2.7");
  assert.equal(key("::ffff:192.0.2.7"), "192.0.2.7");
  assert.equal(key("2001:db8:1:2:aaaa::1"), "2001:db8:1:2::/64");
  assert.equal(key("2001:db8:1:2::9"), "2001:db8:1:2::/64");
  assert.equal(key("2001:db8::9"), "2001:db8:0:0::/64");
  assert.equal(key("1::2:3:4:5:6:7"), "1:0:2:3::/64");
  assert.equal(key("::1"), "0:0:0:0::/64");
  assert.equal(key("fe80::1%eth0"), "fe80:0:0:0::/64");
  assert.equal(key(undefined), undefined);
});

test("a place is free again when its holder has left, and who has no address needs none", () => {
  const places = new PerAddress(2);
  places.enter("a");
  places.enter("a");
  places.enter(undefined);

  assert.deepEqual([places.hasPlace("a"), places.hasPlace("b"), places.hasPlace(undefined)], [false, true, true]);
  places.leave("a");
  places.leave(undefined);
  assert.ok(places.hasPlace("a"));
});
