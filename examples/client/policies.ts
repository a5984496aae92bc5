/** What is off unless asked for: retries within a budget, hedges, ejection of bad addresses, a limit that adapts. */

import { Transport } from "sluice/client";

const shop = process.argv[2] ?? "http://127.0.0.1:8080";

const transport = new Transport({
  retry: { attempts: 2 }, // connection errors, 502, 503, 504; at most a fifth more requests
  hedge: { delay: "p95" }, // a second GET when the first one is slower than 95 of 100
  ejection: {}, // an address that failed five times in a row is tried last for 30 s
  concurrency: { limit: "adaptive" }, // fewer in flight while the origin is slow
});
const response = await transport.fetch(`${shop}/api/products/stoneware-mug`);
await response.text();
console.log(response.status, "retries:", transport.stats().retries);
await transport.close();
