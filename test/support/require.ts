/**
 * What a test needs beyond Node and the npm packages: a compiler, a browser, a broker.
 *
 * On a developer's machine a missing one skips the test, with a line that says how to get it. Where everything must
 * run, `SLUICE_REQUIRE=all` turns the same line into a failure: a test that is silently skipped in CI protects nobody.
 */

import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestContext } from "node:test";
import { findNode24 } from "../../scripts/node24.ts";

interface Requirement {
  /** Answers where it is, or `undefined`. `path` is the value of PATH. */
  readonly find: (path: string) => string | undefined;
  readonly what: string;
  readonly next: string;
}

/** First of `names` that is an executable file in one of the folders of `path`. */
export function findProgram(path: string, names: readonly string[]): string | undefined {
  const files = path.split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)));
  return files.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return statSync(file).isFile();
    } catch {
      // Not there, or not ours to run: either way not what a test can use.
      return false;
    }
  });
}

const program =
  (...names: string[]) =>
  (path: string): string | undefined =>
    findProgram(path, names);

/** Debian keeps the server out of PATH, in a folder for each major version. */
const debianPostgres = Array.from({ length: 10 }, (_, index) => `/usr/lib/postgresql/${20 - index}/bin`).join(
  delimiter,
);

/** Debian keeps servers out of the PATH of those who are not root. */
const debianServer =
  (name: string) =>
  (path: string): string | undefined =>
    findProgram(`${path}${delimiter}/usr/sbin`, [name]);

/** Name of something that a test may need. */
export type RequirementName =
  | "go"
  | "chromium"
  | "haproxy"
  | "nginx"
  | "redis"
  | "postgres"
  | "nats"
  | "promtool"
  | "node24";

const requirements: Readonly<Record<RequirementName, Requirement>> = {
  go: {
    what: "the Go compiler (`go`)",
    find: program("go"),
    next: "Install it with `apt-get install golang-go` or `brew install go`.",
  },
  chromium: {
    what: "a Chromium browser",
    find: program("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    next: "Install it with `apt-get install chromium`.",
  },
  haproxy: {
    what: "HAProxy (`haproxy`)",
    find: debianServer("haproxy"),
    next: "Install it with `apt-get install haproxy`; the test starts one of its own on a free port.",
  },
  nginx: {
    what: "nginx",
    find: debianServer("nginx"),
    next: "Install it with `apt-get install nginx-light`; the test starts one of its own on a free port.",
  },
  redis: {
    what: "a Redis or Valkey server",
    find: program("valkey-server", "redis-server"),
    next: "Install it with `apt-get install redis-server`; the test starts one of its own on a free port.",
  },
  postgres: {
    what: "a PostgreSQL server",
    find: (path) => findProgram(`${path}${delimiter}${debianPostgres}`, ["postgres"]),
    next: "Install it with `apt-get install postgresql`; the test starts one of its own on a free port.",
  },
  nats: {
    what: "a NATS server",
    find: program("nats-server"),
    next: "Install it with `apt-get install nats-server`; the test starts one of its own on a free port.",
  },
  promtool: {
    what: "Prometheus' `promtool`",
    find: program("promtool"),
    next: "Install it with `apt-get install prometheus`.",
  },
  node24: {
    what: "Node 24",
    find: findNode24,
    next: "Fetch it with `node scripts/node24.ts --version`.",
  },
};

/** Where {@link requirement} looks and how strict it is; the process's environment unless a test gives its own. */
export interface RequirementEnvironment {
  readonly PATH?: string | undefined;
  readonly SLUICE_REQUIRE?: string | undefined;
}

/**
 * Path of the program that test `t` needs, or `undefined` when it is absent; then `t` is marked as skipped and should return.
 *
 * ```ts
 * const go = requirement(t, "go");
 * if (go === undefined) return;
 * ```
 *
 * With `SLUICE_REQUIRE=all` it throws instead.
 */
export function requirement(
  t: Pick<TestContext, "skip">,
  name: RequirementName,
  environment: RequirementEnvironment = process.env,
): string | undefined {
  const { what, find, next } = requirements[name];
  const strictness = environment.SLUICE_REQUIRE ?? "";
  if (strictness !== "" && strictness !== "all") {
    throw new RangeError(`SLUICE_REQUIRE knows only the value "all"; got ${JSON.stringify(strictness)}`);
  }
  const found = find(environment.PATH ?? "");
  if (found !== undefined) return found;
  const message = `needs ${what}, which is not on this machine. ${next}`;
  if (strictness === "all") throw new Error(`SLUICE_REQUIRE=all: ${message}`);
  t.skip(message);
  return undefined;
}
