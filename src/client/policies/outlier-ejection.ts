/**
 * Leaves an address alone for a while when it fails again and again, though the name behind it is well.
 *
 * A name often stands for several machines. When one of them dies, a client that picks addresses blindly loses its
 * share of requests until somebody edits the DNS. After five failures in a row (a refused or broken connection, or a
 * 5xx) an address is ejected: for 30 s the first time, twice that the second, at most 300 s, and less again the longer
 * it has behaved. At most half of the known addresses are out at once, because when all fail the fault is elsewhere and
 * a client without addresses helps nobody. The rules are those of Envoy's outlier detection, with its share raised from
 * 10 % to 50 %, since a service seen from one client has few addresses. An ejected address is not forbidden: the dialer
 * tries it last. One object serves one origin. It opens no socket and has no timer: it is told, and it is asked.
 */

/** Most addresses that are remembered for an origin; beyond it the one that was named longest ago is forgotten. */
const maxAddresses = 256;

export interface OutlierEjectionOptions {
  /** Failures in a row that eject an address. */
  readonly consecutiveFailures: number;
  /** Milliseconds of the first ejection; the n-th takes n times as long. */
  readonly baseTime: number;
  /** Longest ejection in milliseconds. */
  readonly maxTime: number;
  /** Largest share of the known addresses that may be out at once, 0 to 1. */
  readonly maxEjected: number;
}

interface Entry {
  failures: number;
  /** How often it was ejected, lately. */
  times: number;
  /** When the ejection ends or ended; 0 when it never was. */
  until: number;
}

/** Does an answer count against the address that gave it? A 501 or 505 says something about the request instead. */
export function isServerFailure(status: number): boolean {
  return status >= 500 && status !== 501 && status !== 505;
}

/**
 * Invariant: `#latestEnd` is the largest `until` of all entries, so `avoid` answers without a look at the clock or the
 * table as long as nothing was ever ejected. `#eject` is the only place that sends an address out.
 */
export class OutlierEjection {
  readonly #options: OutlierEjectionOptions;
  readonly #now: () => number;
  readonly #onEject: (address: string, ms: number) => void;
  readonly #entries: Map<string, Entry> = new Map();
  #latestEnd = 0;
  #ejections = 0;

  /** `onEject` is told of every ejection: the pool closes its idle connections to that address there. */
  constructor(
    options: OutlierEjectionOptions,
    onEject: (address: string, ms: number) => void = () => {},
    now: () => number = () => performance.now(),
  ) {
    this.#options = options;
    this.#onEject = onEject;
    this.#now = now;
  }

  /** Ejections so far. */
  get ejections(): number {
    return this.#ejections;
  }

  /** Addresses that are out now. */
  get ejected(): number {
    const now = this.#now();
    let count = 0;
    for (const entry of this.#entries.values()) if (entry.until > now) count += 1;
    return count;
  }

  /** Tells which addresses there are, for example after a DNS answer. The share that may be out is taken of these. */
  know(addresses: Iterable<string>): void {
    for (const address of addresses) {
      const entry = this.#entries.get(address) ?? { failures: 0, times: 0, until: 0 };
      // Named again means named last: the order of the map is the order of forgetting.
      this.#entries.delete(address);
      this.#entries.set(address, entry);
    }
    this.#forget();
  }

  /** Tells how a connection attempt or a response at `address` went. One success ends a row of failures. */
  report(address: string, ok: boolean): void {
    const entry = this.#entries.get(address);
    if (ok) {
      if (entry !== undefined) entry.failures = 0;
      return;
    }
    if (entry === undefined) {
      this.know([address]);
      this.report(address, ok);
      return;
    }
    entry.failures += 1;
    if (entry.failures >= this.#options.consecutiveFailures) this.#eject(address, entry);
  }

  /** Should this address be tried only when the others have failed? */
  avoid(address: string): boolean {
    if (this.#latestEnd === 0) return false;
    const now = this.#now();
    if (now >= this.#latestEnd) return false;
    const entry = this.#entries.get(address);
    return entry !== undefined && entry.until > now;
  }

  /** The same addresses, those to avoid last, each group in its order. */
  order<Address extends string>(addresses: readonly Address[]): Address[] {
    return [
      ...addresses.filter((address) => !this.avoid(address)),
      ...addresses.filter((address) => this.avoid(address)),
    ];
  }

  #eject(address: string, entry: Entry): void {
    const now = this.#now();
    // Requests that were under way when it was ejected fail late, and must not make the ejection longer.
    if (entry.until > now) return;
    if (this.ejected + 1 > this.#entries.size * this.#options.maxEjected) return;
    const { baseTime, maxTime } = this.#options;
    // One step is forgiven for each base time of good conduct.
    const forgiven = entry.times === 0 ? 0 : Math.floor((now - entry.until) / baseTime);
    entry.times = Math.max(0, entry.times - forgiven) + 1;
    entry.failures = 0;
    const ms = Math.min(baseTime * entry.times, maxTime);
    entry.until = now + ms;
    this.#latestEnd = Math.max(this.#latestEnd, entry.until);
    this.#ejections += 1;
    this.#onEject(address, ms);
  }

  #forget(): void {
    for (const address of this.#entries.keys()) {
      if (this.#entries.size <= maxAddresses) return;
      this.#entries.delete(address);
    }
  }
}
