/** The fetch that the conformance table judges. The only place that says over what it runs. */

import { Transport } from "sluice/client";

export interface FetchUnderTest extends AsyncDisposable {
  readonly fetch: typeof globalThis.fetch;
}

export function makeFetch(): FetchUnderTest {
  const transport = new Transport();
  return { fetch: transport.fetch, [Symbol.asyncDispose]: () => transport.abort() };
}
