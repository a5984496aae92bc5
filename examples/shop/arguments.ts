/** The command line of the shop: reads it, checks it, explains it. */

import { parseArgs, styleText } from "node:util";

export interface Arguments {
  /** `undefined` = not asked for: 8080, or the next free one. */
  readonly port: number | undefined;
  /** Customers a second; `undefined` = nobody comes. */
  readonly traffic: number | undefined;
  readonly seed: number;
  /** Folder of what outlives the shop; `undefined` = a temporary one, removed at the end. */
  readonly data: string | undefined;
  /** Whether no mail goes out. */
  readonly brokenMail: boolean;
  readonly help: boolean;
}

/** The command line can't be followed; the message says what to write. */
export class UsageError extends Error {}

const options = {
  port: { type: "string" },
  traffic: { type: "string" },
  seed: { type: "string" },
  data: { type: "string" },
  "broken-mail": { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

const defaultRate = 50;
const maxRate = 2000;

export function readArguments(argv: readonly string[]): Arguments {
  // parseArgs knows no optional value: `--traffic` alone gets its default here.
  const args = argv.map((arg, index) =>
    arg === "--traffic" && !/^\d/.test(argv[index + 1] ?? "") ? `--traffic=${defaultRate}` : arg,
  );
  const { values, tokens } = parseArgs({ args, options, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind === "positional") throw new UsageError(`What is "${token.value}"? The shop takes options only.`);
    if (token.kind === "option" && !Object.hasOwn(options, token.name))
      throw new UsageError(refuseOption(token.rawName));
  }
  return {
    port: readNumber("--port", values.port, { min: 0, max: 65_535 }),
    traffic: readNumber("--traffic", values.traffic, { min: 1, max: maxRate }),
    seed: readNumber("--seed", values.seed, { min: 0, max: 2 ** 31 - 1 }) ?? 1,
    data: readFolder(values.data),
    brokenMail: values["broken-mail"] === true,
    help: values.help === true,
  };
}

function readNumber(
  name: string,
  given: string | boolean | undefined,
  { min, max }: { readonly min: number; readonly max: number },
): number | undefined {
  if (given === undefined) return undefined;
  const number = typeof given === "string" && /^\d+$/.test(given) ? Number(given) : Number.NaN;
  if (number >= min && number <= max) return number;
  const what = typeof given === "string" ? `not "${given}"` : "and got none";
  throw new UsageError(`${name} takes a whole number from ${min} to ${max}, ${what}.`);
}

function readFolder(given: string | boolean | undefined): string | undefined {
  if (given === undefined) return undefined;
  if (typeof given === "string" && given !== "" && !given.startsWith("-")) return given;
  throw new UsageError("--data takes a folder: --data ./millrace");
}

function refuseOption(name: string): string {
  const known = Object.keys(options).map((key) => `--${key}`);
  const [nearest] = known
    .map((option) => ({ option, distance: countEdits(name, option) }))
    .toSorted((a, b) => a.distance - b.distance);
  const advice =
    nearest && nearest.distance <= 3 ? `Did you mean ${nearest.option}?` : `There are ${known.join(", ")}.`;
  return `There is no option ${name}. ${advice}`;
}

/** Levenshtein's distance, one row at a time. */
function countEdits(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [i, a] of from.split("").entries()) {
    const next = [i + 1];
    for (const [j, b] of to.split("").entries()) {
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (a === b ? 0 : 1)));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

function bold(text: string): string {
  return styleText("bold", text);
}

function cyan(text: string): string {
  return styleText("cyan", text);
}

export function describeUsage(): string {
  return `${bold("Millrace")}, the reference shop of sluice: pages made from three services over one connection pool.

${bold("Usage")}  npm start -- [options]

  ${cyan("--port <n>")}        Listen on this port. 0 takes any free one.
                    Without it: 8080, or the next free one.
  ${cyan("--traffic [rate]")}  Play customers, ${defaultRate} page views a second or as many as given (1 to ${maxRate}).
  ${cyan("--seed <n>")}        Play other customers. The same seed plays the same ones. Default 1.
  ${cyan("--data <folder>")}   Keep orders, queue, audit log and outbox there, for the next start.
                    Without it: in a temporary folder that is removed at the end.
  ${cyan("--broken-mail")}     No mail goes out: watch the retries and the dead letters.
  ${cyan("--help")}            Show this.

${bold("Examples")}
  npm start -- --traffic
  npm start -- --port 3000 --traffic 200
  npm start -- --data ./millrace --broken-mail
`;
}
