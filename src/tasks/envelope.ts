/**
 * What a job looks like in a store: JSON text of `{ v: 1, headers, data }`.
 *
 * The headers are what the runtime carries along, above all the trace that the job belongs to. A store does not look
 * inside, and what another program has put into the queue is refused here, with words that tell what it is.
 */

import { contextKey, type ContextKey } from "../core/context.ts";
import { EnvelopeError, PayloadError } from "./errors.ts";

/** The id of the request that something is done for, if the program has one: set it with `withValue`; jobs and reports carry it. */
export const requestIdKey: ContextKey<string> = contextKey("x-request-id");

/** What travels with a job besides its data. */
export interface JobHeaders {
  /** When it was added: milliseconds since 1970, by the clock of whoever added it. */
  readonly enqueuedAt: number;
  /** W3C trace context of whoever added it. */
  readonly traceparent?: string;
  readonly "x-request-id"?: string;
}

/** What is in the body of a job. */
export interface Envelope {
  readonly headers: JobHeaders;
  readonly data: unknown;
}

const version = 1;

/** @throws PayloadError if `data` is no JSON, or the whole is larger than `maxBytes`. */
export function encodeEnvelope(queue: string, envelope: Envelope, maxBytes: number): string {
  const body = stringify(queue, envelope);
  // A UTF-16 unit takes up to three bytes of UTF-8.
  if (body.length * 3 <= maxBytes) return body;
  const size = Buffer.byteLength(body);
  if (size <= maxBytes) return body;
  throw new PayloadError(
    `A job of ${JSON.stringify(queue)} has ${size} bytes; the limit is ${maxBytes}. ` +
      "Store what is large elsewhere and put its address into the job, or raise maxPayload.",
  );
}

function stringify(queue: string, { headers, data }: Envelope): string {
  try {
    return JSON.stringify({ v: version, headers, data });
  } catch (cause) {
    throw new PayloadError(
      `A job of ${JSON.stringify(queue)} cannot be written as JSON: ${messageOf(cause)}. Leave out what is not data.`,
      { cause },
    );
  }
}

/** @throws EnvelopeError if it is not what {@link encodeEnvelope} writes. */
export function decodeEnvelope(body: string): Envelope {
  const value = parse(body);
  const { v, headers, data } = value;
  if (v !== version) {
    const seen = v === undefined ? "has no version" : `is of version ${JSON.stringify(v)?.slice(0, 40)}`;
    throw new EnvelopeError(
      `The body ${seen}; only ${version} can be read. Another program wrote it, or a newer sluice: ` +
        "update this process and redrive the job, or discard it.",
    );
  }
  if (!isRecord(headers) || typeof headers["enqueuedAt"] !== "number") {
    throw new EnvelopeError(
      "The body has no headers with the time at which it was added. Another program wrote it; discard it.",
    );
  }
  const { enqueuedAt, traceparent, "x-request-id": requestId } = headers;
  return {
    headers: {
      enqueuedAt,
      ...(typeof traceparent === "string" && { traceparent }),
      ...(typeof requestId === "string" && { "x-request-id": requestId }),
    },
    data,
  };
}

function parse(body: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw new EnvelopeError(`The body is no JSON: ${messageOf(cause)}. Another program wrote it; discard it.`, {
      cause,
    });
  }
  if (isRecord(value)) return value;
  throw new EnvelopeError("The body is JSON, but no object. Another program wrote it; discard it.");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
