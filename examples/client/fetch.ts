/**
 * The ten lines that matter: one Transport for the whole program, fetch over it, a look at the pool, an end.
 *
 * All files of this folder talk to the shop that `npm start` opens, or to the address that is given to them.
 */

import { Transport } from "sluice/client";

const shop = process.argv[2] ?? "http://127.0.0.1:8080";

const transport = new Transport({
  maxConnsPerHost: 50, // above it, requests wait in line
  poolTimeout: "2s", // for this long
  responseHeaderTimeout: "5s",
});

const response = await transport.fetch(`${shop}/healthz`);
console.log(response.status, await response.json());

await transport.close(); // at the end of the program
