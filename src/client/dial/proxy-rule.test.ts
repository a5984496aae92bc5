import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveProxyRule, type ProxyRule } from "./proxy-rule.ts";

const plain = { protocol: "http:", hostname: "shop.test", port: 80 } as const;
const secure = { protocol: "https:", hostname: "shop.test", port: 443 } as const;

function routes(rule: ProxyRule, environment: Record<string, string> = {}): (string | undefined)[] {
  const table = resolveProxyRule("Transport.proxy", rule, environment);
  return [plain, secure].map((target) => {
    const route = table(target);
    return route && `${route.kind} ${route.proxy.url}`;
  });
}

test("http targets are forwarded and https targets tunnelled, each through its own proxy", () => {
  assert.deepEqual(routes({ http: "http://one.test:3128", https: new URL("https://two.test") }), [
    "forward http://one.test:3128",
    "tunnel https://two.test:443",
  ]);
  assert.deepEqual(routes("http://one.test"), ["forward http://one.test:80", "tunnel http://one.test:80"]);
  assert.deepEqual(routes({ https: "[::1]:3128" }), [undefined, "tunnel http://[::1]:3128"]);
  assert.deepEqual(routes("none"), [undefined, undefined]);
});

test("the environment is read in both cases, with ALL_PROXY for what has no variable of its own", () => {
  assert.deepEqual(routes("environment", { HTTP_PROXY: "one.test:1", https_proxy: "two.test:2" }), [
    "forward http://one.test:1",
    "tunnel http://two.test:2",
  ]);
  assert.deepEqual(routes("environment", { ALL_PROXY: "http://all.test:3", HTTPS_PROXY: "http://two.test:2" }), [
    "forward http://all.test:3",
    "tunnel http://two.test:2",
  ]);
  assert.deepEqual(routes("environment", { HTTPS_PROXY: "http://two.test:2", no_proxy: "shop.test:443" }), [
    undefined,
    undefined,
  ]);
  assert.deepEqual(routes("environment", { HTTP_PROXY: "" }), [undefined, undefined]);
});

test("in a CGI program, where a request header sets HTTP_PROXY, only http_proxy counts", () => {
  const cgi = { REQUEST_METHOD: "GET", HTTP_PROXY: "http://attacker.test" };
  assert.deepEqual(routes("environment", cgi), [undefined, undefined]);
  assert.deepEqual(
    routes("environment", { ...cgi, http_proxy: "http://ours.test:1" })[0],
    "forward http://ours.test:1",
  );
});

test("only the environment's proxy is never used for loopback", () => {
  const local = { protocol: "http:", hostname: "localhost", port: 8080 } as const;
  assert.equal(resolveProxyRule("p", "environment", { HTTP_PROXY: "http://one.test" })(local), undefined);
  assert.equal(resolveProxyRule("p", "http://one.test", {})(local)?.kind, "forward");
  assert.equal(resolveProxyRule("p", { http: "http://one.test", noProxy: "localhost" }, {})(local), undefined);
});

test("user and password become a Basic header and stand in no URL", () => {
  const route = resolveProxyRule("p", "http://us%40er:p%C3%A4ss@one.test:3128", {})(plain);
  assert.equal(route?.proxy.authorization, `Basic ${Buffer.from("us@er:päss").toString("base64")}`);
  assert.equal(route?.proxy.url, "http://one.test:3128");
});

test("a proxy that cannot work is refused by the name of its option, and its password is not repeated", () => {
  const refused: readonly (readonly [ProxyRule, RegExp])[] = [
    ["socks5://user:secret@one.test:1080", /^Transport\.proxy names a SOCKS proxy \(socks5:\/\/one\.test:1080\)/],
    ["ftp://user:secret@one.test", /^Transport\.proxy names a proxy of the unknown kind ftp:/],
    ["http://user:secret@", /^Transport\.proxy is not the URL of a proxy/],
    ["http://user:secret%zz@one.test", /^Transport\.proxy has a user or password with a %/],
    [{ https: "socks4://user:secret@one.test" }, /^Transport\.proxy\.https names a SOCKS proxy/],
  ];
  for (const [rule, message] of refused) {
    assert.throws(
      () => resolveProxyRule("Transport.proxy", rule, {}),
      (error) => {
        assert.ok(error instanceof Error);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
  }
  assert.throws(() => resolveProxyRule("Transport.proxy", "environment", { ALL_PROXY: "socks5://one.test" }), {
    code: "ERR_OPTION",
    message: /HTTP_PROXY or ALL_PROXY/,
  });
});
