/** The certificates of `scripts/make-test-certificates.ts`, as `node:tls` takes them. */

import { readFileSync } from "node:fs";

function read(name: string): string {
  return readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url), "utf8");
}

/** The authority that signed the other two. */
export const ca: string = read("ca.pem");

/** For localhost, sluice.test, *.sluice.test, 127.0.0.1, 127.0.0.2 and ::1. */
export const serverCertificate: { readonly cert: string; readonly key: string } = {
  cert: read("server.pem"),
  key: read("server.key"),
};

export const clientCertificate: { readonly cert: string; readonly key: string } = {
  cert: read("client.pem"),
  key: read("client.key"),
};
