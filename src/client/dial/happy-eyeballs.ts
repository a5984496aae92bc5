/**
 * The first of several addresses that answers: RFC 8305, "Happy Eyeballs", section 5.
 *
 * Node's own `autoSelectFamily` is not that: it gives each address 250 ms and then aborts it, so a server 300 ms away
 * is never reached (nodejs/node#54359). Here an attempt that is slow keeps running while the next one starts, the
 * first connection wins, and the others are destroyed. There is no limit on the attempts of one race: at one start
 * in 250 ms, the dial's timeout is the limit. Whether the winner then speaks TLS is not this module's business.
 */

import type { LookupAddress } from "node:dns";
import { Socket, type NetConnectOpts } from "node:net";
import { abortable } from "./abortable.ts";

/** Time between the starts of two attempts; the value that RFC 8305 recommends. */
export const connectionAttemptDelayMs = 250;

/** One place to connect to: an address with a port, or the path of a Unix socket. */
export interface Candidate {
  /** As it stands in messages, for example `[::1]:443`. */
  readonly name: string;
  readonly address: string;
  readonly options: NetConnectOpts;
}

export interface RaceOptions {
  readonly attemptDelayMs?: number;
  /** Makes a socket that connects; replaced in tests. */
  readonly connect?: (options: NetConnectOpts) => Socket;
  /** Told of every attempt as it starts. */
  readonly onAttempt?: (candidate: Candidate) => void;
}

interface Failure {
  readonly candidate: Candidate;
  readonly error: unknown;
}

/** Orders addresses as RFC 8305 section 4 says: the family of the first one, then the families in turn. */
export function interleave(addresses: readonly LookupAddress[]): readonly LookupAddress[] {
  const firstFamily = addresses[0]?.family;
  const preferred = addresses.filter(({ family }) => family === firstFamily);
  const others = addresses.filter(({ family }) => family !== firstFamily);
  const pairs = preferred.map((address, index) => [address, ...others.slice(index, index + 1)]);
  return [...pairs.flat(), ...others.slice(preferred.length)];
}

/**
 * The one listener that a handed-over socket keeps: an error that comes before the new owner listens must not end the
 * process. The owner hears of it all the same, by `close` and `socket.errored`.
 */
export function ignoreError(): void {}

// Codes that tell of this machine's routes and not of the server; the less telling ones when attempts failed in
// different ways, typically on a machine without IPv6.
const routeCodes: ReadonlySet<string> = new Set(["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"]);

/** `net.connect`, which leaves a handle open when it refuses its options by throwing. */
function openSocket(options: NetConnectOpts): Socket {
  const socket = new Socket(options);
  try {
    return socket.connect(options);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "UNKNOWN";
}

function describeFailures(failures: readonly Failure[]): unknown {
  const [only] = failures;
  if (failures.length === 1) return only?.error;
  const codes = failures.map(({ error }) => codeOf(error));
  const code = codes.findLast((each) => !routeCodes.has(each)) ?? codes.at(-1);
  const each = failures.map(({ candidate }, index) => `${candidate.name} ${codes[index]}`).join(", ");
  const errors = failures.map(({ error }) => error);
  return Object.assign(new AggregateError(errors, `connect ${code} at every address: ${each}`), { code });
}

/**
 * Connects to the first of `candidates` that lets us. Resolves with a socket that nothing has been read from and that
 * has no listener of ours but `ignoreError`. Rejects with the system's error if there was one candidate, else with an
 * `AggregateError` that has the most telling `code` and names every address.
 */
export function connectFirst(
  candidates: readonly Candidate[],
  signal: AbortSignal,
  options: RaceOptions = {},
): Promise<{ readonly socket: Socket; readonly candidate: Candidate }> {
  const { attemptDelayMs = connectionAttemptDelayMs, connect = openSocket, onAttempt } = options;
  return abortable(signal, (settle) => {
    const pending: Map<Socket, () => void> = new Map();
    const failures: Failure[] = [];
    let next = 0;
    let timer: NodeJS.Timeout | undefined;

    const stop = (): void => {
      clearTimeout(timer);
      for (const [socket, unlisten] of pending) {
        unlisten();
        socket.destroy();
      }
      pending.clear();
    };
    const fail = (candidate: Candidate, error: unknown, wasLatest: boolean): void => {
      failures.push({ candidate, error });
      if (wasLatest && next < candidates.length) startNext();
      else if (pending.size === 0 && next === candidates.length) settle.reject(describeFailures(failures));
    };
    const startNext = (): void => {
      clearTimeout(timer);
      const candidate = candidates[next];
      if (candidate === undefined) return;
      next += 1;
      if (next < candidates.length) timer = setTimeout(startNext, attemptDelayMs);
      onAttempt?.(candidate);
      try {
        attempt(candidate, next);
      } catch (error) {
        // What `net.connect` refuses at once, such as a local address of the wrong family.
        fail(candidate, error, true);
      }
    };
    const attempt = (candidate: Candidate, number: number): void => {
      const socket = connect(candidate.options);
      const onConnect = (): void => {
        leave();
        stop();
        settle.resolve({ socket, candidate });
      };
      const onError = (error: unknown): void => {
        leave();
        fail(candidate, error, number === next);
      };
      const unlisten = (): void => {
        socket.off("connect", onConnect);
        socket.off("error", onError);
      };
      const leave = (): void => {
        unlisten();
        pending.delete(socket);
      };
      socket.on("error", ignoreError);
      socket.on("connect", onConnect);
      socket.on("error", onError);
      pending.set(socket, unlisten);
    };
    startNext();
    return stop;
  });
}

/** The addresses that a failed dial names: one, or all that were tried. */
export function failedAddresses(error: Error): string[] {
  const each: unknown[] = error instanceof AggregateError ? error.errors : [error];
  return each.flatMap((one) => (one instanceof Error && "address" in one ? [String(one.address)] : []));
}
