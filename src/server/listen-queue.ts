/**
 * What waits before `accept`, where no code of the process can see it.
 *
 * The kernel completes connections by itself and keeps them in a queue of each listening socket, at most the backlog;
 * beyond it drops what clients send, and they try again after a second, and then two. A process whose event loop is
 * not late can still lose connections there, since each turn of the loop accepts only some of them. Node has no way to
 * ask for the length of that queue, but Linux tells it in `/proc`; elsewhere the answer is `undefined`.
 *
 * All is read when it is asked for. `/proc/net/tcp` has a line for every connection of the machine (80 ms for 20,000),
 * but listening sockets come first, so reading stops at the first line that is none: 0.03 ms, and up to 3 ms where
 * there is hardly a connection, as the kernel walks through all of its table to find one.
 */

import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { isIPv4, type AddressInfo } from "node:net";
import { endianness } from "node:os";
import { parseIPv6 } from "./addresses.ts";

/** One listening socket's queue of connections that nobody has accepted yet. */
export interface ListenQueue {
  readonly length: number;
  /** Above it, the kernel drops: the smaller one of the backlog and `net.core.somaxconn`. */
  readonly limit: number;
}

/** What the kernel has dropped since its start, over all sockets of the network namespace. */
export interface ListenDrops {
  /** Because the queue of a listening socket was full. */
  readonly overflows: number;
  /** For whatever reason: overflows, and the rarer ones such as lack of memory. */
  readonly drops: number;
}

/** Where to read; tests have files of their own. */
export interface ProcFiles {
  readonly tcp: string;
  readonly tcp6: string;
  readonly netstat: string;
  readonly somaxconn: string;
}

const linuxFiles: ProcFiles = {
  // Of `self`, since `/proc/net` is the same by a link that containers may lack.
  tcp: "/proc/self/net/tcp",
  tcp6: "/proc/self/net/tcp6",
  netstat: "/proc/self/net/netstat",
  somaxconn: "/proc/sys/net/core/somaxconn",
};

const filesHere: ProcFiles | undefined = process.platform === "linux" ? linuxFiles : undefined;

/**
 * The queue of the socket that listens on `address`, what `server.address()` has returned. Sockets that share it
 * (`reusePort`) are added up. `undefined` where it cannot be told.
 */
export function readListenQueue(
  address: AddressInfo,
  backlog: number,
  files: ProcFiles | undefined = filesHere,
): ListenQueue | undefined {
  if (files === undefined) return undefined;
  const local = procAddress(address);
  try {
    const queues = readListeners(isIPv4(address.address) ? files.tcp : files.tcp6).filter(
      (listener) => listener.local === local,
    );
    if (queues.length === 0) return undefined;
    const somaxconn = Number(readFileSync(files.somaxconn, "latin1"));
    return {
      length: queues.reduce((sum, listener) => sum + listener.length, 0),
      limit: Math.min(backlog, somaxconn || backlog) * queues.length,
    };
  } catch {
    // Some containers hide /proc: what cannot be seen is left out, and is no reason to fail.
    return undefined;
  }
}

/** What the kernel has dropped on all listening sockets; `undefined` where it cannot be told. */
export function readListenDrops(files: ProcFiles | undefined = filesHere): ListenDrops | undefined {
  if (files === undefined) return undefined;
  try {
    const lines = readFileSync(files.netstat, "latin1").split("\n");
    const [names, values] = lines.filter((line) => line.startsWith("TcpExt:")).map((line) => line.split(" "));
    const overflows = Number(values?.[names?.indexOf("ListenOverflows") ?? -1]);
    const drops = Number(values?.[names?.indexOf("ListenDrops") ?? -1]);
    return Number.isNaN(overflows + drops) ? undefined : { overflows, drops };
  } catch {
    // As above.
    return undefined;
  }
}

interface Listener {
  readonly local: string;
  readonly length: number;
}

/** Few lines at a time, because the kernel makes them while they are read. */
const chunkSize = 2_048;

/** The listening sockets of a table, which come before all others. */
function readListeners(file: string): readonly Listener[] {
  const listeners: Listener[] = [];
  const buffer = Buffer.allocUnsafe(chunkSize);
  const fd = openSync(file, "r");
  try {
    let rest = "";
    for (;;) {
      const size = readSync(fd, buffer, 0, chunkSize, null);
      if (size === 0) return listeners;
      const lines = (rest + buffer.toString("latin1", 0, size)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        // "0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 ...": address, peer, state, send queue:receive queue.
        // A listening socket's receive queue is its queue of connections.
        const [slot, local = "", , state, queues = ""] = line.trim().split(/\s+/, 5);
        if (slot === "sl") continue;
        if (state !== "0A") return listeners;
        listeners.push({ local, length: Number.parseInt(queues.slice(queues.indexOf(":") + 1), 16) });
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** An address as the table has it: words of 32 bits in the byte order of the machine, and the port. */
function procAddress({ address, port }: AddressInfo): string {
  const bytes = isIPv4(address)
    ? address.split(".").map(Number)
    : parseIPv6(address).groups.flatMap((group) => [group >> 8, group & 0xff]);
  const words: string[] = [];
  for (let at = 0; at < bytes.length; at += 4) {
    const word = bytes.slice(at, at + 4);
    if (endianness() === "LE") word.reverse();
    words.push(...word.map(toHex));
  }
  return `${words.join("")}:${port.toString(16).toUpperCase().padStart(4, "0")}`;
}

function toHex(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, "0");
}
