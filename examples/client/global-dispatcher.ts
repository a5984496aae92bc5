/** Beside undici: the transport is a `Dispatcher`, so it goes wherever one goes, and below undici's interceptors. */

import { Transport } from "sluice/client";
import { interceptors, request, setGlobalDispatcher } from "undici";

const shop = process.argv[2] ?? "http://127.0.0.1:8080";

const transport = new Transport();
setGlobalDispatcher(transport); // for undici's fetch and request, and for built-in fetch
const { statusCode, body } = await request(`${shop}/api/products/stoneware-mug`);
await body.dump();

const following = transport.compose(interceptors.redirect({ maxRedirections: 3 }));
const answer = await following.request({ origin: shop, path: "/api/products/stoneware-mug", method: "GET" });
await answer.body.dump();

console.log(statusCode, answer.statusCode, "connections opened:", transport.stats().opened);
await transport.close();
