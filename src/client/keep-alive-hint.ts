/** Reads how long a server promises to keep an idle connection open (RFC 2068, 19.7.1.1; `Keep-Alive: timeout=5`). */

/** The seconds of `timeout=N` in milliseconds; `Infinity` without. */
export function readKeepAliveHint(value: string): number {
  const seconds = /timeout\s*=\s*"?(\d{1,9})/i.exec(value)?.[1];
  return seconds === undefined ? Infinity : Number(seconds) * 1_000;
}
