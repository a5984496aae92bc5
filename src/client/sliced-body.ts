/**
 * A large request body in one piece, handed out in slices.
 *
 * Given as one buffer, a body counts as sent before the kernel has taken a byte of it, and nothing tells how far it
 * is: an upload over a slow line would run into the time limit for the answer. In slices, undici writes the next when
 * the last has gone out, so that the upload is seen to move, or to stand still.
 */

import { findHeader } from "./request-headers.ts";
import type { Dispatcher } from "undici";

/** Four of Node's default buffers of a socket: what is below has room in it, or nearly. */
const sliceBytes = 65_536;

/** Can be read as often as needed, unlike a stream. */
export class SlicedBody implements Iterable<Uint8Array> {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get byteLength(): number {
    return this.#bytes.byteLength;
  }

  *[Symbol.iterator](): Generator<Uint8Array> {
    for (let from = 0; from < this.#bytes.byteLength; from += sliceBytes) {
      yield this.#bytes.subarray(from, from + sliceBytes);
    }
  }
}

/** The body in slices, if it is bytes or text and large. */
export function sliceBody({
  body,
  headers,
}: Pick<Dispatcher.DispatchOptions, "body" | "headers">): SlicedBody | undefined {
  const bytes = toLargeBytes(body);
  if (bytes === undefined) return undefined;
  const declared = findHeader(headers, "content-length");
  // Left to undici, which refuses it before anything is sent.
  if (declared !== undefined && declared !== String(bytes.byteLength)) return undefined;
  return new SlicedBody(bytes);
}

function toLargeBytes(body: unknown): Uint8Array | undefined {
  // A character takes three bytes at most.
  if (typeof body === "string" && body.length * 3 > sliceBytes) return toLargeBytes(Buffer.from(body));
  if (!ArrayBuffer.isView(body) || body.byteLength <= sliceBytes) return undefined;
  return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
}
