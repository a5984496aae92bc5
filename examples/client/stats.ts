/** What `stats()` says after twenty requests at once to an origin that may have four connections. */

import { Transport } from "sluice/client";

const shop = process.argv[2] ?? "http://127.0.0.1:8080";

const transport = new Transport({ maxConnsPerHost: 4 });
const get = async (): Promise<string> => (await transport.fetch(`${shop}/api/products/stoneware-mug`)).text();
const twenty = Promise.all(Array.from({ length: 20 }, get));

await new Promise(setImmediate); // the requests are in line, and the dials have begun
const { idle, inUse, connecting, waiting } = transport.stats();
console.log({ idle, inUse, connecting, waiting });

await twenty;
const [origin] = transport.stats().origins;
console.log(origin?.idle, "idle,", origin?.opened, "opened, at most", origin?.limits.maxConnsPerHost);
console.log(origin?.waitCount, "waited for a connection");

await transport.close();
const closed = Object.entries(transport.stats().closed).filter(([, count]) => count > 0);
console.log("closed:", Object.fromEntries(closed));
