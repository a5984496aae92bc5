import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test, type TestContext } from "node:test";
import { Worker } from "node:worker_threads";
import { assertNothingLeft, until } from "../../test/support/loopback.ts";
import { readListenDrops, readListenQueue, type ProcFiles } from "./listen-queue.ts";

afterEach(assertNothingLeft);

const onlyOnLinux = { skip: process.platform !== "linux" && "the kernel tells it on Linux only" };

/** Listens, and then blocks its event loop, so that nobody accepts. */
const blocked = `
  const { parentPort, workerData } = require("node:worker_threads");
  const server = require("node:net").createServer().listen(workerData, () => {
    parentPort.postMessage(server.address());
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  });
`;

/** A listening socket whose process is too busy to accept. */
async function blockedServer(backlog: number): Promise<{ readonly address: AddressInfo } & AsyncDisposable> {
  const worker = new Worker(blocked, { eval: true, workerData: { port: 0, host: "127.0.0.1", backlog } });
  const [address] = (await once(worker, "message")) as [AddressInfo];
  return {
    address,
    async [Symbol.asyncDispose]() {
      await worker.terminate();
    },
  };
}

test("what nobody accepts is seen in the queue, and what is too much for it as overflows", onlyOnLinux, async () => {
  await using server = await blockedServer(8);
  const sockets: Socket[] = [];
  const open = (): Socket => {
    const socket = connect(server.address.port, "127.0.0.1").on("error", () => {});
    sockets.push(socket);
    return socket;
  };
  assert.deepEqual(readListenQueue(server.address, 8), { length: 0, limit: 8 });
  await Promise.all(Array.from({ length: 5 }, () => once(open(), "connect")));
  assert.deepEqual(readListenQueue(server.address, 8), { length: 5, limit: 8 });

  const before = readListenDrops();
  assert.ok(before);
  for (let index = 0; index < 10; index += 1) open();
  await until(() => (readListenDrops()?.overflows ?? 0) > before.overflows);
  const after = readListenDrops();
  assert.ok(after);
  assert.ok(after.overflows > before.overflows && after.drops > before.drops, "no overflow was counted");
  // The kernel takes one more than the backlog.
  assert.deepEqual(readListenQueue(server.address, 8), { length: 9, limit: 8 });
  for (const socket of sockets) socket.destroy();
});

for (const host of ["127.0.0.1", "0.0.0.0", "::1", "::"]) {
  test(`a server that accepts at once has an empty queue on ${host}`, onlyOnLinux, async () => {
    const server = createServer().listen({ port: 0, host, backlog: 100_000 });
    await once(server, "listening");
    const queue = readListenQueue(server.address() as AddressInfo, 100_000);
    assert.equal(queue?.length, 0);
    assert.ok(queue.limit < 100_000, "net.core.somaxconn was not heeded");
    server.close();
    await once(server, "close");
  });
}

test("a port that nobody listens on has no queue", onlyOnLinux, async () => {
  const server = createServer().listen({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const address = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  assert.equal(readListenQueue(address, 511), undefined);
});

const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const line = (local: string, state: string, queues: string): string =>
  `   1: ${local} 00000000:0000 ${state} ${queues} 00:00000000 00000000   106        0 7201 1 0000000032aa462c 100\n`;

/** Files as the kernel would have them. */
function procFiles(t: TestContext, contents: { readonly [Name in keyof ProcFiles]?: string }): ProcFiles {
  const folder = mkdtempSync(join(tmpdir(), "sluice-proc-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(contents)) writeFileSync(join(folder, name), text);
  const [tcp = "", tcp6 = "", netstat = "", somaxconn = ""] = ["tcp", "tcp6", "netstat", "somaxconn"].map((name) =>
    join(folder, name),
  );
  return { tcp, tcp6, netstat, somaxconn };
}

test("the queue is that of the address and the port, and of no other", (t) => {
  const files = procFiles(t, {
    tcp:
      head +
      line("0100007F:1F90", "0A", "00000000:00000003") +
      line("00000000:1F90", "0A", "00000000:000000FF") +
      line("0100007F:1F91", "0A", "00000000:00000001"),
    tcp6:
      head +
      line("00000000000000000000000000000000:1F90", "0A", "00000000:00000002") +
      line("B80D01200000000000000000010000AB:1F90", "0A", "00000000:00000007"),
    somaxconn: "128\n",
  });
  const lengthAt = (address: string, family: string, port: number): number | undefined =>
    readListenQueue({ address, family, port }, 511, files)?.length;

  assert.equal(lengthAt("127.0.0.1", "IPv4", 8_080), 3);
  assert.equal(lengthAt("0.0.0.0", "IPv4", 8_080), 255);
  assert.equal(lengthAt("127.0.0.1", "IPv4", 8_081), 1);
  assert.equal(lengthAt("127.0.0.1", "IPv4", 8_082), undefined);
  assert.equal(lengthAt("::", "IPv6", 8_080), 2);
  assert.equal(lengthAt("2001:db8::ab00:1", "IPv6", 8_080), 7);
  assert.equal(readListenQueue({ address: "127.0.0.1", family: "IPv4", port: 8_080 }, 511, files)?.limit, 128);
  assert.equal(readListenQueue({ address: "127.0.0.1", family: "IPv4", port: 8_080 }, 100, files)?.limit, 100);
});

test("sockets that share a port are added up, in length and in limit", (t) => {
  const shared = line("0100007F:1F90", "0A", "00000000:00000003");
  const files = procFiles(t, { tcp: head + shared.repeat(40), somaxconn: "4096\n" });
  const queue = readListenQueue({ address: "127.0.0.1", family: "IPv4", port: 8_080 }, 10, files);
  assert.deepEqual(queue, { length: 120, limit: 400 });
});

test("reading stops at the first connection, since listening sockets stand before them", (t) => {
  const files = procFiles(t, {
    tcp:
      head +
      line("0100007F:1F90", "0A", "00000000:00000003") +
      line("0100007F:1F90", "01", "00000000:00000009") +
      line("0100007F:1F90", "0A", "00000000:00000007"),
    somaxconn: "4096\n",
  });
  const queue = readListenQueue({ address: "127.0.0.1", family: "IPv4", port: 8_080 }, 511, files);
  assert.deepEqual(queue, { length: 3, limit: 511 });
});

test("what the machine does not show is undefined and no error", (t) => {
  const files = procFiles(t, { netstat: "TcpExt: SyncookiesSent\nTcpExt: 1\nIpExt: ListenOverflows\nIpExt: 3\n" });
  assert.equal(readListenQueue({ address: "127.0.0.1", family: "IPv4", port: 8_080 }, 511, files), undefined);
  assert.equal(readListenDrops(files), undefined);
  assert.equal(readListenDrops({ ...files, netstat: "/nowhere" }), undefined);
});

test("overflows and drops are found by their names, wherever they stand", (t) => {
  const netstat = "TcpExt: A ListenDrops B ListenOverflows\nTcpExt: 1 22 3 4\nIpExt: ListenDrops\nIpExt: 9\n";
  assert.deepEqual(readListenDrops(procFiles(t, { netstat })), { overflows: 4, drops: 22 });
});
