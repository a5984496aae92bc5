/** HTTPS with HTTP/2 for whoever offers it, and HTTP/1.1 for the others: the same handler, the same limits. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import { request, type RequestOptions } from "node:https";
import { text } from "node:stream/consumers";
import { createServer } from "sluice/server";

const read = (name: string): Buffer => readFileSync(new URL(`../../test/fixtures/tls/${name}`, import.meta.url));
const ca = read("ca.pem");

const server = createServer(
  { tls: { cert: read("server.pem"), key: read("server.key") }, http2: true, tlsHandshakeTimeout: "5s" },
  (req, res) => res.end(`HTTP/${req.httpVersion}`),
);
await once(server.listen(0, "127.0.0.1"), "listening");
const address = server.address();
const port = typeof address === "object" ? (address?.port ?? 0) : 0;

const session = connect(`https://127.0.0.1:${port}`, { ca });
const streams = Array.from({ length: 3 }, () => session.request({ ":path": "/" }));
console.log(await Promise.all(streams.map((stream) => text(stream))), "on one connection");
session.close();

const old: RequestOptions = { host: "127.0.0.1", port, ca, agent: false };
const [response] = await once(request(old).end(), "response");
console.log(await text(response), "on another one");

console.log("accepted:", server.stats().accepted);
await server.drain();
