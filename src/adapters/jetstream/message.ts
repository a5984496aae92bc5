/** How a job is written into a message, and under which names. */

import { createHash } from "node:crypto";
import { headers, type Msg, type MsgHdrs } from "@nats-io/transport-node";
import type { JobFailure, NewJob } from "../../tasks/index.ts";

export const idHeader = "Sluice-Id";
export const delayHeader = "Sluice-Delay";
export const priorityHeader = "Sluice-Priority";
export const attemptsHeader = "Sluice-Attempts";
export const failureHeader = "Sluice-Failure";

/** A word that may stand in a subject and in the name of a stream or consumer, one for each text. */
function token(text: string): string {
  return Buffer.from(text).reduce((word, byte) => {
    const letter = String.fromCharCode(byte);
    return word + (/[\w-]/.test(letter) ? letter : `=${byte.toString(16).padStart(2, "0")}`);
  }, "");
}

/** Names of one queue in the engine. */
export class QueueNames {
  readonly queue: string;
  readonly jobs: string;
  readonly notes: string;
  readonly dead: string;
  readonly ready: string;
  readonly delayed: string;
  readonly #prefix: string;
  readonly #word: string;

  constructor(prefix: string, queue: string) {
    this.queue = queue;
    this.#prefix = prefix;
    this.#word = token(queue);
    this.jobs = `${prefix}-jobs`;
    this.notes = `${prefix}-notes`;
    this.dead = `${prefix}-dead-${this.#word}`;
    this.ready = `${prefix}.ready.${this.#word}`;
    this.delayed = `${prefix}.delayed.${this.#word}`;
  }

  consumer(lane: "ready" | "delayed"): string {
    return `${lane}-${this.#word}`;
  }

  deadSubject(id: string): string {
    return `${this.#prefix}.dead.${this.#word}.${id === "*" ? id : token(id)}`;
  }

  /** The sequence number too: after a redrive the same job is a new message, with a count of its own. */
  noteSubject(id: string, sequence: number): string {
    return `${this.#prefix}.note.${token(id)}.${sequence}`;
  }
}

/** A message that the engine has handed out, with what its headers and its reply subject say. */
export class Taken {
  readonly id: string;
  readonly body: string;
  readonly reply: string;
  readonly priority: number;
  /** How often it has been handed out, this time included. */
  readonly deliveries: number;
  readonly sequence: number;
  /** When the engine got it, in milliseconds since 1970. */
  readonly storedAt: number;
  readonly delayMs: number;
  readonly headers: MsgHdrs;

  constructor(message: Msg) {
    this.headers = message.headers ?? headers();
    this.reply = message.reply ?? "";
    this.id = this.headers.get(idHeader);
    this.body = message.string();
    this.priority = Number(this.headers.get(priorityHeader));
    this.delayMs = Number(this.headers.get(delayHeader));
    // $JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<consumer sequence>.<time>.<pending>; newer servers put a
    // domain and an account before the stream, and may add a token at the end (ADR-15).
    const words = this.reply.split(".");
    const from = words.length > 9 ? 6 : 4;
    this.deliveries = Number(words[from]);
    this.sequence = Number(words[from + 1]);
    this.storedAt = Number(words[from + 3]) / 1e6;
  }
}

/** The headers of a copy of `taken`, which is made once, however often it is tried within the dedup window. */
export function copyHeaders(taken: Taken, copyId: string): MsgHdrs {
  const copy = headers();
  copy.set("Nats-Msg-Id", copyId);
  copy.set(idHeader, taken.id);
  if (taken.priority !== 0) copy.set(priorityHeader, String(taken.priority));
  return copy;
}

/** Most bytes of the headers of a message. */
export const maxAboutBytes: number = 65_536;

/** As one line of ASCII that fits into a header; without the stack, or with a short message, if it is too long. */
export function packFailure({ name, message, stack = "" }: JobFailure): string {
  const whole = pack({ name: name.slice(0, 200), message: message.slice(0, 4_000), stack: stack.slice(0, 16_000) });
  if (whole.length <= maxPackedBytes) return whole;
  const short = pack({ name: name.slice(0, 200), message: message.slice(0, 4_000), stack: "" });
  return short.length <= maxPackedBytes
    ? short
    : pack({ name: name.slice(0, 200), message: message.slice(0, 1_000), stack: "" });
}

/** Leaves room for the other headers. */
const maxPackedBytes = 60_000;

function pack(failure: Required<JobFailure>): string {
  // Half a character, which `encodeURIComponent` does not take, is escaped by `JSON.stringify`.
  return encodeURIComponent(JSON.stringify(failure));
}

export function unpackFailure(packed: string): JobFailure {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- we have written it: see `packFailure`
  const { name, message, stack } = JSON.parse(decodeURIComponent(packed)) as Required<JobFailure>;
  return stack === "" ? { name, message } : { name, message, stack };
}

/** What makes two jobs of the stream one: the key if there is one, else the id. */
export function dedupId(names: QueueNames, { key, id }: NewJob): string {
  if (key === undefined) return id;
  // A key may be of any length and hold any character; a header may not.
  return `key:${createHash("sha256").update(names.ready).update("\0").update(key).digest("base64url")}`;
}
