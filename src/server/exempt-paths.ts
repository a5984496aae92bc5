/**
 * The paths that admission control lets through: probes, and the pages that one needs in an overload.
 *
 * It is asked for every request, so the usual answer, no, must not cost a string: a query is cut off only when what
 * stands before it is as long as one of the paths. Paths are compared as they were sent. Nothing is decoded, since two
 * decoders that disagree would be a way around the limit.
 */

const slash = 47;

/** A path that could leave the folder that it seems to be in, once somebody decodes and resolves it. */
const climbs = /\.\.|%2e/i;

/** Invariant: `#lengths[n] === 1` exactly if a path of `#exact` has `n` characters. */
export class ExemptPaths {
  readonly #exact: ReadonlySet<string>;
  readonly #lengths: Uint8Array;
  readonly #prefixes: readonly string[];

  /** `"/admin/*"` stands for all that begins with `/admin/`; other paths for themselves. */
  constructor(paths: readonly string[]) {
    this.#prefixes = paths.filter((path) => path.endsWith("*")).map((path) => path.slice(0, -1));
    this.#exact = new Set(paths.filter((path) => !path.endsWith("*")));
    this.#lengths = new Uint8Array(Math.max(0, ...Array.from(this.#exact, (path) => path.length)) + 1);
    for (const path of this.#exact) this.#lengths[path.length] = 1;
  }

  /** Whether the path of a request target is among them, whatever its query. */
  has(target: string): boolean {
    const url = target.charCodeAt(0) === slash ? target : pathOfAbsolute(target);
    const query = url.indexOf("?");
    const length = query < 0 ? url.length : query;
    if (this.#lengths[length] === 1 && this.#exact.has(query < 0 ? url : url.slice(0, query))) return true;
    for (const prefix of this.#prefixes) {
      if (url.startsWith(prefix)) return !climbs.test(url.slice(0, length));
    }
    return false;
  }
}

/** The path of an absolute target (RFC 9112 section 3.2.2); of any other, such as `*`, none. */
function pathOfAbsolute(target: string): string {
  const authority = target.indexOf("://");
  if (authority < 0) return "";
  const path = target.indexOf("/", authority + 3);
  return path < 0 ? "/" : target.slice(path);
}
