/**
 * What the options of Node's own servers are called here. Whoever moves from `http.createServer` writes them first, and
 * "not an option" would send them to the manual.
 */

import { OptionError } from "../core/errors.ts";

const forMaking = "is Node's own: make the server with http.createServer() and that option, and pass it to guard().";
const forTls = "belongs in tls: { cert, key, ... } of createServer().";
const forListening = "belongs in the call of listen().";
const always = "is Node's own and not needed here: what it checks is always checked.";

const ours: Readonly<Record<string, string>> = {
  keepAliveTimeout: "idleTimeout",
  keepAliveTimeoutBuffer: "idleTimeout, which is exact",
  headersTimeout: "readHeaderTimeout",
  requestTimeout: "readTimeout, for the body alone",
  timeout: "minRequestRate and minResponseRate, or writeTimeout",
  setTimeout: "minRequestRate and minResponseRate, or writeTimeout",
  maxHeaderSize: "maxHeaderBytes",
  maxHeadersCount: "maxHeaders",
  maxConnections: "maxConns",
  dropMaxConnection: "overflow",
  maxRequestsPerSocket: "maxRequestsPerConn",
  handshakeTimeout: "tlsHandshakeTimeout",
  allowHTTP1: "http2: true, which serves HTTP/1.1 too",
};

const words: Readonly<Record<string, string>> = {
  connectionsCheckingInterval: "is Node's own and not needed here: each deadline is kept by itself, within 100 ms.",
  requireHostHeader: always,
  rejectNonStandardBodyWrites: forMaking,
  insecureHTTPParser: forMaking,
  httpValidation: forMaking,
  noDelay: forMaking,
  keepAliveInitialDelay: forMaking,
  joinDuplicateHeaders: forMaking,
  uniqueHeaders: forMaking,
  highWaterMark: forMaking,
  optimizeEmptyRequests: forMaking,
  shouldUpgradeCallback: forMaking,
  IncomingMessage: forMaking,
  ServerResponse: forMaking,
  blockList: forMaking,
  settings: forMaking,
  key: forTls,
  cert: forTls,
  pfx: forTls,
  ca: forTls,
  passphrase: forTls,
  ALPNProtocols: forTls,
  SNICallback: forTls,
  port: forListening,
  host: forListening,
  path: forListening,
  reusePort: forListening,
};

/** @throws OptionError for an option of `http.createServer`, `https.createServer` or `listen` that is none of ours. */
export function refuseNodeOptions(given: unknown): void {
  if (typeof given !== "object" || given === null) return;
  for (const key of Object.keys(given)) {
    if (Object.hasOwn(ours, key)) throw new OptionError(`Server.${key}`, `is Node's own: here it is ${ours[key]}.`);
    if (Object.hasOwn(words, key)) throw new OptionError(`Server.${key}`, words[key] ?? "");
  }
}
