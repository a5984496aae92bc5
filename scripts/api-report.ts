/**
 * Writes the public interface under `docs/api`: for each public path, the declarations that the compiler emits.
 *
 * The files are committed, so that a change of the interface shows in a pull request as a change of these files; with
 * `--check` it fails when they are not up to date. A file holds the modules of its own part that the public types
 * reach; those of another part stay an import, as they have a file of their own.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { publicPaths, root, type PublicPath } from "./exports.ts";
import { writeOrCheck } from "./printed-files.ts";

const paths = publicPaths();

function emitDeclarations(folder: string): void {
  const flags = ["--emitDeclarationOnly", "--declarationMap", "false", "--outDir", folder];
  const tsc = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", "tsconfig.build.json", ...flags], {
    cwd: root,
    stdio: "inherit",
  });
  if (tsc.status !== 0) throw new Error("tsc could not emit the declarations");
}

/** Folder of a public path inside `dist`, with a slash at the end; empty for the root. */
function folderOf(path: PublicPath): string {
  const folder = dirname(relative("dist", path.types));
  return folder === "." ? "" : `${folder}/`;
}

/** The public path that a module belongs to: the one in the innermost folder around it. */
function ownerOf(module: string): PublicPath | undefined {
  const exact = paths.find((path) => relative("dist", path.types) === module);
  if (exact !== undefined) return exact;
  const around = paths.filter((path) => module.startsWith(folderOf(path)));
  return around.toSorted((a, b) => folderOf(b).length - folderOf(a).length)[0];
}

/** Modules of `path` that its types reach, the entry first. */
function reachable(emitted: string, path: PublicPath): Map<string, string> {
  const found = new Map<string, string>();
  const queue = [relative("dist", path.types)];
  for (const module of queue) {
    if (found.has(module) || ownerOf(module) !== path) continue;
    const text = readFileSync(join(emitted, module), "utf8").replace(/^\/\/# sourceMappingURL=.*\n?/m, "");
    found.set(module, text.trim());
    const imports = Array.from(text.matchAll(/(?:from |import\()"(\.[^"]+)"/g), ([, from = ""]) => from).toSorted();
    queue.push(...imports.map((from) => join(dirname(module), from.replace(/\.[jt]s$/, ".d.ts"))));
  }
  return found;
}

function report(emitted: string, path: PublicPath): string {
  const modules = Array.from(reachable(emitted, path), ([module, text]) => `// ${module}\n\n${text}\n`);
  return [`// The interface of ${path.specifier}, printed by \`npm run api\`. Do not edit.\n`, ...modules].join("\n");
}

const emitted = mkdtempSync(join(tmpdir(), "sluice-api-"));
try {
  emitDeclarations(emitted);
  const files = new Map(paths.map((path) => [`${path.name}.d.ts`, report(emitted, path)]));
  writeOrCheck({ folder: "docs/api", ending: ".d.ts", command: "npm run api", files });
} finally {
  rmSync(emitted, { recursive: true });
}
