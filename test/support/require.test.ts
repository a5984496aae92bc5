import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { test, type TestContext } from "node:test";
import { requirement } from "./require.ts";

/** A test context that only remembers why it was skipped. */
function recorder(): { readonly skipped: string[]; skip(message?: string): void } {
  const skipped: string[] = [];
  return { skipped, skip: (message = "") => void skipped.push(message) };
}

/** A folder with a file called `go`, removed when the test ends. */
function folderWithGo(t: TestContext, mode: number): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-require-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "go"), "#!/bin/sh\n");
  chmodSync(join(folder, "go"), mode);
  return folder;
}

test("a program that is there is answered with its path, and the test is not skipped", (t) => {
  const folder = folderWithGo(t, 0o755);
  const context = recorder();

  const found = requirement(context, "go", { PATH: ["/nowhere", folder].join(delimiter) });

  assert.equal(found, join(folder, "go"));
  assert.deepEqual(context.skipped, []);
});

test("a missing program skips the test with its name and how to install it", () => {
  const context = recorder();

  assert.equal(requirement(context, "go", { PATH: "/nowhere" }), undefined);

  assert.equal(context.skipped.length, 1);
  assert.match(context.skipped[0] ?? "", /the Go compiler.*not on this machine.*apt-get install golang-go/);
});

test("with SLUICE_REQUIRE=all a missing program is an error, not a skip", () => {
  const context = recorder();

  const strict = { PATH: "/nowhere", SLUICE_REQUIRE: "all" };
  assert.throws(() => requirement(context, "redis", strict), /SLUICE_REQUIRE=all: needs a Redis or Valkey server/);

  assert.deepEqual(context.skipped, []);
});

test("a value of SLUICE_REQUIRE that nobody knows is an error, because it would protect nothing", () => {
  const misspelt = { PATH: "/nowhere", SLUICE_REQUIRE: "ALL" };
  assert.throws(() => requirement(recorder(), "go", misspelt), /knows only the value "all"; got "ALL"/);
});

test("a folder, or a file that may not be run, is not a program", (t) => {
  const folder = folderWithGo(t, 0o644);
  const context = recorder();

  assert.equal(requirement(context, "go", { PATH: folder }), undefined);

  assert.equal(context.skipped.length, 1);
});
