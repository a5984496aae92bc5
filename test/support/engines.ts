/**
 * Where the engines of the tests are: on their standard ports of this machine, unless the environment says otherwise.
 *
 * Where one does not answer, its tests are skipped with a line that says how to get it; with `SLUICE_REQUIRE=all` they
 * fail, as in `require.ts`.
 */

import { once } from "node:events";
import { connect } from "node:net";

export const redisUrl: string = process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379";
export const postgresUrl: string = process.env["DATABASE_URL"] ?? "postgres://postgres@127.0.0.1:5432/test";

export const natsUrl: string = process.env["NATS_URL"] ?? "nats://127.0.0.1:4222";

/** Of `suite` and `test`: `false` if something answers there, or the reason to skip. */
export async function unlessAnswers(url: string): Promise<false | string> {
  const { hostname, port, protocol } = new URL(url);
  const socket = connect(Number(port), hostname);
  try {
    await once(socket, "connect");
    return false;
  } catch {
    const message = `needs an engine at ${protocol}//${hostname}:${port}, where nothing answers. Start one, or set REDIS_URL, DATABASE_URL, NATS_URL.`;
    if (process.env["SLUICE_REQUIRE"] === "all") throw new Error(`SLUICE_REQUIRE=all: ${message}`);
    return message;
  } finally {
    socket.destroy();
  }
}

/** The same address by way of another port of this machine. */
export function through(url: string, port: number): string {
  const other = new URL(url);
  other.hostname = "127.0.0.1";
  other.port = String(port);
  return other.href;
}
