/**
 * Bytes that look like requests, nearly, and two parsers that read them without help from each other or from Node.
 *
 * The strict one follows RFC 9112 and stops where it is violated. The lenient one reads on as the most forgiving servers
 * do: any line end, any blank, the last of two values. Whatever a server passes on, both must have read in the same way.
 */

import type { Random } from "./random.ts";

/** What a parser says about one request. */
export interface ReadRequest {
  readonly method: string;
  readonly target: string;
  /** In lower case, without a default port. */
  readonly host: string;
  readonly bodyLength: number;
}

// No HEAD: whoever reads the answers has to know which of them have no body.
const methods = ["GET", "POST", "PUT", "OPTIONS", "DELETE", "get", "FOO", "CONNECT", "PRI", ""];
const targets = [
  "/",
  "/a?b",
  "/a#b",
  "/a\\b",
  "*",
  "a",
  "//b/c",
  "http://a/",
  "http://b/",
  "http://a:80/x",
  "a:80",
  "/%zz",
];
const versions = ["HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/1.1 ", "http/1.1", "HTTP/2", ""];
const hosts = ["a", "A", "a:80", "b", "", " ", "a, b", "a b", "a/b", "u@a", "[::1]", "a:b", "127.1", "\xe4", "a.b_c"];
const lengths = ["0", "1", "5", "05", "5, 5", "+5", "-1", "0x5", "5 5", "", "4294967301", "9007199254740993"];
const codings = [
  "chunked",
  "Chunked",
  "identity",
  "gzip, chunked",
  "chunked, gzip",
  "xchunked",
  " chunked",
  "chunked;a",
  "",
];
const names = ["Host", "host", "HOST", "Content-Length", "content-length", "Transfer-Encoding", "TRANSFER-ENCODING"];
const oddities = [
  "X: a\r\n b\r\n",
  "X : a\r\n",
  "X(: a\r\n",
  ": a\r\n",
  "X\r\n",
  "X: a\rb\r\n",
  "X: a\x00b\r\n",
  "X: a\n",
];
const chunks = [
  "5\r\nhello\r\n",
  "1\r\nx\r\n",
  "05;a=b\r\nhello\r\n",
  "5\nhello\r\n",
  "5 \r\nhello\r\n",
  "0x5\r\nhello\r\n",
  "5\r\nhell\r\n",
  "g\r\n",
];
const lineEnds = ["\r\n", "\n", "\r", "\r\r\n", "\n\r", ""];

/** Mostly the first, which is good; seldom one of the others. */
function mostly<T>(random: Random, items: readonly [T, ...T[]], share = 0.85): T {
  return random.chance(share) ? items[0] : random.pick(items);
}

function header(random: Random): string {
  const lines = [`Host: ${mostly(random, ["a", ...hosts], 0.7)}`];
  if (random.chance(0.1)) lines.pop();
  if (random.chance(0.1)) lines.push(`${random.pick(names)}: ${random.pick([...hosts, ...lengths, ...codings])}`);
  if (random.chance(0.1)) lines.push("Connection: close");
  if (random.chance(0.05)) lines.push("Connection: Upgrade", "Upgrade: x");
  if (random.chance(0.05)) lines.push("Expect: 100-continue");
  const text = lines.map((line) => `${line}${mostly(random, ["\r\n", ...lineEnds], 0.98)}`).join("");
  return random.chance(0.1) ? text + random.pick(oddities) : text;
}

function body(random: Random): { readonly fields: string; readonly bytes: string } {
  const length = `Content-Length: ${mostly(random, ["5", ...lengths], 0.7)}\r\n`;
  const coding = `Transfer-Encoding: ${mostly(random, ["chunked", ...codings], 0.7)}\r\n`;
  const pieces = Array.from({ length: random.below(3) }, () => mostly(random, ["5\r\nhello\r\n", ...chunks])).join("");
  const inChunks = `${pieces}${mostly(random, ["0\r\n\r\n", "0\r\nX: y\r\n\r\n", "0\r\nHost: b\r\n\r\n", "0\n\n", "0\r\n"], 0.9)}`;
  const whole = "hello";
  return random.pick([
    { fields: "", bytes: "" },
    { fields: length, bytes: whole },
    { fields: coding, bytes: inChunks },
    {
      fields: mostly(random, [coding, length + coding, coding + length, length + length, coding + coding]),
      bytes: inChunks,
    },
    { fields: length + coding, bytes: random.pick([whole, inChunks]) },
  ]);
}

/** `turn` tells the messages of a soup apart. */
function message(random: Random, turn: number): string {
  const { fields, bytes } = body(random);
  const method = mostly(random, [fields === "" ? "GET" : "POST", ...methods]);
  const first = [method, mostly(random, [`/${turn}`, ...targets]), mostly(random, ["HTTP/1.1", ...versions], 0.9)];
  const blank = mostly(random, [" ", "  ", "\t"], 0.97);
  const end = mostly(random, ["\r\n", ...lineEnds], 0.98);
  return `${first.join(blank)}${end}${header(random)}${fields}${mostly(random, ["\r\n", ...lineEnds], 0.98)}${bytes}`;
}

/** One to four messages, and sometimes a few bytes that were hit on the way. One character is one byte. */
export function makeSoup(random: Random): string {
  let soup = Array.from({ length: 1 + random.below(4) }, (_, turn) => message(random, turn)).join(
    mostly(random, ["", "\r\n", "\n", " "], 0.95),
  );
  for (let hits = random.chance(0.3) ? 1 + random.below(3) : 0; hits > 0; hits -= 1) {
    const at = random.below(soup.length);
    const into = random.pick([
      String.fromCharCode(random.below(256)),
      "",
      "\r\n",
      soup.slice(at, at + random.below(20)).repeat(2),
    ]);
    soup = soup.slice(0, at) + into + soup.slice(at + random.below(3));
  }
  return soup;
}

/** `soup` in up to five pieces. */
export function cutSoup(random: Random, soup: string): readonly string[] {
  const cuts = Array.from({ length: random.below(5) }, () => random.below(soup.length)).toSorted((a, b) => a - b);
  return [0, ...cuts].map((from, at) => soup.slice(from, cuts[at] ?? soup.length));
}

/** As the server's `req.headers.host` is compared with what the parsers say. */
export function normalHost(host: string): string {
  return host.toLowerCase().replace(/:(?:80)?$/, "");
}

/** Where the host of a request stands: in the target if that is a whole URL, else in the field. */
function hostOf(target: string, field: string): string {
  const [, inTarget] = /^https?:\/\/([^/?]*)/i.exec(target) ?? [];
  return normalHost(inTarget ?? field);
}

/** A body's length in bytes, and where what follows it begins; undefined if it is malformed or not complete. */
interface Extent {
  readonly length: number;
  readonly end: number;
}

/** Reads chunks and trailers; the two parsers differ in what they take for a size and a line end. */
function readChunked(
  text: string,
  from: number,
  patterns: { readonly size: RegExp; readonly line: RegExp },
): Extent | undefined {
  const { size, line } = patterns;
  let length = 0;
  let at = from;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found === null) return undefined;
    at = pattern.lastIndex;
    return found[1] ?? "";
  };
  for (;;) {
    const digits = take(size);
    if (digits === undefined) return undefined;
    const bytes = Number.parseInt(digits, 16);
    if (bytes === 0) break;
    length += bytes;
    at += bytes;
    if (take(/\r?\n/y) === undefined) return undefined;
  }
  for (;;) {
    const trailer = take(line);
    if (trailer === undefined) return undefined;
    if (trailer === "") return { length, end: at };
  }
}

const strictPatterns = {
  size: /([\da-fA-F]+)(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n/y,
  line: /((?:[\w!#$%&'*+.^`|~-]+:[\t\x20-\x7e\x80-\xff]*)?)\r\n/y,
};

/** RFC 9112, with what it lets a server forgive: empty lines before a request, more than one space in its first line. */
export function readStrictly(soup: string): readonly ReadRequest[] {
  const found: ReadRequest[] = [];
  const head =
    /(?:\r?\n)*([\w!#$%&'*+.^`|~-]+) +([!-~]+) +HTTP\/1\.([01])\r\n((?:[\w!#$%&'*+.^`|~-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n/y;
  for (let match = head.exec(soup); match !== null; match = head.exec(soup)) {
    const [, method = "", target = "", minor = "", lines = ""] = match;
    const fields = lines
      .split("\r\n")
      .slice(0, -1)
      .map((line) => /^([^:]+):[\t ]*(.*?)[\t ]*$/.exec(line) ?? []);
    const valuesOf = (name: string): readonly string[] =>
      fields.filter(([, field = ""]) => field.toLowerCase() === name).map(([, , value = ""]) => value);
    const [given, second] = valuesOf("host");
    if (second !== undefined) break;
    const extent = strictExtent(soup, head.lastIndex, {
      lengths: valuesOf("content-length"),
      codings: valuesOf("transfer-encoding"),
      minor,
    });
    if (extent === undefined) break;
    found.push({ method, target, host: hostOf(target, given ?? ""), bodyLength: extent.length });
    head.lastIndex = extent.end;
  }
  return found;
}

interface Framing {
  readonly lengths: readonly string[];
  readonly codings: readonly string[];
  readonly minor: string;
}

function strictExtent(
  soup: string,
  from: number,
  { lengths: given, codings: coded, minor }: Framing,
): Extent | undefined {
  if (coded.length > 0) {
    if (given.length > 0 || minor === "0" || coded.join(",").toLowerCase() !== "chunked") return undefined;
    return readChunked(soup, from, strictPatterns);
  }
  if (given.length === 0) return { length: 0, end: from };
  if (given.length > 1 || !/^\d+$/.test(given[0] ?? "")) return undefined;
  const length = Number(given[0]);
  return from + length > soup.length ? undefined : { length, end: from + length };
}

const lenientPatterns = { size: /[ \t]*(?:0x)?([\da-f]+)[^\n]*\n/iy, line: /([^\r\n]*)\r?\n/y };

/** Reads what it can. Of two hosts or lengths the last counts, of a length and chunks the chunks, but not in HTTP/1.0. */
export function readLeniently(soup: string): readonly ReadRequest[] {
  const found: ReadRequest[] = [];
  const head = /\s*([^\s]+)[ \t]+([^\s]+)(?:[ \t]+([^\s]+))?[ \t]*\r?\n((?:[^\r\n]+\r?\n)*)\r?\n/y;
  for (let match = head.exec(soup); match !== null; match = head.exec(soup)) {
    const [, method = "", target = "", version = "", lines = ""] = match;
    const valueOf = new Map<string, string>();
    for (const line of lines.replaceAll(/\r?\n[ \t]+/g, " ").split("\n")) {
      const [, name = "", value = ""] = /^([^:]*):(.*)$/s.exec(line) ?? [];
      valueOf.set(name.trim().toLowerCase(), value.trim());
    }
    const isChunked = !version.endsWith("1.0") && /chunked/i.test(valueOf.get("transfer-encoding") ?? "");
    const length = Math.max(Number.parseInt(valueOf.get("content-length") ?? "0", 10) || 0, 0);
    const from = head.lastIndex;
    const extent = isChunked ? readChunked(soup, from, lenientPatterns) : { length, end: from + length };
    if (extent === undefined || extent.end > soup.length) break;
    found.push({ method, target, host: hostOf(target, valueOf.get("host") ?? ""), bodyLength: extent.length });
    head.lastIndex = extent.end;
  }
  return found;
}
