/**
 * Proves that the lint rules hold the layers of ARCHITECTURE.md.
 *
 * A lint rule that matches nothing looks exactly like one that is obeyed. So a tree of small files, each with one
 * import that is either allowed or not, is linted with the repository's own settings.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

const denied: readonly (readonly [file: string, from: string])[] = [
  ["src/core/a.ts", "../client/index.ts"],
  ["src/core/b.ts", "node:http"],
  ["src/core/c.ts", "node:net"],
  ["src/core/d.ts", "undici"],
  ["src/core/e.test.ts", "../client/pool.ts"],
  ["src/client/a.ts", "../server/index.ts"],
  ["src/client/b.ts", "../index.ts"],
  ["src/client/c.ts", "axios"],
  ["src/client/d.ts", "sluice/core"],
  ["src/client/e.test.ts", "../server/deadlines.ts"],
  ["src/client/http2/a.ts", "../../server/index.ts"],
  ["src/client/http2/b.ts", "axios"],
  ["src/client/http2/c.ts", "../../index.ts"],
  ["src/client/http2/d.test.ts", "../../server/deadlines.ts"],
  ["src/server/a.ts", "../client/index.ts"],
  ["src/server/b.ts", "undici"],
  ["src/tasks/a.ts", "../server/index.ts"],
  ["src/tasks/stores/a.ts", "../../client/index.ts"],
  ["src/tasks/stores/b.ts", "bullmq"],
  ["src/streams/a.ts", "../server/index.ts"],
  ["src/streams/c.ts", "croner"],
  ["src/streams/b.ts", "ws"],
  ["src/observe/a.ts", "../client/transport-stats.ts"],
  ["src/observe/b.ts", "../tasks/index.ts"],
  ["src/verify/a.ts", "../client/pool.ts"],
  ["src/verify/b.ts", "../tasks/index.ts"],
  ["src/adapters/a.ts", "../tasks/retry.ts"],
  ["src/adapters/b.ts", "./express.ts"],
  ["src/adapters/jetstream/a.ts", "../../tasks/retry.ts"],
  ["src/adapters/jetstream/b.ts", "../bullmq.ts"],
  ["src/cli/a.ts", "../client/pool.ts"],
  ["src/cli/b.ts", "commander"],
  ["src/index.ts", "./client/pool.ts"],
  ["src/register.ts", "undici"],
  ["test/a.ts", "../src/client/index.ts"],
  ["test/support/a.ts", "../../src/core/index.ts"],
  ["bench/a.ts", "../src/client/pool.ts"],
  ["examples/shop/a.ts", "../../src/client/index.ts"],
  ["scripts/a.ts", "../src/core/options.ts"],
];

const allowed: readonly (readonly [file: string, from: string])[] = [
  ["src/core/m.ts", "./options.ts"],
  ["src/core/n.ts", "node:async_hooks"],
  ["src/core/o.test.ts", "node:http"],
  ["src/client/m.ts", "../core/options.ts"],
  ["src/client/n.ts", "undici"],
  ["src/client/o.ts", "node:tls"],
  ["src/client/p.test.ts", "axios"],
  ["src/client/q.test.ts", "../../test/support/require.ts"],
  ["src/client/http2/m.ts", "../../core/options.ts"],
  ["src/client/http2/n.ts", "../pool.ts"],
  ["src/client/http2/o.ts", "../dial/dial.ts"],
  ["src/client/http2/p.test.ts", "../dial/dial.ts"],
  ["src/client/http2/q.test.ts", "../../../test/support/require.ts"],
  ["src/server/m.ts", "node:timers/promises"],
  ["src/tasks/m.ts", "croner"],
  ["src/tasks/stores/m.ts", "../retry.ts"],
  ["src/verify/m.ts", "../client/index.ts"],
  ["src/adapters/m.ts", "../tasks/index.ts"],
  ["src/adapters/n.ts", "bullmq"],
  ["src/adapters/o.ts", "./jetstream/store.ts"],
  ["src/adapters/jetstream/m.ts", "./link.ts"],
  ["src/adapters/jetstream/n.ts", "../../tasks/index.ts"],
  ["src/cli/m.ts", "../verify/index.ts"],
  ["src/serve.ts", "./client/index.ts"],
  ["test/m.ts", "sluice/client"],
  ["test/n.test.ts", "./support/require.ts"],
  ["bench/m.ts", "undici"],
  ["examples/shop/m.ts", "sluice"],
];

interface Finding {
  readonly code: string;
  readonly filename: string;
}

/** Lints `files` as if they were the repository, and answers which file breaks which rule. */
function lint(files: readonly (readonly [file: string, text: string])[]): Set<string> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-layers-"));
  try {
    copyFileSync(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
    for (const [file, text] of files) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), text);
    }
    const run = spawnSync(join(root, "node_modules/.bin/oxlint"), ["--format=json"], { cwd: folder, encoding: "utf8" });
    // The shape of oxlint's JSON report; a change of it fails every assertion below.
    const report = JSON.parse(run.stdout) as { readonly diagnostics: readonly Finding[] };
    return new Set(report.diagnostics.map((finding) => `${finding.code} ${finding.filename}`));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("every import that crosses a layer is an error, and every allowed one is not", () => {
  const found = lint([...denied, ...allowed].map(([file, from]) => [file, `export { it } from "${from}";\n`]));

  const rule = "eslint(no-restricted-imports)";
  assert.deepEqual(
    denied.filter(([file]) => !found.has(`${rule} ${file}`)),
    [],
    "these cross a layer and are not reported",
  );
  assert.deepEqual(
    allowed.filter(([file]) => found.has(`${rule} ${file}`)),
    [],
    "these are allowed and are reported",
  );
});

test("a cycle, a console call and a read of process.env in a part are errors", () => {
  const found = lint([
    ["src/client/a.ts", 'import { b } from "./b.ts";\nexport const a = (): number => b();\n'],
    ["src/client/b.ts", 'import { a } from "./a.ts";\nexport const b = (): number => a();\n'],
    ["src/client/c.ts", 'console.log("hello");\n'],
    ["src/client/d.ts", "export const proxy = process.env.HTTP_PROXY;\n"],
    ["src/cli/e.ts", "console.log(process.env.HOME);\n"],
  ]);

  for (const expected of [
    "import(no-cycle) src/client/a.ts",
    "eslint(no-console) src/client/c.ts",
    "node(no-process-env) src/client/d.ts",
  ]) {
    assert.ok(found.has(expected), `${expected} is not reported; found: ${[...found].join(", ")}`);
  }
  assert.ok(![...found].some((finding) => finding.endsWith("src/cli/e.ts")));
});

test("an adapter file imports one part and at most one foreign package, or packages of one scope", () => {
  for (const file of globSync("src/adapters/**/*.ts", { cwd: root })) {
    if (file.endsWith(".test.ts")) continue;
    const source = readFileSync(join(root, file), "utf8");
    const names = Array.from(source.matchAll(/\bfrom "([^"]+)"/g), ([, name = ""]) => name);
    const parts = new Set(names.filter((name) => /^\.\.\/(?!(?:\.\.\/)?core\/)/.test(name)));
    const packages = names.filter((name) => !/^(?:\.|node:)/.test(name));
    const foreign = new Set(packages.map((name) => name.replace(/^(@[^/]+)\/.*/, "$1")));
    assert.ok(parts.size <= 1, `${file} imports ${[...parts].join(" and ")}`);
    assert.ok(foreign.size <= 1, `${file} imports ${[...foreign].join(" and ")}`);
  }
});
