/**
 * Makes the certificates in `test/fixtures/tls` with the `openssl` command: an authority, and a server and a client
 * certificate signed by it. They are kept in the repository, valid for a hundred years, so that the tests need no
 * openssl and do not fail on a birthday. Their keys protect nothing.
 *
 *     node scripts/make-test-certificates.ts
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const target = new URL("../test/fixtures/tls/", import.meta.url).pathname;
const validity = ["-days", "36500"];
const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"];

function openssl(...args: readonly string[]): void {
  execFileSync("openssl", args, { cwd: target, stdio: ["ignore", "inherit", "inherit"] });
}

function makeAuthority(): void {
  const constraints = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"];
  const subject = ["-subj", "/CN=sluice test authority"];
  openssl("req", "-x509", ...newKey, ...validity, ...subject, ...constraints, "-keyout", "ca.key", "-out", "ca.pem");
}

function makeLeaf(name: string, commonName: string, extensions: readonly string[]): void {
  const work = mkdtempSync(join(tmpdir(), "sluice-certificates-"));
  try {
    const request = join(work, "request.pem");
    const extensionFile = join(work, "extensions");
    writeFileSync(extensionFile, extensions.join("\n"));
    openssl("req", ...newKey, "-subj", `/CN=${commonName}`, "-keyout", `${name}.key`, "-out", request);
    const signer = ["-CA", "ca.pem", "-CAkey", "ca.key"];
    openssl("x509", "-req", "-in", request, ...signer, ...validity, "-extfile", extensionFile, "-out", `${name}.pem`);
  } finally {
    rmSync(work, { recursive: true });
  }
}

const serverNames = "DNS:localhost,DNS:sluice.test,DNS:*.sluice.test,IP:127.0.0.1,IP:127.0.0.2,IP:::1";
makeAuthority();
makeLeaf("server", "localhost", [`subjectAltName=${serverNames}`, "extendedKeyUsage=serverAuth"]);
makeLeaf("client", "sluice test client", ["extendedKeyUsage=clientAuth"]);
