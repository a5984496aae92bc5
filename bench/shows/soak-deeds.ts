/** What the soak's client does: a path that names a fault, and a way to use (or misuse) the transport. */

import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Transport } from "sluice/client";
import type { Random } from "../support/random.ts";

export interface Deed {
  readonly name: string;
  /** What a correct client makes of it: an answer, an error, or either, as chance will have it. */
  readonly expected: "answer" | "error" | "either";
  readonly run: (transport: Transport, origin: string, tools: DeedTools) => Promise<void>;
}

export interface DeedTools {
  readonly random: Random;
  /** One signal for all: whatever listens to it has to stop listening. */
  readonly signal: AbortSignal;
}

const harmless = ["ok", "chunked", "hint", "hints103", "slowhead", "slowbody", "big", "close", "idleclose"] as const;
const rude = ["idle408", "unsolicited"] as const;
const broken = ["never", "garbage", "reset", "cut"] as const;

/**
 * The server spoke on an idle connection while the request was on its way. Nobody can tell these bytes from an answer,
 * so this is neither right nor wrong.
 */
export class CrossedAnswer extends Error {
  override name = "CrossedAnswer";
}

function check(status: number, text: string): void {
  if (status === 408 || text === "poisoned") throw new CrossedAnswer("crossed on the way");
  if (status !== 200) throw new Error(`Status ${status}`);
}

function getAndRead(path: string, expected: Deed["expected"]): Deed {
  return {
    name: `GET ${path}`,
    expected,
    run: async (transport, origin, { signal }) => {
      const { statusCode, body } = await transport.request(`${origin}/${path}`, { signal });
      check(statusCode, await body.text());
    },
  };
}

function fetchAndRead(path: string, expected: Deed["expected"]): Deed {
  return {
    name: `fetch ${path}`,
    expected,
    run: async (transport, origin, { signal }) => {
      const response = await transport.fetch(`${origin}/${path}`, { signal });
      check(response.status, await response.text());
    },
  };
}

/** Leaves at a random moment: in the queue, in the dial, before the head, within the body, or too late. */
function abortDuring(path: string): Deed {
  return {
    name: `abort during ${path}`,
    expected: "either",
    run: async (transport, origin, { random }) => {
      const controller = new AbortController();
      const answer = transport.request(`${origin}/${path}`, { signal: controller.signal });
      const reading = answer.then(({ body }) => body.text());
      const [outcome] = await Promise.allSettled([
        reading,
        sleep(random.next() * 60).then(() => controller.abort(new Error("left"))),
      ]);
      if (outcome.status === "rejected") throw outcome.reason;
    },
  };
}

const others: readonly Deed[] = [
  {
    name: "body left unread",
    expected: "answer",
    run: async (transport, origin) => {
      await transport.request(`${origin}/ok`);
    },
  },
  {
    name: "big body given up",
    expected: "answer",
    run: async (transport, origin) => {
      const { body } = await transport.request(`${origin}/big`);
      body.on("error", () => body.destroy()).destroy();
    },
  },
  {
    name: "fetched body cancelled",
    expected: "answer",
    run: async (transport, origin) => {
      const response = await transport.fetch(`${origin}/big`);
      await response.body?.cancel();
    },
  },
  {
    name: "redirect not followed",
    expected: "answer",
    run: async (transport, origin) => {
      const response = await transport.fetch(`${origin}/redirect`, { redirect: "manual" });
      await response.text();
    },
  },
  {
    // Its body cannot be had again, so a stale connection under it is an error.
    name: "upload",
    expected: "either",
    run: async (transport, origin) => {
      const body = Readable.from(uploadOf(20));
      const response = await transport.request(`${origin}/ok`, { method: "PUT", body });
      await response.body.text();
    },
  },
  {
    name: "upload answered early",
    expected: "either",
    run: async (transport, origin) => {
      const body = Readable.from(uploadOf(200));
      const response = await transport.request(`${origin}/early`, { method: "PUT", body });
      await response.body.text();
    },
  },
  {
    name: "upload that fails half-way",
    expected: "error",
    run: async (transport, origin) => {
      const body = Readable.from(failingUpload());
      const response = await transport.request(`${origin}/ok`, { method: "PUT", body });
      await response.body.text();
    },
  },
];

function* uploadOf(chunks: number): Generator<Buffer> {
  for (let sent = 0; sent < chunks; sent += 1) yield Buffer.alloc(4_096, "u");
}

function* failingUpload(): Generator<Buffer> {
  yield Buffer.alloc(4_096, "u");
  throw new Error("The upload's source failed");
}

/** Most requests are ordinary: what is odd happens among them. */
const ordinary = Array.from({ length: 20 }, () => [getAndRead("ok", "answer"), fetchAndRead("ok", "answer")]).flat();

export const deeds: readonly [Deed, ...Deed[]] = [
  getAndRead("twice", "either"),
  fetchAndRead("redirect", "answer"),
  ...[...harmless, ...rude].flatMap((path) => [getAndRead(path, "answer"), fetchAndRead(path, "answer")]),
  ...broken.flatMap((path) => [getAndRead(path, "error"), fetchAndRead(path, "error")]),
  ...[...harmless, ...broken].map(abortDuring),
  ...others,
  ...ordinary,
];
