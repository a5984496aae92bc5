/**
 * Adds to `package-lock.json` the optional packages for other platforms that npm left out. Run it after `npm install`.
 *
 * Tools such as oxlint name one binary package for each platform. npm forgets those that the registry in use could
 * not offer at that moment, and `npm ci` then refuses the file everywhere ("Missing: ... from lock file"). What is
 * added has a name, a version and its platform, and no integrity: npm takes that from the registry when a machine of
 * that platform installs it. It never changes an entry that npm wrote.
 */

import { readFileSync, writeFileSync } from "node:fs";

const file = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(file, "utf8"));
const platforms =
  /(?:^|[/-])(android|darwin|freebsd|linux|openharmony|win32)-(arm64|arm|ia32|ppc64|riscv64|s390x|x64)(?:-(gnu|musl))?/;

/**
 * Whether npm has put `name` where `owner` finds it: in its own `node_modules`, or in one further out.
 *
 * @param {string} owner
 * @param {string} name
 */
function isLocked(owner, name) {
  const folders = owner.split("/node_modules/");
  return folders.some((_, depth) => {
    const folder = folders.slice(0, folders.length - depth).join("/node_modules/");
    return lock.packages[`${folder}/node_modules/${name}`] ?? lock.packages[`node_modules/${name}`];
  });
}

let added = 0;
for (const [owner, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (isLocked(owner, name)) continue;
    const platform = platforms.exec(name);
    // A range needs a registry to be resolved, and a package for no platform is npm's own business.
    if (platform === null || !/^\d/.test(version)) continue;
    const [, os, cpu, libc] = platform;
    lock.packages[`node_modules/${name}`] = {
      version,
      cpu: [cpu],
      ...(entry.dev ? { dev: true } : {}),
      ...(libc === undefined ? {} : { libc: [libc === "gnu" ? "glibc" : "musl"] }),
      optional: true,
      os: [os],
    };
    added += 1;
  }
}
const byPath = ([a], [b]) => a.localeCompare(b, "en");
lock.packages = Object.fromEntries(Object.entries(lock.packages).toSorted(byPath));
writeFileSync(file, `${JSON.stringify(lock, undefined, 2)}\n`);
console.log(`package-lock.json: ${added} optional packages for other platforms added`);
