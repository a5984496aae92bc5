/**
 * What handlers did to answers that were complete: counted, and reported once for each place in their code.
 *
 * A late write is a mistake that goes unnoticed: the client has its answer, and nobody hears of it. An error would be
 * worse, since it comes in a timer or a stream, where nobody catches it. So it is told with its stack, and told once: a
 * mistake in a busy route is made a thousand times a second. It is not told here what a late write does; see
 * `late-methods.ts`.
 */

import { fileURLToPath } from "node:url";
import { now } from "../core/clock.ts";

/** One place in the code that writes late. */
export interface LateWrite {
  /**
   * The first method called there, such as `setHeader`; `pipe` stands for a stream that was piped into the response, and
   * `destroy` for a connection that was to be ended: in Express, a handler that fails after its answer.
   */
  readonly method: string;
  /** How often anything was called late there. */
  readonly count: number;
  /** How the first call came about; begins with a line of words. */
  readonly stack: string;
  /** File, line and column, as they stand in the stack. */
  readonly place: string;
  /** Method and path of the first request, such as `GET /orders`, without the query. */
  readonly request: string;
}

/** What is read of a request for {@link LateWrite.request}. */
export interface LateRequest {
  readonly method?: string | undefined;
  /** Middlewares write to it. */
  readonly url?: unknown;
  /** Express keeps the whole path here and shortens `url` for its routers. */
  readonly originalUrl?: unknown;
}

/** How {@link LateWrites} bounds itself. */
export interface LateWritesOptions {
  /** Places that are told apart; what happens at others is only counted. */
  readonly maxPlaces?: number;
  /** Told of each late call, by its method. */
  readonly onLate?: (method: string) => void;
  /** Stacks that are taken in a second; calls beyond are only counted. A stack costs 10 us, so 1,000 are 1 % of a CPU. */
  readonly maxStacks?: number;
}

/** Frames that a stack has at least, whatever the program's `Error.stackTraceLimit`: it is the only clue there is. */
const stackFrames = 25;
const maxRequestLength = 200;

/** Invariant: the counts of the places add up to `count` as long as no bound was reached. `#tell` alone adds a place. */
export class LateWrites {
  readonly #report: (late: LateWrite) => void;
  readonly #onLate: ((method: string) => void) | undefined;
  readonly #maxPlaces: number;
  readonly #maxStacks: number;
  readonly #places = new Map<string, Counted>();
  #count = 0;
  #stacks = 0;
  #secondEndsAt = 0;

  /** `report` is called once for each place, within the late call. It must not throw. */
  constructor(report: (late: LateWrite) => void, options: LateWritesOptions = {}) {
    const { maxPlaces = 1_000, maxStacks = 1_000, onLate } = options;
    this.#report = report;
    this.#onLate = onLate;
    this.#maxPlaces = maxPlaces;
    this.#maxStacks = maxStacks;
  }

  /** All late calls so far. */
  get count(): number {
    return this.#count;
  }

  /** The places so far, in the order in which they were found. */
  places(): readonly LateWrite[] {
    return Array.from(this.#places.values(), (place) => ({ ...place }));
  }

  /** Counts a call of `method`. Its stack begins with the caller of `callee`. */
  add(method: string, request: LateRequest | undefined, callee: (...args: never) => unknown): void {
    this.#count += 1;
    this.#onLate?.(method);
    if (!this.#mayTakeStack()) return;
    const stack = takeStack(method, callee);
    const place = findPlace(stack);
    const known = this.#places.get(place);
    if (known !== undefined) known.count += 1;
    else if (this.#places.size < this.#maxPlaces) {
      this.#tell({ method, count: 1, stack, place, request: describeRequest(request) });
    }
  }

  #tell(late: Counted): void {
    this.#places.set(late.place, late);
    this.#report({ ...late });
  }

  #mayTakeStack(): boolean {
    const at = now();
    if (at >= this.#secondEndsAt) {
      this.#secondEndsAt = at + 1_000;
      this.#stacks = 0;
    }
    this.#stacks += 1;
    return this.#stacks <= this.#maxStacks;
  }
}

type Counted = { -readonly [Key in keyof LateWrite]: LateWrite[Key] };

interface Taken {
  readonly name: string;
  readonly message: string;
  /** Whatever the program makes of it. */
  readonly stack?: unknown;
}

/** The stack above `callee`. It never throws, although `Error.prepareStackTrace` is the program's own. */
function takeStack(method: string, callee: (...args: never) => unknown): string {
  const taken: Taken = { name: "LateWrite", message: `${method} after the answer was complete` };
  const limit = Error.stackTraceLimit;
  try {
    if (!(limit >= stackFrames)) Error.stackTraceLimit = stackFrames;
    Error.captureStackTrace(taken, callee);
    return typeof taken.stack === "string" ? taken.stack : "";
  } catch {
    return "";
  } finally {
    if (Error.stackTraceLimit !== limit) Error.stackTraceLimit = limit;
  }
}

const own = new URL("..", import.meta.url);
const ownFolders: readonly string[] = own.protocol === "file:" ? [own.href, fileURLToPath(own)] : [own.href];

/**
 * Where in the program a call came from: the first frame that belongs neither to Node nor to sluice nor to a package.
 *
 * A late `res.json()` is called in the program, though it is Express that sets the headers. Where there is no such
 * frame, it is the first frame of a package, and where a stream of Node writes on its own, the first one at all.
 */
export function findPlace(stack: string): string {
  let ofNode: string | undefined;
  let ofPackage: string | undefined;
  for (const line of stack.split("\n")) {
    const place = placeOf(line);
    if (place === undefined) continue;
    ofNode ??= place;
    if (place.startsWith("node:") || ownFolders.some((folder) => place.startsWith(folder))) continue;
    if (!/[\\/]node_modules[\\/]/.test(place)) return place;
    ofPackage ??= place;
  }
  return ofPackage ?? ofNode ?? "unknown";
}

/** The `file:line:column` of a frame: `    at async save (file:///app/save.ts:3:9)`, or the same without a name. */
function placeOf(line: string): string | undefined {
  const frame = /^\s+at (?:.*? \((.*:\d+:\d+)\)|(?:async )?(.*:\d+:\d+))$/.exec(line);
  return frame?.[1] ?? frame?.[2];
}

function describeRequest(request: LateRequest | undefined): string {
  const url = request?.originalUrl ?? request?.url;
  const [path] = typeof url === "string" ? url.split("?", 1) : [];
  return `${request?.method ?? "?"} ${path ?? "?"}`.slice(0, maxRequestLength);
}
