/**
 * Prints `docs/reference` from the option tables and the doc comments beside them; `--check` fails when it is old.
 *
 * It starts at every `<name>-options.ts` of a part: the interface `NameOptions` brings the words, the exported table
 * `nameOptions` the defaults. A group of options has the interface that its type names, in any options file of the part.
 * A default that is not mentioned, a number without a range, a key that is not documented, and a `@default` that is not the one
 * in the table are errors: the page is only worth reading if it cannot be wrong.
 */

import { globSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { root } from "./exports.ts";
import { readDefault, readOptionDocs, type OptionDoc, type OptionsDoc } from "./option-docs.ts";
import { writeOrCheck } from "./printed-files.ts";

interface Rule {
  readonly fallback: unknown;
  readonly parse: (given: unknown) => unknown;
}

/** An interface, and every place in the options of its owner where it is used: `[]` for the owner itself. */
interface Section {
  readonly doc: OptionsDoc;
  readonly uses: (readonly string[])[];
}

function isRule(value: unknown): value is Rule {
  return typeof value === "object" && value !== null && "fallback" in value && "parse" in value;
}

/** Value of `path` inside nested plain objects. */
function read(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? new Map(Object.entries(inner)).get(key) : undefined),
    value,
  );
}

/** `{ retry: { attempts: 3 } }` for the path `retry.attempts`. */
function nest(path: readonly string[], value: unknown): unknown {
  return path.reduceRight((inner, key) => ({ [key]: inner }), value);
}

/** A value that a reader has to be told, and that can be written in a comment. */
function isPlain(value: unknown): boolean {
  return ["number", "string", "boolean"].includes(typeof value);
}

/** What the table has at `path`; a group that is off unless given has its defaults once it is given. */
function fallbackAt(rules: ReadonlyMap<string, Rule>, path: readonly string[]): unknown {
  const [first = "", ...inner] = path;
  const rule = rules.get(first);
  return inner.length === 0 ? rule?.fallback : read(rule?.parse(nest(inner.slice(0, -1), {})), inner);
}

/** Whether giving `documented` at `path` is the same as giving nothing there, by the rules of the table. */
function isDefault(rules: ReadonlyMap<string, Rule>, path: readonly string[], documented: string): boolean {
  const [first = "", ...inner] = path;
  const fallback = fallbackAt(rules, path);
  const literal = readDefault(documented);
  // Prose, such as "none": right for a function, an object, a text that must be given, or nothing at all.
  if (literal === undefined) return !isPlain(fallback) || fallback === false || fallback === "";
  try {
    return isDeepStrictEqual(read(rules.get(first)?.parse(nest(inner, literal.value)), inner), fallback);
  } catch (error) {
    // What the rule itself refuses cannot be the default.
    if (error instanceof Error) return false;
    throw error;
  }
}

/** What is wrong with the words for one option. */
function complain(option: OptionDoc, section: Section, rules: ReadonlyMap<string, Rule>): string[] {
  const { text, tags, type, key } = option;
  const written = tags.get("default");
  const places = section.uses.map((path) => [...path, key]);
  const wrong = [
    text === "" && "does not say what it limits",
    written === undefined && places.some((path) => isPlain(fallbackAt(rules, path))) && "has no @default",
    /\b(?:number|Duration|Size)\b/.test(type) && !tags.has("range") && "has no @range",
    written !== undefined &&
      !places.some((path) => isDefault(rules, path, written)) &&
      `says @default ${written}, which is not what the table has`,
  ];
  return wrong.flatMap((reason) => (reason === false ? [] : [`${section.doc.owner}.${key} ${reason}`]));
}

/** The interface itself and those of its groups, in the order in which they are met. */
function sectionsFrom(doc: OptionsDoc, docs: ReadonlyMap<string, OptionsDoc>): Map<string, Section> {
  const sections = new Map<string, Section>();
  const queue: { readonly doc: OptionsDoc; readonly path: readonly string[] }[] = [{ doc, path: [] }];
  for (const { doc: met, path } of queue) {
    const section = sections.get(met.owner) ?? { doc: met, uses: [] };
    section.uses.push(path);
    sections.set(met.owner, section);
    for (const option of met.options) {
      const group = groupOf(option, docs);
      if (group !== undefined && !path.includes(option.key)) queue.push({ doc: group, path: [...path, option.key] });
    }
  }
  return sections;
}

/** The interface of the options inside `option`, when it is a group. */
function groupOf(option: OptionDoc, docs: ReadonlyMap<string, OptionsDoc>): OptionsDoc | undefined {
  const [, name = ""] = /\b(\w+)Options\b/.exec(option.type) ?? [];
  return docs.get(name);
}

function code(text: string): string {
  return `\`${text}\``;
}

function anchor(owner: string, key = ""): string {
  return `${owner}${key && `-${key}`}`.toLowerCase();
}

/** One interface as Markdown: a table to look up, then a heading for each option. */
function print(section: Section, docs: ReadonlyMap<string, OptionsDoc>, rules: ReadonlyMap<string, Rule>): string {
  const { owner, text, options } = section.doc;
  const uses = section.uses.map((path) => path.join(".")).filter((path) => path !== "");
  const where = uses.length === 0 ? "" : `\nGiven as ${uses.map(code).join(", ")}.\n`;
  const rows = options.map((option) => {
    const group = groupOf(option, docs);
    const fallback = option.tags.get("default");
    const isOff = section.uses.every((path) => fallbackAt(rules, [...path, option.key]) === undefined);
    const link = group && `${isOff ? "off, or " : ""}[a group](#${anchor(group.owner)})`;
    const shown = fallback === undefined ? link : code(fallback);
    const cells = [`[${code(option.key)}](#${anchor(owner, option.key)})`, shown, option.tags.get("range")];
    return `| ${cells.map((cell) => (cell ?? "").replaceAll("|", "\\|")).join(" | ")} |`;
  });
  const details = options.map(({ key, type, text: words, tags }) => {
    const facts = [
      ["Type", code(type)],
      ["Default", tags.has("default") && code(tags.get("default") ?? "")],
      ["Range", tags.get("range")],
      ["In Go", tags.get("go")],
      ["Metric", tags.has("metric") && code(tags.get("metric") ?? "")],
      ["See", tags.get("see")],
    ].flatMap(([name, fact]) => (fact ? [`- ${String(name)}: ${fact}`] : []));
    return `### ${owner} ${key}\n\n${words}\n\n${facts.join("\n")}\n`;
  });
  const table = `| option | default | range |\n| --- | --- | --- |\n${rows.join("\n")}\n`;
  return [`## ${owner}\n\n${text}\n${where}`, table, ...details].join("\n");
}

const errors: string[] = [];

/** The page of one part; complaints go to `errors`. */
async function printPart(part: string): Promise<string> {
  const sources = globSync(`src/${part}/**/*options.ts`, { cwd: root }).map((file) =>
    readFileSync(`${root}${file}`, "utf8"),
  );
  const docs = new Map(sources.flatMap((source) => readOptionDocs(source)).map((doc) => [doc.owner, doc]));
  const printed: string[] = [];
  for (const file of globSync(`src/${part}/**/*-options.ts`, { cwd: root }).toSorted()) {
    const module: Readonly<Record<string, unknown>> = await import(pathToFileURL(`${root}${file}`).href);
    for (const { owner } of readOptionDocs(readFileSync(`${root}${file}`, "utf8"))) {
      const table = module[`${owner[0]?.toLowerCase()}${owner.slice(1)}Options`];
      const doc = docs.get(owner);
      if (typeof table !== "object" || table === null || doc === undefined) continue;
      const rules = new Map(
        Object.entries(table).flatMap(([key, rule]) => (isRule(rule) ? [[key, rule] as const] : [])),
      );
      const documented = new Set(doc.options.map(({ key }) => key));
      errors.push(
        ...[...rules.keys()].filter((key) => !documented.has(key)).map((key) => `${owner}.${key} is not documented`),
      );
      for (const section of sectionsFrom(doc, docs).values()) {
        for (const option of section.doc.options) {
          // The defaults of a group are those of its options.
          if (groupOf(option, docs) === undefined) errors.push(...complain(option, section, rules));
        }
        printed.push(print(section, docs, rules));
      }
    }
  }
  const header = `# sluice/${part}: options\n\nPrinted by \`npm run reference\` from the option tables. Do not edit.\n`;
  return [header, ...printed].join("\n");
}

const parts = new Set(globSync("src/*/**/*-options.ts", { cwd: root }).map((file) => file.split("/")[1] ?? ""));
const files = new Map<string, string>();
for (const part of [...parts].toSorted()) files.set(`${part}.md`, await printPart(part));
for (const error of errors) console.error(error);
if (errors.length > 0) process.exitCode = 1;
else writeOrCheck({ folder: "docs/reference", ending: ".md", command: "npm run reference", files });
