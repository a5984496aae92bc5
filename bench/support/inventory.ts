/**
 * What a process holds on to: descriptors, handles, and the objects on its heap that stand for a connection, a timer
 * or a context. Two inventories, before and after, show what was left behind, whether or not it is ref'ed.
 */

import { readdirSync, readlinkSync } from "node:fs";
import { Socket } from "node:net";
import { queryObjects } from "node:v8";
import { background } from "sluice/core";

export interface Inventory {
  /** Socket descriptors in /proc/self/fd; 0 where there is no /proc. */
  readonly socketDescriptors: number;
  /** What keeps the event loop alive. */
  readonly handles: number;
  readonly sockets: number;
  readonly timers: number;
  readonly immediates: number;
  readonly contexts: number;
  readonly processListeners: number;
}

const timer = setTimeout(() => undefined, 0);
const immediate = setImmediate(() => undefined);
clearTimeout(timer);
clearImmediate(immediate);

/** Counts after a full collection, which counting objects entails. */
export function takeInventory(): Inventory {
  return {
    socketDescriptors: countSocketDescriptors(),
    handles: process.getActiveResourcesInfo().length,
    sockets: queryObjects(Socket, { format: "count" }),
    timers: queryObjects(timer.constructor, { format: "count" }),
    immediates: queryObjects(immediate.constructor, { format: "count" }),
    contexts: queryObjects(background.constructor, { format: "count" }),
    processListeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
  };
}

function countSocketDescriptors(): number {
  try {
    return readdirSync("/proc/self/fd").filter(isSocket).length;
  } catch {
    return 0;
  }
}

function isSocket(descriptor: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith("socket:");
  } catch {
    // The descriptor of the directory listing itself is gone by now.
    return false;
  }
}

/** What there is more of than before, by name. Fewer is no leak. */
export function compareInventories(before: Inventory, after: Inventory): Readonly<Record<string, number>> {
  const known = new Map<string, number>(Object.entries(before));
  const more = Object.entries<number>({ ...after }).map(
    ([name, count]) => [name, count - (known.get(name) ?? 0)] as const,
  );
  return Object.fromEntries(more.filter(([, difference]) => difference > 0));
}
