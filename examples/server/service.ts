/** A service in ten lines: limits, readiness, and an end that loses no request. It asks itself once, and is then told to stop. */

import { once } from "node:events";
import { createServer } from "sluice/server";

const server = createServer({ drain: { settle: "300ms", grace: "20s" } }, (req, res) => {
  if (req.url === "/readyz") {
    res.writeHead(server.draining ? 503 : 200).end();
    return;
  }
  res.end("hello\n");
});
process.once("SIGTERM", () => void server.drain().then(({ cut }) => console.log("drained,", cut, "connections cut")));
server.listen(Number(process.env["PORT"] ?? 0), "127.0.0.1");

await once(server, "listening");
const address = server.address();
if (typeof address !== "object") throw new Error("it listens on a port");
const url = `http://127.0.0.1:${address?.port}`;

console.log(await (await fetch(url)).text());
console.log("ready:", (await fetch(`${url}/readyz`)).status);
process.kill(process.pid, "SIGTERM");
await new Promise((resolve) => server.onDrain(() => resolve(undefined)));
console.log("ready:", (await fetch(`${url}/readyz`)).status);
