/**
 * Tests what is published, not what is in `src`: builds, packs, installs the tarball in an empty project, and imports
 * every public path from JavaScript and from TypeScript, on Node 24 and on Node 26.
 *
 * This is what finds a file missing from `files`, a wrong path in `exports`, an import of a dev dependency, and a type
 * that only resolves inside the repository. It also prints the packed size, and what a cold import of each path costs.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { publicPaths, readManifest, root, type PublicPath } from "./exports.ts";
import { fetchNode24 } from "./node24.ts";

const manifest = readManifest();

/** Runs a command to its end and answers its standard output; what it complains about is shown. */
function run(cwd: string, command: string, args: readonly string[]): string {
  const result = spawnSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  if (result.status !== 0) {
    throw new Error(
      `${command} ${args.join(" ")}: ${result.error?.message ?? `exit code ${result.status}`}\n${result.stdout}`,
    );
  }
  return result.stdout;
}

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

/** Packs the freshly built `dist` into `folder`. */
function pack(folder: string): Packed {
  run(root, "npm", ["run", "--silent", "build"]);
  const report = run(root, "npm", ["pack", "--json", "--ignore-scripts", `--pack-destination=${folder}`]);
  // npm 12 and newer answer an object with one entry per package, older ones a list.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const [packed] = Object.values(JSON.parse(report) as Readonly<Record<string, Packed>>);
  if (packed === undefined) throw new Error(`npm pack reported nothing: ${report}`);
  const tests = packed.files.filter(({ path }) => path.includes(".test."));
  if (tests.length > 0) throw new Error(`tests are packed: ${tests.map(({ path }) => path).join(", ")}`);
  return packed;
}

/** Imports every path, and fails if one of them exports nothing. */
function consumer(paths: readonly PublicPath[]): string {
  const imports = paths.map(({ specifier }, index) => `import * as part${index} from "${specifier}";`);
  const checks = paths.map(
    ({ specifier }, index) =>
      `if (Object.keys(part${index}).length === 0) throw new Error("${specifier} exports nothing");`,
  );
  return [
    ...imports,
    `import manifest from "sluice/package.json" with { type: "json" };`,
    ...checks,
    `if (manifest.version !== "${manifest.version}") throw new Error("sluice/package.json is another version");`,
    `console.log("${paths.length} paths on Node " + process.version);`,
    "",
  ].join("\n");
}

/** An empty project that has installed the tarball, a JavaScript file and a TypeScript file. */
function makeProject(folder: string, packed: Packed, paths: readonly PublicPath[]): void {
  const compilerOptions = {
    target: "esnext",
    module: "nodenext",
    types: ["node"],
    strict: true,
    // Our own declarations are what is tested here.
    skipLibCheck: false,
    resolveJsonModule: true,
    outDir: "out",
    rootDir: ".",
  };
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["typescript.ts"] }));
  writeFileSync(join(folder, "javascript.js"), consumer(paths));
  writeFileSync(join(folder, "typescript.ts"), consumer(paths));
  const peers = Object.keys(manifest.peerDependencies ?? {});
  // Who uses a package without types of its own in TypeScript has them from there.
  const types = ["node", ...peers].map((name) => `@types/${name}`).filter((name) => name in manifest.devDependencies);
  const needed = [...peers, ...types];
  const packages = needed.map((name) => `${name}@${manifest.devDependencies[name] ?? "latest"}`);
  run(folder, "npm", ["install", "--no-audit", "--no-fund", "--loglevel=error", `./${packed.filename}`, ...packages]);
}

function kibibytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Milliseconds that a fresh process needs to import `specifier`; nothing at all when it is `undefined`. */
function coldStart(folder: string, node: string, specifier: string | undefined): number {
  const code = specifier === undefined ? "0" : `import "${specifier}"`;
  const before = performance.now();
  run(folder, node, ["--input-type=module", "--eval", code]);
  return performance.now() - before;
}

/** Prints the price of a cold import of each path. The runs are interleaved, as a shared machine drifts. */
function printImportTimes(folder: string, node: string, paths: readonly PublicPath[]): void {
  const subjects = [undefined, ...paths.map(({ specifier }) => specifier)];
  const samples = subjects.map((): number[] => []);
  for (let round = 0; round < 11; round += 1) {
    for (const [index, specifier] of subjects.entries()) samples[index]?.push(coldStart(folder, node, specifier));
  }
  const [bare = Number.NaN, ...imported] = samples.map(median);
  console.log(`cold import, median of 11, above a bare start of ${bare.toFixed(1)} ms:`);
  for (const [index, { specifier }] of paths.entries()) {
    console.log(`  ${specifier.padEnd(20)} ${((imported[index] ?? Number.NaN) - bare).toFixed(1).padStart(6)} ms`);
  }
}

const folder = mkdtempSync(join(tmpdir(), "sluice-pack-"));
try {
  const paths = publicPaths(manifest);
  const packed = pack(folder);
  console.log(
    `packed ${kibibytes(packed.size)}, unpacked ${kibibytes(packed.unpackedSize)}, ${packed.files.length} files`,
  );
  makeProject(folder, packed, paths);
  run(folder, join(root, "node_modules/.bin/tsc"), ["-p", "."]);
  for (const node of [fetchNode24(), process.execPath]) {
    for (const file of ["javascript.js", "out/typescript.js"]) {
      process.stdout.write(`${file}: ${run(folder, node, [file])}`);
    }
  }
  printImportTimes(folder, process.execPath, paths);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
