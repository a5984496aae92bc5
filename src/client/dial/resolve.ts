/**
 * Names to addresses: one lookup for everybody who wants the same name at the same moment.
 *
 * `getaddrinfo` runs on the four threads that also serve files and zlib, cannot be cancelled, and takes seconds when
 * the name server is silent. Two hundred dials at once are therefore one lookup, and a failed one is remembered for a
 * moment, or a name server in trouble makes the queue of lookups grow without end (nodejs/node#62503).
 *
 * An answer is deliberately not kept: `getaddrinfo` tells no time to live, the system has its own cache, and the next
 * dial must see a rotated or failed-over record. A storm of dials costs one lookup either way.
 */

import { lookup as systemLookup, type LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { abortable, type Settle } from "./abortable.ts";

/** How long a failure answers for a new lookup of the same name. */
const failureMs = 250;

/** A lookup that has been silent for so long is not joined any more; a `lookup` that lost its callback must not bind a name for ever. */
const silentMs = 30_000;

/** Most names that are being looked up or have just failed. */
const maxNames = 1_000;

interface Lookup {
  readonly startedAt: number;
  readonly waiters: Set<Settle<readonly LookupAddress[]>>;
  failure: { readonly error: unknown; readonly until: number } | undefined;
}

function lookupError(code: string, hostname: string, reason: string): Error {
  // The fields that Node gives a failed lookup, because callers match on them.
  return Object.assign(new Error(`getaddrinfo ${code} ${hostname}: ${reason}`), {
    code,
    syscall: "getaddrinfo",
    hostname,
  });
}

/** The addresses in an answer, of which a given `lookup` may make two shapes, or what is wrong with it. */
function checkAnswer(hostname: string, answer: string | LookupAddress[]): LookupAddress[] | Error {
  const list = Array.isArray(answer) ? answer : [];
  const given = typeof answer === "string" ? [{ address: answer }] : list;
  const addresses = given.map(({ address }) => ({ address, family: isIP(address) }));
  const wrong = addresses.find(({ family }) => family === 0);
  if (wrong !== undefined) return lookupError("ENOTFOUND", hostname, `${wrong.address} is not an IP address`);
  if (addresses.length === 0) return lookupError("ENOTFOUND", hostname, "the lookup found no address");
  return addresses;
}

/**
 * Invariant: a name in `#lookups` is either being looked up (`failure` unset, waiters perhaps none) or has failed
 * (`failure` set, no waiters). There are never more than `maxNames`.
 */
export class Resolver {
  readonly #lookup: LookupFunction;
  readonly #lookups: Map<string, Lookup> = new Map();

  constructor(lookup: LookupFunction | undefined) {
    this.#lookup = lookup ?? systemLookup;
  }

  /** Names known at the moment: being looked up, or failed a moment ago. */
  get size(): number {
    return this.#lookups.size;
  }

  /**
   * The addresses of `hostname` in the order in which the system prefers them; never empty. A numeric host is its own
   * answer. An abort leaves the lookup to those who still wait for it.
   */
  resolve(hostname: string, signal: AbortSignal): Promise<readonly LookupAddress[]> {
    return abortable<readonly LookupAddress[]>(signal, (settle) => {
      const family = isIP(hostname);
      if (family !== 0) {
        settle.resolve([{ address: hostname, family }]);
        return () => {};
      }
      const now = performance.now();
      const known = this.#known(hostname, now);
      if (known?.failure !== undefined) {
        settle.reject(known.failure.error);
        return () => {};
      }
      const lookup = known ?? this.#open(hostname, now);
      lookup.waiters.add(settle);
      // Only now, since a given lookup may answer on the spot.
      if (known === undefined) this.#start(hostname, lookup);
      return () => lookup.waiters.delete(settle);
    });
  }

  #known(hostname: string, now: number): Lookup | undefined {
    const known = this.#lookups.get(hostname);
    if (known === undefined || now < (known.failure?.until ?? known.startedAt + silentMs)) return known;
    this.#lookups.delete(hostname);
    return undefined;
  }

  #open(hostname: string, now: number): Lookup {
    this.#makeRoom(hostname, now);
    const lookup: Lookup = { startedAt: now, waiters: new Set(), failure: undefined };
    this.#lookups.set(hostname, lookup);
    return lookup;
  }

  #makeRoom(hostname: string, now: number): void {
    if (this.#lookups.size < maxNames) return;
    for (const [name, { failure, startedAt }] of this.#lookups) {
      if (failure !== undefined || now >= startedAt + silentMs) this.#lookups.delete(name);
    }
    if (this.#lookups.size < maxNames) return;
    throw lookupError("EAI_AGAIN", hostname, `${maxNames} other names are being looked up; the name server is silent`);
  }

  #start(hostname: string, lookup: Lookup): void {
    let answered = false;
    const answer = (error: unknown, addresses: string | LookupAddress[]): void => {
      // A given lookup may call back twice.
      if (answered) return;
      answered = true;
      this.#finish(hostname, lookup, error, addresses);
    };
    try {
      this.#lookup(hostname, { all: true }, answer);
    } catch (error) {
      answer(error, []);
    }
  }

  #finish(hostname: string, lookup: Lookup, error: unknown, answer: string | LookupAddress[]): void {
    const waiters = [...lookup.waiters];
    lookup.waiters.clear();
    const result = error == null ? checkAnswer(hostname, answer) : error;
    // Not so when it was silent for too long and another one has taken its place.
    const isCurrent = this.#lookups.get(hostname) === lookup;
    if (Array.isArray(result)) {
      if (isCurrent) this.#lookups.delete(hostname);
      for (const { resolve } of waiters) resolve(result);
    } else {
      if (isCurrent) lookup.failure = { error: result, until: performance.now() + failureMs };
      for (const { reject } of waiters) reject(result);
    }
  }
}
