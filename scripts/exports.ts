/**
 * The public paths of the package, read from `exports` of package.json, so that no script keeps a list of its own.
 */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Root of the repository, with a slash at the end. */
export const root: string = fileURLToPath(new URL("..", import.meta.url));

/** One public path: what is imported, and the files behind it, relative to the root. */
export interface PublicPath {
  /** What a user imports, for example `sluice/client`. */
  readonly specifier: string;
  /** Its last part, for file names: `client`; `sluice` for the root itself. */
  readonly name: string;
  readonly source: string;
  readonly types: string;
  readonly script: string;
}

/** What the scripts read of package.json. */
export interface Manifest {
  readonly version: string;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** package.json, as it is now. */
export function readManifest(): Manifest {
  // Written by us and checked by npm; a wrong shape fails in the first script that uses it.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return JSON.parse(readFileSync(`${root}package.json`, "utf8")) as Manifest;
}

/** Every path of `exports` that is code; `./package.json` is not. */
export function publicPaths(manifest: Manifest = readManifest()): PublicPath[] {
  return Object.entries(manifest.exports).flatMap(([path, target]) => {
    if (typeof target === "string") return [];
    const { "sluice-source": source, types, default: script } = target;
    if (source === undefined || types === undefined || script === undefined) {
      throw new Error(`exports["${path}"] in package.json needs "sluice-source", "types" and "default"`);
    }
    const name = path === "." ? "sluice" : path.slice(2).replaceAll("/", "-");
    return [{ specifier: `sluice${path.slice(1)}`, name, source, types, script }];
  });
}
