/**
 * Which proxy a connection goes through, decided once from an option or from the environment.
 *
 * The rules are those of Go's `httpproxy` package, so that one set of variables means the same to every program in a
 * container. The environment is read here and nowhere else in the client, only when the option says so, and only when
 * the dialer is made: a variable that changes later must not split the connections of one pool over two proxies.
 * SOCKS proxies and PAC files are not supported; the first is refused in words, the second cannot be given.
 */

import { OptionError } from "../../core/errors.ts";
import { authorityOf, type DialTarget } from "./dial-target.ts";
import { isLoopback, parseNoProxy, type HostMatcher } from "./no-proxy.ts";

/** Proxies by the scheme of the target. */
export interface ProxyByScheme {
  /** For `http:` targets. */
  readonly http?: string | URL | undefined;
  /** For `https:` targets. */
  readonly https?: string | URL | undefined;
  /** Hosts to reach directly, written like the variable `NO_PROXY`. */
  readonly noProxy?: string | undefined;
}

/**
 * `"none"`; `"environment"`, that is `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case; the URL
 * of one proxy for everything; or one for each scheme.
 *
 * Only `"environment"` never proxies `localhost` and loopback addresses, as in Go. A proxy given in code is meant.
 */
export type ProxyRule = string | URL | ProxyByScheme;

/** One proxy, with its password apart from what may be printed. */
export interface Proxy {
  readonly protocol: "http:" | "https:";
  readonly hostname: string;
  readonly port: number;
  /** `http://proxy.example:3128`, without user and password. */
  readonly url: string;
  /** Value of `Proxy-Authorization`. A secret. */
  readonly authorization: string | undefined;
}

/** How the connections to one target go through a proxy. */
export interface ProxyRoute {
  readonly proxy: Proxy;
  /** `forward`: the request names the whole URL and the proxy sends it on. `tunnel`: CONNECT, then TLS with the target. */
  readonly kind: "forward" | "tunnel";
}

/** The route to a target; undefined when it is reached directly. */
export type ProxyTable = (target: Pick<DialTarget, "protocol" | "hostname" | "port">) => ProxyRoute | undefined;

/** Parses the URL of a proxy; a bare `host:port` is an HTTP proxy. Messages never contain the URL: it may hold a password. */
export function parseProxy(option: string, given: string | URL): Proxy {
  const text = String(given).trim();
  const url = URL.parse(/^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || url.hostname === "") {
    throw new OptionError(option, "is not the URL of a proxy; write it like http://user:password@proxy.example:3128");
  }
  const { protocol } = url;
  if (protocol.startsWith("socks")) {
    throw new OptionError(
      option,
      `names a SOCKS proxy (${protocol}//${url.host}); only http:// and https:// proxies work`,
    );
  }
  if (protocol !== "http:" && protocol !== "https:") {
    throw new OptionError(option, `names a proxy of the unknown kind ${protocol}// ; use http:// or https://`);
  }
  const port = url.port === "" ? { "http:": 80, "https:": 443 }[protocol] : Number(url.port);
  const { hostname } = url;
  return {
    protocol,
    hostname,
    port,
    url: `${protocol}//${authorityOf({ hostname, port })}`,
    authorization: basicAuthorization(option, url),
  };
}

function basicAuthorization(option: string, { username, password }: URL): string | undefined {
  if (username === "" && password === "") return undefined;
  try {
    const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(user).toString("base64")}`;
  } catch (cause) {
    throw new OptionError(option, `has a user or password with a % that is not an escape (${String(cause)})`);
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/** What the environment says, as the rule that one would have written in code. An empty variable is not set. */
export function environmentProxies(environment: Environment): ProxyByScheme {
  const read = (name: string): string | undefined => environment[name] || environment[name.toLowerCase()] || undefined;
  const all = read("ALL_PROXY");
  // In a CGI program a request's `Proxy:` header arrives as HTTP_PROXY: whoever sends it would choose our proxy
  // (CVE-2016-5386, "httpoxy"). No header can set the lower-case one.
  const isCgi = Boolean(environment["REQUEST_METHOD"]);
  const http = isCgi ? environment["http_proxy"] || undefined : read("HTTP_PROXY");
  return { http: http ?? all, https: read("HTTPS_PROXY") ?? all, noProxy: read("NO_PROXY") };
}

/** Turns a rule into the table that answers for every target. `option` is the name that errors give it. */
export function resolveProxyRule(option: string, rule: ProxyRule, environment: Environment = process.env): ProxyTable {
  if (rule === "none") return () => undefined;
  if (rule === "environment") {
    const proxies = environmentProxies(environment);
    const skip = parseNoProxy(proxies.noProxy ?? "");
    const names = { http: `${option} (HTTP_PROXY or ALL_PROXY)`, https: `${option} (HTTPS_PROXY or ALL_PROXY)` };
    return tableOf(names, proxies, (hostname, port) => isLoopback(hostname) || skip(hostname, port));
  }
  if (typeof rule === "string" || rule instanceof URL) {
    return tableOf({ http: option, https: option }, { http: rule, https: rule }, () => false);
  }
  const names = { http: `${option}.http`, https: `${option}.https` };
  return tableOf(names, rule, parseNoProxy(rule.noProxy ?? ""));
}

function tableOf(
  names: { readonly http: string; readonly https: string },
  proxies: ProxyByScheme,
  isDirect: HostMatcher,
): ProxyTable {
  const http = proxies.http === undefined ? undefined : parseProxy(names.http, proxies.http);
  const https = proxies.https === undefined ? undefined : parseProxy(names.https, proxies.https);
  const routes: Readonly<Record<DialTarget["protocol"], ProxyRoute | undefined>> = {
    "http:": http && { proxy: http, kind: "forward" },
    "https:": https && { proxy: https, kind: "tunnel" },
  };
  return ({ protocol, hostname, port }) => {
    const route = routes[protocol];
    return route === undefined || isDirect(hostname, port) ? undefined : route;
  };
}
