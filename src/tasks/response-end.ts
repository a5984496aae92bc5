/**
 * Calls back when a response has ended, whichever way: once, and with one listener for all who ask.
 *
 * Node emits `close` on every response, after `finish` if there was one; what only looks like a response may emit one of
 * them. More than ten listeners would make Node print a warning, so those who ask for the same response share theirs. Nothing here refers to the response, but the response
 * refers to those who wait.
 */

/** What is used of a response of `node:http` or `node:http2`. */
export interface ResponseLike {
  readonly writableEnded: boolean;
  readonly writableFinished?: boolean;
  readonly closed?: boolean;
  readonly destroyed?: boolean;
  /** Of HTTP/2. */
  readonly stream?: { readonly closed?: boolean; readonly rstCode?: number | undefined } | null | undefined;
  on(event: "finish" | "close", listener: () => void): unknown;
}

/** Somebody who waits for a response to end. */
export interface ResponseFollower {
  /** `delivered`: all of it was handed to the kernel before the connection ended. */
  onResponseEnd(delivered: boolean): void;
}

const followersKey: unique symbol = Symbol("sluice.tasks.followers");

interface Followed extends ResponseLike {
  [followersKey]?: ResponseFollower[] | undefined;
}

/**
 * Whether all that there was to send was handed over. Node says `finish` of an HTTP/2 response also if its stream was reset,
 * and what only looks like a response may say it while `writableFinished` is still false.
 */
function isDelivered(res: ResponseLike, hasFinished: boolean): boolean {
  return res.writableEnded && (hasFinished || res.writableFinished !== false) && (res.stream?.rstCode ?? 0) === 0;
}

function hasEnded(res: ResponseLike): boolean {
  return res.closed === true || res.destroyed === true || res.stream?.closed === true;
}

/** Tells `follower` once when `res` has ended; at once if it has already. */
export function followResponse(res: ResponseLike, follower: ResponseFollower): void {
  const followed: Followed = res;
  const followers = followed[followersKey];
  if (followers !== undefined) {
    followers.push(follower);
    return;
  }
  if (hasEnded(res)) {
    follower.onResponseEnd(isDelivered(res, false));
    return;
  }
  const all: ResponseFollower[] = [follower];
  followed[followersKey] = all;
  const tell = (hasFinished: boolean): void => {
    followed[followersKey] = undefined;
    const delivered = isDelivered(res, hasFinished);
    for (const each of all.splice(0)) each.onResponseEnd(delivered);
  };
  res.on("finish", () => tell(true));
  res.on("close", () => tell(false));
}
