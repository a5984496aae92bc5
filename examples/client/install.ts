/** Code that nobody edits gets the pool: `install()` changes what global fetch and undici use, until it is undone. */

import { Transport } from "sluice/client";

const shop = process.argv[2] ?? "http://127.0.0.1:8080";

const transport = new Transport();
{
  using _installed = transport.install(); // now fetch, here and in every library, is the transport's
  const response = await fetch(`${shop}/api/products/stoneware-mug`);
  await response.text();
} // and now it is Node's again

console.log("connections opened:", transport.stats().opened);
await transport.close();
