/**
 * Ids of jobs: UUIDs of version 7 (RFC 9562), which sort by the time of their making.
 *
 * A store keeps jobs in the order of their ids at no cost, and an add of unknown outcome is tried again with the id that
 * it had. Node makes only random ones (version 4), which scatter over an index.
 */

import { createHash, randomFillSync } from "node:crypto";

const random = new Uint8Array(8_192);
let used = random.length;
let lastMs = 0;
let sequence = 0;

/** A new id, greater than all that this process has made before. */
export function newJobId(): string {
  const ms = Date.now();
  if (ms > lastMs) {
    lastMs = ms;
    sequence = 0;
  } else {
    // 12 bits for each millisecond; then the clock is ahead of itself by one (RFC 9562, 6.2, method 1).
    sequence += 1;
    if (sequence > 0xfff) {
      lastMs += 1;
      sequence = 0;
    }
  }
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  const tail = Buffer.from(random.buffer, used, 8).toString("hex");
  used += 8;
  return format(lastMs, sequence, tail);
}

/** The id of what `name` stands for at a time: the same in every process. */
export function jobIdOf(name: string, atMs: number): string {
  const digest = createHash("sha256").update(name).digest("hex");
  return format(atMs, Number.parseInt(digest.slice(16, 19), 16), digest.slice(0, 16));
}

function format(ms: number, middle: number, tail: string): string {
  const time = ms.toString(16).padStart(12, "0");
  // The variant, binary 10, stands in the first two bits of the second half.
  const variant = ((Number.parseInt(tail.slice(0, 1), 16) & 0x3) | 0x8).toString(16);
  const group = middle.toString(16).padStart(3, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${group}-${variant}${tail.slice(1, 4)}-${tail.slice(4)}`;
}
