/**
 * One row of the table that fetch implementations must agree on, and how it is run: what goes over the wire, what the
 * response or the error looks like to the caller, in a form that can be compared.
 */

import assert from "node:assert/strict";
import * as undici from "undici";
import { WireServer } from "./wire-server.ts";
import type { Answer } from "./wire-server.ts";

/** Takes anything, because a table of wrong calls must compile. Named after the method rule that allows it. */
export type LooseFetch = { bivariant(input: unknown, init?: unknown): Promise<Response> }["bivariant"];

/** A fetch and the classes that belong to it. */
export interface Implementation {
  readonly fetch: LooseFetch;
  readonly classes: Pick<typeof globalThis, "Request" | "Headers" | "FormData" | "Response">;
}

/** What a case has to work with. `at` makes a URL of the first server, `other` one of the second. */
export interface Bench extends Implementation {
  readonly at: (path: string) => string;
  readonly other: (path: string) => string;
}

export interface FetchCase {
  readonly name: string;
  /** Answer of the first server. @default 200 with the body "hello" */
  readonly answer?: Answer;
  /** Answer of the second server. @default 200 with the body "other" */
  readonly otherAnswer?: Answer;
  /** @default "/" */
  readonly path?: string;
  readonly init?: (bench: Bench) => unknown;
  /** Instead of `fetch(at(path), init)` and a look at the response. */
  readonly run?: (bench: Bench) => Promise<unknown>;
  /** Why npm undici's result is another one than built-in fetch's. */
  readonly npmDiffers?: string;
  /** Why ours is another one, and what it is. */
  readonly oursDiffers?: { readonly reason: string; readonly check: (ours: CaseResult, builtIn: CaseResult) => void };
}

export interface CaseResult {
  readonly wire: readonly string[];
  readonly seen: unknown;
}

export const builtIn: Implementation = {
  fetch: globalThis.fetch,
  classes: { Request, Headers, FormData, Response },
};

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- undici's types and Node's are two descriptions of the same classes
export const npmUndici = { fetch: undici.fetch, classes: undici } as unknown as Implementation;

export const hello = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello";

export async function runCase(row: FetchCase, implementation: Implementation): Promise<CaseResult> {
  await using first = await new WireServer(row.answer ?? hello).listen();
  await using second = await new WireServer(row.otherAnswer ?? hello.replace("hello", "other")).listen();
  const ports = new RegExp(`\\b(?:(${first.port})|(${second.port}))\\b`, "g");
  const mask = (text: string): string => text.replace(ports, (_, isFirst) => (isFirst === undefined ? "B" : "A"));
  const bench: Bench = {
    ...implementation,
    at: (path) => first.origin + path,
    other: (path) => second.origin + path,
  };
  const run = row.run ?? ((): Promise<unknown> => look(bench.fetch(bench.at(row.path ?? "/"), row.init?.(bench))));
  const seen = await run(bench).catch((error: unknown) => ({ threw: describeError(error) }));
  const wire = [...first.seen, ...second.seen].map((text) => maskWire(mask(text)));
  return { wire, seen: JSON.parse(mask(JSON.stringify(seen ?? null))) };
}

/** Rows with HEAD: undici closes the connection after one, the Transport keeps it. */
export const keptAfterHead: NonNullable<FetchCase["oursDiffers"]> = {
  reason: "undici gives up the connection of every HEAD; the Transport checks the answer instead and keeps it",
  check: (ours, theirs) => {
    const wire = theirs.wire.map((text) =>
      text.startsWith("HEAD ") ? text.replace("connection: close", "connection: keep-alive") : text,
    );
    assert.notDeepEqual(ours.wire, theirs.wire);
    assert.deepEqual(ours, { ...theirs, wire });
  },
};

/** What belongs to the implementation and not to the case: its name, and random boundaries. */
function maskWire(text: string): string {
  return text
    .replace("\r\nuser-agent: undici\r\n", "\r\nuser-agent: node\r\n")
    .replaceAll(/formdata-[a-z]+-0\d+/g, "BOUNDARY");
}

/** Everything a caller can see of a response, and its text. */
export async function look(pending: Promise<Response>): Promise<unknown> {
  const response = await pending;
  return { ...head(response), text: await settle(response.text()), usedAfter: response.bodyUsed };
}

export function head(response: Response): Record<string, unknown> {
  const { status, statusText, ok, type, url, redirected, bodyUsed } = response;
  return { status, statusText, ok, type, url, redirected, bodyUsed, headers: [...response.headers] };
}

/** The value, or the error in a comparable form. */
export async function settle(pending: Promise<unknown>): Promise<unknown> {
  try {
    return { value: await pending };
  } catch (error) {
    return { threw: describeError(error) };
  }
}

export function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { thrown: error };
  const code: unknown = "code" in error ? error.code : undefined;
  // Messages of coded errors are undici's or the system's own business; codes are what people match on.
  const message = typeof code === "string" ? "" : error.message;
  const cause = error.cause === undefined ? undefined : describeError(error.cause);
  return { type: error.constructor.name, name: error.name, message, code, cause };
}
