/** A test without a network: everything that the transport would send goes to undici's `MockAgent` instead. */

import { Transport } from "sluice/client";
import { MockAgent } from "undici";

const mocks = new MockAgent();
mocks.disableNetConnect();
mocks
  .get("https://orders.example")
  .intercept({ path: "/orders/7" })
  .reply(200, { state: "packed" }, { headers: { "content-type": "application/json" } });

const transport = new Transport({ upstream: mocks });
const response = await transport.fetch("https://orders.example/orders/7");
console.log(response.status, await response.json());

await transport.close();
await mocks.close();
