/** The fetch that the conformance table judges. The only place that says over which dispatcher it runs. */

import { Agent } from "undici";
import { createFetch } from "../../src/client/fetch/create-fetch.ts";

export interface FetchUnderTest extends AsyncDisposable {
  readonly fetch: typeof globalThis.fetch;
}

export function makeFetch(): FetchUnderTest {
  const dispatcher = new Agent();
  return {
    fetch: createFetch(dispatcher),
    [Symbol.asyncDispose]: () => dispatcher.destroy(),
  };
}
