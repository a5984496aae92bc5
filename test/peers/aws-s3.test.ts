/** The AWS SDK's S3 client over a transport's agent, against a small S3 of our own. */

import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { Readable } from "node:stream";
import { test } from "node:test";
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { Transport } from "sluice/client";
import { serve, type Served } from "../support/node-http.ts";
import { assertQuiet } from "../support/transport-checks.ts";
import { testPeer } from "../support/peer-contract.ts";

/** As much of S3 as the tests use: objects of one bucket by path, and their list. */
function serveS3(): Promise<Served> {
  const objects = new Map<string, Buffer>();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "", "http://s3");
    if (request.method === "PUT") {
      objects.set(url.pathname, unchunk(await buffer(request), request.headers["content-encoding"]));
      response.setHeader("etag", '"1"').end();
      return;
    }
    if (url.searchParams.has("list-type")) {
      const keys = [...objects].map(([path, { length }]) => {
        const key = path.split("/").slice(2).join("/");
        return `<Contents><Key>${key}</Key><Size>${length}</Size></Contents>`;
      });
      response.setHeader("content-type", "application/xml");
      response.end(`<?xml version="1.0"?><ListBucketResult><Name>b</Name>${keys.join("")}</ListBucketResult>`);
      return;
    }
    const object = objects.get(url.pathname);
    if (object === undefined) response.writeHead(404, { "content-type": "application/xml" });
    response.end(object ?? "<Error><Code>NoSuchKey</Code><Message>there is none</Message></Error>");
  };
  return serve((request, response) => void answer(request, response));
}

/** The body of an upload in the `aws-chunked` coding, in which the SDK sends streams with a checksum behind them. */
function unchunk(body: Buffer, coding: string | undefined): Buffer {
  if (coding?.includes("aws-chunked") !== true) return body;
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    const lineEnd = body.indexOf("\r\n", at);
    const length = Number.parseInt(body.toString("latin1", at, lineEnd), 16);
    if (!(length > 0)) break;
    pieces.push(body.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
  return Buffer.concat(pieces);
}

function connect(transport: Transport, endpoint: string): S3Client {
  const agent = transport.agent();
  return new S3Client({
    endpoint,
    region: "eu-west-1",
    credentials: { accessKeyId: "id", secretAccessKey: "secret" },
    forcePathStyle: true,
    maxAttempts: 1,
    requestHandler: { httpAgent: agent, httpsAgent: agent },
  });
}

testPeer("AWS SDK, S3 client", (transport) => ({
  get: async (url, abortSignal) => {
    const { origin, pathname, searchParams } = new URL(url);
    const client = connect(transport, origin);
    const command = new GetObjectCommand({ Bucket: "b", Key: "k" });
    command.middlewareStack.add(
      (next) => (args) => {
        // Its own path would be /b/k; the contract asks for another.
        Object.assign(Object(args.request), { path: pathname, query: Object.fromEntries(searchParams) });
        return next(args);
      },
      { step: "build", name: "pathOfTheContract" },
    );
    const { Body } = await client.send(command, { ...(abortSignal && { abortSignal }) });
    return (await Body?.transformToString()) ?? "";
  },
}));

test("the S3 client puts, gets, streams and lists over one connection", async () => {
  await using served = await serveS3();
  await using transport = new Transport();
  const client = connect(transport, served.url);
  const large = Buffer.alloc(3_000_000, "x");
  await client.send(new PutObjectCommand({ Bucket: "b", Key: "small", Body: "hello" }));
  await client.send(new PutObjectCommand({ Bucket: "b", Key: "large", Body: large }));
  const pieces = Readable.from([large.subarray(0, 1_000_000), large.subarray(1_000_000)]);
  await client.send(new PutObjectCommand({ Bucket: "b", Key: "stream", Body: pieces, ContentLength: large.length }));
  for (const key of ["large", "stream"]) {
    // oxlint-disable-next-line no-await-in-loop -- one after another is the point
    const { Body } = await client.send(new GetObjectCommand({ Bucket: "b", Key: key }));
    assert.ok(Body instanceof Readable);
    // oxlint-disable-next-line no-await-in-loop -- one after another is the point
    assert.equal((await buffer(Body)).equals(large), true, key);
  }
  const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: "b" }));
  assert.deepEqual(
    Contents?.map(({ Key, Size }) => [Key, Size]),
    [
      ["small", 5],
      ["large", 3_000_000],
      ["stream", 3_000_000],
    ],
  );
  await assert.rejects(client.send(new GetObjectCommand({ Bucket: "b", Key: "none" })), { name: "NoSuchKey" });
  await assertQuiet(transport);
  assert.equal(served.accepted(), 1);
  // The SDK destroys its agents with itself; the transport's others go on.
  client.destroy();
  assert.equal((await transport.fetch(`${served.url}/b/small`)).status, 200);
});
