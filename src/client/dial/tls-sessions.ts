/**
 * TLS sessions for resumption: a second handshake with the same server costs one round trip and no certificate.
 *
 * They are held strongly, in a bounded map that forgets what was used longest ago. undici holds them by `WeakRef`, so
 * that the first garbage collection after a burst makes the next burst pay full handshakes.
 *
 * A resumed session skips the check of the certificate, since the first handshake did it. The key must therefore name
 * everything that check depended on: host, port and the name that was checked. The TLS options need no place in it,
 * since one cache serves one dialer and a dialer has one set of them.
 */

/** Invariant: at most `limit` sessions, in the order of their last use. */
export class TlsSessions {
  readonly limit: number;
  readonly #sessions: Map<string, Buffer> = new Map();

  constructor(limit: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** The newest session of `key`. It stays: servers that want a ticket used once refuse it the second time, harmlessly. */
  use(key: string): Buffer | undefined {
    const session = this.#sessions.get(key);
    if (session !== undefined) this.keep(key, session);
    return session;
  }

  keep(key: string, session: Buffer): void {
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
    if (this.#sessions.size <= this.limit) return;
    const [oldest] = this.#sessions.keys();
    if (oldest !== undefined) this.#sessions.delete(oldest);
  }

  forget(key: string): void {
    this.#sessions.delete(key);
  }

  clear(): void {
    this.#sessions.clear();
  }
}
