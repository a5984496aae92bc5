/** Where the engines of the tests are: on their standard ports of this machine, unless the environment says otherwise. */

export const redisUrl: string = process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379";
export const postgresUrl: string = process.env["DATABASE_URL"] ?? "postgres://postgres@127.0.0.1:5432/test";

/** The same address by way of another port of this machine. */
export function through(url: string, port: number): string {
  const other = new URL(url);
  other.hostname = "127.0.0.1";
  other.port = String(port);
  return other.href;
}
