/** Work after the response: an audit line that nobody waits for, and a drain that does. */

import { once } from "node:events";
import { createServer } from "sluice/server";
import { Tasks } from "sluice/tasks";

const tasks = new Tasks({
  maxRunning: 64,
  timeout: "10s",
  onError: (error, { task, suppressed }) =>
    console.log(`task ${task} failed: ${String(error)} (${suppressed} like it left out)`),
});

const server = createServer({ drain: { grace: "20s" } }, (req, res) => {
  const { method, url } = req;
  tasks.after(res, "audit", { timeout: "3s" }, async ({ signal }) => {
    await writeAuditLine(`${method} ${url}`, signal);
  });
  res.end("ordered\n");
});

async function writeAuditLine(line: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (line.includes("bad")) throw new Error("the audit log is full");
  console.log("audited:", line);
}

async function drain(): Promise<void> {
  await server.drain();
  const { abandoned } = await tasks.drain();
  console.log("drained; abandoned:", abandoned);
}
process.once("SIGTERM", () => void drain());

server.listen(Number(process.env["PORT"] ?? 0), "127.0.0.1");
await once(server, "listening");
const address = server.address();
if (address === null || typeof address !== "object") throw new Error("it listens on a port");
for (const path of ["/order", "/bad"]) {
  // One after the other, so that the lines come in this order.
  // oxlint-disable-next-line no-await-in-loop
  await (await fetch(`http://127.0.0.1:${address.port}${path}`)).text();
}
process.kill(process.pid, "SIGTERM");
