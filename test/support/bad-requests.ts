/** Requests, right and wrong, as bytes, and what a strict server does with each. */

/** What becomes of the connection: kept for the next request, closed after the answer, or closed without one. */
type Fate = "kept" | "closed" | "silent";

export interface RequestRow {
  readonly name: string;
  /** One character is one byte. */
  readonly bytes: string;
  /** 0 where nothing is answered. */
  readonly status: number;
  /** The label of the counter; undefined for what is served. */
  readonly reason: string | undefined;
  readonly fate: Fate;
  /** It comes out otherwise when it does not come in one piece. */
  readonly onePiece?: boolean;
  /** The client ends its side after it. */
  readonly ends?: boolean;
}

type More = Pick<RequestRow, "onePiece" | "ends">;

const kept = (name: string, bytes: string, reason: string): RequestRow => ({
  name,
  bytes,
  status: 400,
  reason,
  fate: "kept",
});

function closed(
  name: string,
  bytes: string,
  answer: readonly [status: number, reason: string],
  more?: More,
): RequestRow {
  return { name, bytes, status: answer[0], reason: answer[1], fate: "closed", ...more };
}

const served = (name: string, bytes: string, fate: Fate = "kept"): RequestRow => ({
  name,
  bytes,
  status: 200,
  reason: undefined,
  fate,
});

/** A GET with these header lines. */
const get = (...lines: readonly string[]): string =>
  `GET / HTTP/1.1\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
/** A request line of one's own, with a good Host. */
const line = (first: string): string => `${first}\r\nHost: a\r\n\r\n`;
/** A POST with these header lines besides Host, and the bytes of its body. */
const post = (lines: readonly string[], body: string): string =>
  `POST / HTTP/1.1\r\nHost: a\r\n${lines.map((each) => `${each}\r\n`).join("")}\r\n${body}`;
const chunked = (body: string): string => post(["Transfer-Encoding: chunked"], body);
const coded = (...codings: readonly string[]): string =>
  post(
    codings.map((coding) => `Transfer-Encoding: ${coding}`),
    "1\r\nx\r\n0\r\n\r\n",
  );

const hosts: readonly RequestRow[] = [
  kept("no Host", get(), "host_missing"),
  kept("an empty Host", get("Host:"), "host_empty"),
  kept("a Host of blanks", get("Host: \t "), "host_empty"),
  closed("two Hosts", get("Host: a", "Host: b"), [400, "host_duplicate"]),
  closed("the same Host twice", get("Host: a", "host: a"), [400, "host_duplicate"]),
  closed("two Hosts, oddly spelt, far apart", get("HOST: a", "X: 1", "Y: 2", "hOsT: b"), [400, "host_duplicate"]),
  closed("two Hosts, the first of them empty", get("Host:", "Host: a"), [400, "host_duplicate"]),
  ...[
    "a, b",
    "a,b",
    "a b",
    "a/b",
    "a/",
    "u@a",
    "u:p@a",
    "a:b",
    "a:65536",
    "a:123456",
    "a:-1",
    "a:80:80",
    ":80",
    "a?b",
    "a#b",
    "a\\b",
    "a%62",
    "a;b",
    "a'b",
    '"a"',
    "a..b",
    ".a",
    ".",
    "http://a",
    "\xe4",
    "xn--\xe4",
    "::1",
    "[::1",
    "::1]",
    "[::1]a",
    "[::g]",
    "[]",
    "[::1]:x",
    "[fe80::1%25eth0]",
    "[v1.a]",
    "[127.0.0.1]",
    "256.1.1.1",
    "1.2.3",
    "1.2.3.4.5",
    "127.1",
    "0127.0.0.1",
    "0x7f.0.0.1",
    "2130706433",
    "a.1",
    "08",
    "0x",
    "a.0x",
    "x".repeat(256),
  ].map((host) => kept(`Host: ${host.slice(0, 20)}`, get(`Host: ${host}`), "host_malformed")),
  ...[
    "a",
    "a:80",
    "a:",
    "a:65535",
    "A.Example",
    "a.",
    "a-b.c-d",
    "my_service",
    "_dmarc.a_b",
    "~a",
    "xn--nxasmq6b",
    "1a.2b",
    "0xg",
    "1.2.3.4",
    "1.2.3.4:8080",
    "[::1]",
    "[::1]:8080",
    "[2001:DB8:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "x".repeat(63),
  ].map((host) => served(`Host: ${host}`, get(`Host: ${host}`))),
  served("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "closed"),
  closed("HTTP/1.0 with a malformed Host", "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", [400, "host_malformed"]),
];

const targets: readonly RequestRow[] = [
  ...["/a#b", "/#", "/a\\b", "http://a/x#y", "http:///x", "http://u@a/", "http://a:b/", "http://a;b/"].map((target) =>
    kept(`target ${target}`, line(`GET ${target} HTTP/1.1`), "target"),
  ),
  ...["http://[::1/", "ftp://a/", "ws://a/", "*"].map((target) =>
    kept(`target ${target}`, line(`GET ${target} HTTP/1.1`), "target"),
  ),
  kept("POST *", line("POST * HTTP/1.1"), "target"),
  kept("OPTIONS *x", line("OPTIONS *x HTTP/1.1"), "target"),
  served("OPTIONS *", line("OPTIONS * HTTP/1.1")),
  kept("a target with another host", line("GET http://b/ HTTP/1.1"), "host_mismatch"),
  kept("a target with another port", line("GET http://a:81/ HTTP/1.1"), "host_mismatch"),
  kept("a target with the other scheme's port", line("GET http://a:443/ HTTP/1.1"), "host_mismatch"),
  ...["http://a/x", "HTTP://A/x", "http://a:80/x", "http://a", "http://a?x", "https://a:443/"].map((target) =>
    served(`target ${target}`, line(`GET ${target} HTTP/1.1`)),
  ),
  closed("a whole URL in HTTP/1.0 without Host", "GET http://a/ HTTP/1.0\r\n\r\n", [400, "host_missing"]),
  served("a whole URL in HTTP/1.0", line("GET http://a/ HTTP/1.0"), "closed"),
  ...["/", "//b/c", "/a?b\\c", "/%zz", "/%2e%2e/%00", "/a'\"<>`{}|^", "/?http://b/", "/a?b?c"].map((target) =>
    served(`target ${target}`, line(`GET ${target} HTTP/1.1`)),
  ),
  ...["a", "?a", "\\", "http:/a", "http://a\\b/", "/a\tb", "/\x00", "/\x01", "/\x7f", "/\xe4"].map((target) =>
    closed(`target ${JSON.stringify(target)}`, line(`GET ${target} HTTP/1.1`), [400, "target"]),
  ),
  closed("a target too long", line(`GET /${"a".repeat(17_000)} HTTP/1.1`), [414, "target_size"], { onePiece: true }),
  closed("a blank in the target", line("GET /a b HTTP/1.1"), [400, "request_line"]),
];

const lines: readonly RequestRow[] = [
  closed("no version", "GET /\r\n\r\n", [505, "version"]),
  ...["HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/2", "HTTP/3.0", "HTTP/9.9"].map((version) =>
    closed(version, line(`GET / ${version}`), [505, "version"]),
  ),
  closed("HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505, "version"]),
  ...["HTTP/1.10", "HTTP/1.1 ", "http/1.1", "HTTP /1.1", "HTTP/1.x", "HTTP/1,1", "HTTP/01.1"].map((version) =>
    closed(version, line(`GET / ${version}`), [400, "request_line"], { onePiece: version.endsWith("x") }),
  ),
  closed("a blank before the method", ` ${line("GET / HTTP/1.1")}`, [400, "request_line"]),
  closed("tabs for blanks", line("GET\t/\tHTTP/1.1"), [400, "request_line"]),
  closed("nothing that looks like HTTP", "hello\r\n\r\n", [400, "request_line"]),
  closed("another protocol", "SSH-2.0-OpenSSH_9.6\r\n", [400, "request_line"]),
  closed("a TLS handshake", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", [400, "tls_on_http"], { onePiece: true }),
  closed("a method of one's own", line("FOO / HTTP/1.1"), [501, "method"], { onePiece: true }),
  closed("a method in lower case", line("get / HTTP/1.1"), [501, "method"], { onePiece: true }),
  closed("a method of RTSP", line("PLAY /x RTSP/1.0"), [400, "request_line"]),
  closed("a method of RTSP in HTTP", line("ANNOUNCE /x HTTP/1.1"), [400, "request_line"]),
  closed("a line feed alone after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", [400, "request_line"]),
  closed("a carriage return alone after the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n", [400, "request_line"]),
  served("TRACE, which is the handler's business", line("TRACE / HTTP/1.1")),
  served("empty lines before the request", `\r\n\r\n${line("GET / HTTP/1.1")}`),
];

const fields: readonly RequestRow[] = [
  ...[
    ["a line feed alone", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"],
    ["a line feed alone at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n"],
    ["a carriage return in a value", get("Host: a", "X: b\rc")],
    ["two carriage returns", get("Host: a\r")],
    ["NUL in a value", get("Host: a", "X: b\x00c")],
    ["a control character in a value", get("Host: a", "X: b\x01c")],
    ["DEL in Host", get("Host: a\x7f")],
    ["a blank before the colon", get("Host: a", "X : b")],
    ["a blank before Host", get(" Host: a")],
    ["brackets in a name", get("Host: a", "X(Y): b")],
    ["no name", get("Host: a", ": b")],
    ["no colon", get("Host: a", "x")],
    ["a folded line", get("Host: a", "X: b", " c")],
    ["a folded line, with a tab", get("Host: a", "X: b", "\tc")],
    ["a folded Transfer-Encoding", post(["Transfer-Encoding:", " chunked"], "0\r\n\r\n")],
  ].map(([name = "", bytes = ""]) => closed(name, bytes, [400, "header"])),
  closed("more header fields than maxHeaders", get("Host: a", ...Array<string>(100).fill("X: y")), [
    431,
    "header_count",
  ]),
  served("as many header fields as maxHeaders", get("Host: a", ...Array<string>(99).fill("X: y"))),
  closed("a header field too large", get("Host: a", `X: ${"y".repeat(17_000)}`), [431, "header_size"]),
  closed("more header fields than fit", get("Host: a", ...Array<string>(5_000).fill("X: y")), [431, "header_size"]),
  served("bytes above ASCII in a value", get("Host: a", "X: \xe4\xff")),
];

const lengths: readonly RequestRow[] = [
  ...["1, 1", "+1", "-1", "0x1", "1e0", "1 1", "1.0", "x", "9007199254740993", "99999999999999999999"].map((length) =>
    closed(`Content-Length: ${length}`, post([`Content-Length: ${length}`], "x"), [400, "content_length"]),
  ),
  closed("an empty Content-Length", post(["Content-Length:"], ""), [400, "content_length"]),
  closed("the same Content-Length twice", post(["Content-Length: 1", "Content-Length: 1"], "x"), [
    400,
    "content_length",
  ]),
  closed("two Content-Lengths", post(["Content-Length: 1", "Content-Length: 2"], "xx"), [400, "content_length"]),
  ...["1", "01", "1 \t"].map((length) =>
    served(`Content-Length: ${JSON.stringify(length)}`, post([`Content-Length: ${length}`], "x")),
  ),
  closed(
    "Content-Length, then Transfer-Encoding",
    post(["Content-Length: 5", "Transfer-Encoding: chunked"], "0\r\n\r\n"),
    [400, "transfer_encoding"],
  ),
  closed(
    "Transfer-Encoding, then Content-Length",
    post(["Transfer-Encoding: chunked", "Content-Length: 5"], "0\r\n\r\n"),
    [400, "content_length"],
  ),
  ...["identity", "xchunked", "chunked;q=1", '"chunked"', "gzip", "chunked, gzip", "chunked, chunked", "chunked,"].map(
    (coding) => closed(`Transfer-Encoding: ${coding}`, coded(coding), [400, "transfer_encoding"]),
  ),
  closed("Transfer-Encoding: ,chunked", coded(",chunked"), [400, "transfer_encoding"]),
  closed("Transfer-Encoding in two lines", coded("gzip", "chunked"), [400, "transfer_encoding"]),
  closed("Transfer-Encoding: chunked twice", coded("chunked", "chunked"), [400, "transfer_encoding"]),
  closed("an empty Transfer-Encoding", coded(""), [400, "transfer_encoding"]),
  closed("Transfer-Encoding: gzip, chunked", coded("gzip, chunked"), [501, "transfer_coding"]),
  served("Transfer-Encoding: CHUNKED", coded("CHUNKED")),
  closed("chunks in HTTP/1.0", coded("chunked").replace("HTTP/1.1", "HTTP/1.0"), [400, "transfer_encoding"]),
];

const bodies: readonly RequestRow[] = [
  ...[
    "0x1\r\nx",
    "-1\r\nx",
    "+1\r\nx",
    " 1\r\nx",
    "1 \r\nx",
    "1 ;a\r\nx",
    "\r\nx",
    "g\r\nx",
    "fffffffffffffffff\r\nx",
  ].map((chunk) => closed(`chunk ${JSON.stringify(chunk)}`, chunked(`${chunk}\r\n0\r\n\r\n`), [400, "chunk"])),
  ...[
    "1\nx\r\n",
    "1\r\nx\n",
    "1\r\nxyz\r\n",
    '1;a="b\r\nx\r\n',
    "1;a\nb\r\nx\r\n",
    "1;a\rb\r\nx\r\n",
    '1;a="\n"\r\nx\r\n',
  ].map((chunk) => closed(`chunk ${JSON.stringify(chunk)}`, chunked(`${chunk}0\r\n\r\n`), [400, "chunk"])),
  closed("chunk extensions too large", chunked(`1;${"a".repeat(20_000)}\r\nx\r\n0\r\n\r\n`), [413, "chunk_extension"]),
  closed("a trailer with a length", chunked("0\r\nContent-Length: 5\r\n\r\n"), [400, "content_length"]),
  closed("a trailer with a coding", chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n"), [400, "transfer_encoding"]),
  closed("a malformed trailer", chunked("0\r\nx y\r\n\r\n"), [400, "header"]),
  closed("a trailer too large", chunked(`0\r\nX: ${"y".repeat(17_000)}\r\n\r\n`), [431, "header_size"]),
  served("chunks with extensions and a trailer", chunked('1;a=b;c="d"\r\nx\r\n0\r\nX: y\r\n\r\n')),
  served("a trailer that would be a Host", chunked("0\r\nHost: b\r\n\r\n")),
];

const ends: readonly RequestRow[] = [
  closed("an end in the request line", "GET /", [400, "incomplete"], { ends: true }),
  closed("an end in the header", "GET / HTTP/1.1\r\nHost: a\r\nX:", [400, "incomplete"], { ends: true }),
  closed("an end in a body", post(["Content-Length: 9"], "abc"), [400, "incomplete"], { ends: true }),
  closed("an end in a chunk", chunked("5\r\nab"), [400, "incomplete"], { ends: true }),
  { name: "an end before anything", bytes: "", status: 0, reason: undefined, fate: "silent", ends: true },
];

const followers: readonly RequestRow[] = [
  closed("more after Connection: close", get("Host: a", "Connection: close").repeat(2), [200, "after_close"], {
    onePiece: true,
  }),
  closed("a body after a request of HTTP/1.0 without a length", "POST / HTTP/1.0\r\n\r\nx", [200, "after_close"], {
    onePiece: true,
  }),
  closed("more body than announced", post(["Content-Length: 1"], "xy"), [200, "request_line"], { onePiece: true }),
  closed("nonsense after a request", `${get("Host: a")}\x01`, [200, "request_line"], { onePiece: true }),
];

const upgrade = ["Connection: Upgrade", "Upgrade: x"];
const tunnels: readonly RequestRow[] = [
  closed("an upgrade without Host", get(...upgrade), [400, "host_missing"]),
  closed("an upgrade with a body", post([...upgrade, "Content-Length: 3"], "abc"), [400, "upgrade"]),
  closed("an upgrade with chunks", post([...upgrade, "Transfer-Encoding: chunked"], "0\r\n\r\n"), [400, "upgrade"]),
  closed("an upgrade in HTTP/1.0", get("Host: a", ...upgrade).replace("1.1", "1.0"), [400, "upgrade"]),
  closed("an upgrade with a fragment", get("Host: a", ...upgrade).replace("/", "/#"), [400, "target"]),
  ...["/x", "a", "a:", "http://a/", "u@a:80", "a:80/", "*"].map((target) =>
    closed(`CONNECT ${target}`, line(`CONNECT ${target} HTTP/1.1`), [400, "target"]),
  ),
  closed("CONNECT with a body", line("CONNECT a:80 HTTP/1.1\r\nContent-Length: 3"), [400, "upgrade"]),
  closed("CONNECT with two Hosts", line("CONNECT a:80 HTTP/1.1\r\nHost: b"), [400, "host_duplicate"]),
];

/** What a strict server refuses, and what it must not refuse. Each on a connection of its own. */
export const requestRows: readonly RequestRow[] = [
  ...hosts,
  ...targets,
  ...lines,
  ...fields,
  ...lengths,
  ...bodies,
  ...ends,
  ...followers,
  ...tunnels,
];
