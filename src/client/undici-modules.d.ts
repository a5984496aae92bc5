/** undici's files that `undici.ts` loads one by one, with the types under which its index exports what they hold. */

declare module "undici/lib/dispatcher/dispatcher.js" {
  import { Dispatcher } from "undici";
  export default Dispatcher;
}

declare module "undici/lib/dispatcher/dispatcher1-wrapper.js" {
  import { Dispatcher1Wrapper } from "undici";
  export default Dispatcher1Wrapper;
}

declare module "undici/lib/dispatcher/client.js" {
  import { Client } from "undici";
  export default Client;
}

declare module "undici/lib/core/errors.js" {
  import { errors } from "undici";
  export default errors;
}

declare module "undici/lib/core/util.js" {
  import type { util } from "undici";
  const parts: Pick<typeof util, "parseHeaders">;
  export default parts;
}

declare module "undici/lib/api/index.js" {
  import type { Dispatcher } from "undici";
  const methods: Pick<Dispatcher, "connect" | "pipeline" | "request" | "stream" | "upgrade">;
  export default methods;
}
