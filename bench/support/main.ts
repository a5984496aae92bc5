/** What a script needs to be both a module that tests import and a command. */

import { parseArgs } from "node:util";

export function isMain(moduleUrl: string): boolean {
  return process.argv[1] !== undefined && new URL(`file://${process.argv[1]}`).href === moduleUrl;
}

/** Whole numbers from the command line: `--requests 1000` beside the fallback of each name. */
export function numbersFrom<Name extends string>(fallbacks: Readonly<Record<Name, number>>): Record<Name, number> {
  const names = Object.keys(fallbacks);
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" } as const]));
  const { values } = parseArgs({ options });
  const numbers = { ...fallbacks };
  for (const [name, text] of Object.entries(values)) {
    const value = Number(text);
    if (!Number.isInteger(value) || value < 0)
      throw new RangeError(`--${name} takes a whole number, not ${String(text)}`);
    Object.assign(numbers, { [name]: value });
  }
  return numbers;
}
