/** What the kernel tells about the bytes that are on their way, and what happens where it tells nothing. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { spawnSync } from "node:child_process";
import fs, { closeSync, fstatSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { now } from "../core/clock.ts";
import { listen, until } from "../../test/support/loopback.ts";
import { readTables } from "./send-queue-tables.ts";
import { SendQueues, type SendQueue } from "./send-queues.ts";

const columns = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

/** Files that look like the kernel's tables, and the descriptor that their lines are about. */
function makeTables(
  t: TestContext,
  lines: (inode: number) => readonly [tcp: string, tcp6: string],
): [number, string[]] {
  const folder = mkdtempSync(join(tmpdir(), "sluice-tables-"));
  const anyFile = join(folder, "socket");
  writeFileSync(anyFile, "");
  const descriptor = openSync(anyFile, "r");
  t.after(() => {
    closeSync(descriptor);
    rmSync(folder, { recursive: true });
  });
  const texts = lines(fstatSync(descriptor).ino);
  const files = texts.map((text, index) => {
    const file = join(folder, `table${index}`);
    writeFileSync(file, columns + text);
    return file;
  });
  return [descriptor, files];
}

/** What a read finds that begins now or later. */
async function look(queues: SendQueues, descriptor: number, since = now()): Promise<SendQueue | undefined> {
  // On a machine with tens of thousands of sockets it may take a second and more.
  for (let turn = 0; turn < 1_000; turn += 1) {
    queues.refresh(graceMs);
    const queue = queues.look(descriptor);
    if (!queues.isReadable || (queue !== undefined && queue.askedAt >= since)) return queue;
    // oxlint-disable-next-line no-await-in-loop -- polling is one look after the other
    await sleep(5);
  }
  return assert.fail("it was not found out within five seconds");
}

const graceMs = 80;

/** A line of /proc/net/tcp, as Linux 6 writes it. */
const tcpLine = (slot: string, queue: string, inode: number): string =>
  `${slot}: 0100007F:1F90 0100007F:A2A1 01 ${queue}:00000000 02:000A7D8C 00000000  1000        0 ${inode} 2 000000001cf4917a 20 4 30 10 -1\n`;

test("the queue of a socket is found by its inode, whatever the lines around it look like", async (t) => {
  const [descriptor, files] = makeTables(t, (inode) => [
    tcpLine("   0", "00000000", inode + 1) +
      tcpLine("12345", "00038D40", inode) +
      tcpLine("   2", "00000007", inode + 2),
    "",
  ]);

  const queue = await look(new SendQueues(files), descriptor);

  assert.equal(queue?.unackedBytes, 0x38d40);
});

test("a socket of IPv6 is found too", async (t) => {
  const [descriptor, files] = makeTables(t, (inode) => [
    "",
    `   3: 0000000000000000FFFF00000100007F:A2A1 0000000000000000FFFF00000100007F:8578 01 0000000A:00000000 00:00000000 00000000     0        0 ${inode} 1 000000001cf4917a 20 0 0 10 -1\n`,
  ]);

  assert.equal((await look(new SendQueues(files), descriptor))?.unackedBytes, 10);
});

test("a socket that is not in the tables, or has nothing queued, has an empty queue", async (t) => {
  const [descriptor, files] = makeTables(t, (inode) => [tcpLine("   0", "00000000", inode), ""]);
  const queues = new SendQueues(files);

  assert.equal((await look(queues, descriptor))?.unackedBytes, 0);
  assert.equal(queues.look(1_000_000)?.unackedBytes, 0, "of a descriptor that is not open");
  assert.equal(queues.isReadable, true);
  queues.close();
});

test("in a long table every line is read, also those that a page cuts in two", async (t) => {
  const [descriptor, files] = makeTables(t, (inode) => {
    const others = Array.from({ length: 300 }, (_, index) => tcpLine(String(index), "00000001", inode + 1 + index));
    return [others.join("") + tcpLine("300", "7FFFFFFF", inode), ""];
  });

  const { queues } = readTables(fs, files);

  assert.deepEqual([queues?.length, queues?.at(-1)], [602, 0x7fffffff]);
  assert.equal(queues?.at(-2), fstatSync(descriptor).ino);
});

test("where there are no tables nothing is told", async () => {
  const queues = new SendQueues(["/nowhere/tcp", "/nowhere/tcp6"]);
  assert.equal(queues.isReadable, true);

  assert.equal(await look(queues, 0), undefined);

  assert.equal(queues.isReadable, false);
  assert.equal(new SendQueues([]).isReadable, false);
});

test("one read serves all who ask, and the next one waits its turn", async (t) => {
  const [descriptor, files] = makeTables(t, (inode) => [tcpLine("   0", "00000005", inode), ""]);
  const queues = new SendQueues(files);
  const first = await look(queues, descriptor);
  assert.ok(first);

  queues.refresh(graceMs);
  queues.refresh(graceMs);
  const second = await look(queues, descriptor, first.askedAt + 0.001);

  assert.ok(second && second.askedAt - first.askedAt >= graceMs / 8, "it was read again at once");
  queues.close();
});

test("a server that has closed its thread starts it again when somebody asks", async (t) => {
  const [descriptor, files] = makeTables(t, (inode) => [tcpLine("   0", "00000005", inode), ""]);
  const queues = new SendQueues(files);
  queues.refresh(graceMs);
  queues.close();
  assert.equal(queues.look(descriptor), undefined);

  assert.equal((await look(queues, descriptor))?.unackedBytes, 5);

  queues.close();
});

test("a program whose only business is the thread ends", () => {
  const program = `import { SendQueues } from ${JSON.stringify(import.meta.resolve("./send-queues.ts"))};
    new SendQueues().refresh(1_000);`;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    timeout: 20_000,
    encoding: "utf8",
  });

  assert.deepEqual([status, stderr], [0, ""]);
});

/** What a socket has been given and the kernel has not taken, and its descriptor. Node declares neither. */
function handleOf(socket: Socket): {
  readonly fd: number;
  readonly writeQueueSize: number;
  readonly bytesWritten: number;
} {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  return Reflect.get(socket, "_handle") as ReturnType<typeof handleOf>;
}

test("the kernel's own tables show that a client reads, long before its socket takes more", async (t) => {
  if (process.platform !== "linux") return t.skip("only Linux has such tables");
  const server = createServer();
  await using listening = await listen(server);
  const client = connect(listening.port, "127.0.0.1").pause();
  const [accepted]: Socket[] = await once(server, "connection");
  assert.ok(accepted);
  accepted.write(Buffer.alloc(2 ** 26));
  const handle = handleOf(accepted);
  const queues = new SendQueues();
  await until(() => handle.writeQueueSize < 2 ** 26);
  await sleep(50);
  const before = await look(queues, handle.fd);
  const sentBefore = handle.bytesWritten - handle.writeQueueSize;

  // What fits into the client's buffer of the kernel is acknowledged unread: this much of it makes room for more.
  for (let bytes = 0; bytes < 600_000;) bytes += client.read()?.length ?? (await once(client, "readable"), 0);
  await sleep(50);
  const after = await look(queues, handle.fd);

  assert.ok(before && after);
  const read = before.unackedBytes - after.unackedBytes + (handle.bytesWritten - handle.writeQueueSize - sentBefore);
  assert.ok(read > 100_000, `${read} bytes more are acknowledged`);
  client.destroy();
});
