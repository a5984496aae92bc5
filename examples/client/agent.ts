/** One pool for what is built on `node:http`: axios, got and the AWS SDK share connections, limits and statistics. */

import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import axios from "axios";
import got from "got";
import { Transport } from "sluice/client";

const shop = process.argv[2] ?? "http://127.0.0.1:8080";
const url = `${shop}/api/products/stoneware-mug`;

const transport = new Transport({ maxConnsPerHost: 50 });
const agent = transport.agent(); // one agent for http and https

const viaAxios = await axios.get(url, { httpAgent: agent, httpsAgent: agent });
const viaGot = await got(url, { agent: { http: agent, https: agent } });

// The shop is no S3; a GET of an object looks the same to it.
const s3 = new S3Client({
  requestHandler: { httpAgent: agent, httpsAgent: agent },
  endpoint: shop,
  forcePathStyle: true,
  region: "local",
  credentials: { accessKeyId: "none", secretAccessKey: "none" },
});
const object = await s3.send(new GetObjectCommand({ Bucket: "api", Key: "products/stoneware-mug" }));
await object.Body?.transformToString();

console.log(viaAxios.status, viaGot.statusCode, object.$metadata.httpStatusCode);
console.log("connections opened:", transport.stats().opened);
await transport.close();
