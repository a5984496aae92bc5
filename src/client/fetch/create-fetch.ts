/**
 * WHATWG fetch over a dispatcher, at a fraction of the price.
 *
 * Built-in fetch spends most of its time on what small requests never use: a `Request`, a `Response`, a web stream,
 * an async pipeline of the standard's steps. Here a request is a few strings, the response one object, and the rest
 * is made when it is asked for. Whatever this does not do is done by the global fetch over the same dispatcher, so
 * there is no call that works there and not here. `docs/decisions/0005-lean-fetch.md` has the list and the reasons.
 */

import { sendRequest } from "./exchange.ts";
import type { FetchDispatcher } from "./exchange.ts";
import { readCommonRequest, readRequestObject } from "./lean-request.ts";
import { LeanResponse } from "./lean-response.ts";

export type { FetchDispatcher } from "./exchange.ts";

type Fetch = typeof globalThis.fetch;

// Taken at import, before anything of ours can replace it: a fetch that is installed as the global one must not
// come back to itself. Reading the function loads nothing; Node loads its fetch at the first call.
const builtInFetch: Fetch = globalThis.fetch;

/**
 * Makes a fetch that sends over `dispatcher`.
 *
 * It accepts what global fetch accepts and rejects as it does: `TypeError` "fetch failed" with the network error as
 * `cause`, the signal's reason after an abort, `TypeError` "terminated" from a body that broke off. An `init` with a
 * `dispatcher` of its own goes to global fetch and to that dispatcher.
 */
export function createFetch(dispatcher: FetchDispatcher): Fetch {
  return function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    try {
      LeanResponse.adoptGlobal();
      if (init?.dispatcher !== undefined) return builtInFetch(input, init);
      const common = readCommonRequest(input, init);
      if (common !== undefined) return sendRequest(dispatcher, common).catch(nameCaller);
      const request = new globalThis.Request(input, init);
      const lean = readRequestObject(request, init?.body);
      if (lean !== undefined) return sendRequest(dispatcher, lean).catch(nameCaller);
      return builtInFetch(request, overDispatcher(dispatcher, request));
    } catch (error) {
      return Promise.reject(error);
    }
  };
}

/** A network error is made where nobody waits. From here on its stack leads to the `await` that it is thrown at. */
function nameCaller(error: unknown): never {
  if (error instanceof TypeError) Error.captureStackTrace(error, nameCaller);
  throw error;
}

/** An `init` that changes nothing of `request` but its dispatcher. Any init resets the referrer, so it is repeated. */
function overDispatcher(dispatcher: FetchDispatcher, request: Request): RequestInit {
  const { referrer, referrerPolicy } = request;
  const init: RequestInit = {};
  // Node's types want undici's class here; fetch itself needs `dispatch` only.
  Object.assign(init, { dispatcher });
  if (referrer !== "about:client") init.referrer = referrer;
  if (referrerPolicy !== "") init.referrerPolicy = referrerPolicy;
  return init;
}
