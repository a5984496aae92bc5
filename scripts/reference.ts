/**
 * Prints `docs/reference` from the option tables and the doc comments beside them; `--check` fails when it is old.
 *
 * Every `src/<part>/<name>-options.ts` is read. Its interface `NameOptions` brings the words, its table `nameOptions`
 * the defaults. An option without its default or range, and a `@default` that is not the one in the table, are errors:
 * the page is only worth reading if it cannot be wrong. The words are found by pattern, not by a parser of TypeScript,
 * which the strict form of the option files allows.
 */

import { globSync, readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { root } from "./exports.ts";
import { writeOrCheck } from "./printed-files.ts";

interface Option {
  readonly key: string;
  readonly type: string;
  readonly text: string;
  readonly tags: ReadonlyMap<string, string>;
}

interface Options {
  /** Name of the interface without its ending: `Transport` for `TransportOptions`. */
  readonly owner: string;
  readonly text: string;
  readonly options: readonly Option[];
}

interface Rule {
  readonly fallback: unknown;
  readonly parse: (given: unknown) => unknown;
}

/** Lines of a doc comment without its stars, split into the text and what follows each tag. */
function readComment(comment: string): { readonly text: string; readonly tags: ReadonlyMap<string, string> } {
  const plain = comment.replace(/^[ \t]*\*? ?/gm, "").replace(/\{@link (\w+)[^}]*\}/g, "`$1`");
  const [text = "", ...tagged] = plain.split(/^@(?=\w)/m);
  const tags = tagged.map((tag): [string, string] => {
    const [, name = "", value = ""] = /^(\w+)\s*([^]*)$/.exec(tag) ?? [];
    return [name, value.trim().replaceAll(/\s*\n\s*/g, " ")];
  });
  return { text: text.trim(), tags: new Map(tags) };
}

/** The interfaces of one option file whose name ends in `Options`. */
function readInterfaces(source: string): Options[] {
  const interfaces = source.matchAll(
    /\/\*\*((?:(?!\*\/)[^])*)\*\/\nexport interface (\w+)Options\b[^{]*\{\n([^]*?)\n\}/g,
  );
  return Array.from(interfaces, ([, comment = "", owner = "", body = ""]) => {
    const members = body.matchAll(
      /^ {2}\/\*\*((?:(?!\*\/)[^])*)\*\/\n {2}readonly (\w+)\?: ([^]*?);(?=\n\n|\n {2}\/\*\*|$(?![^]))/gm,
    );
    const options = Array.from(members, ([, doc = "", key = "", type = ""]) => ({ key, type, ...readComment(doc) }));
    return { owner, text: readComment(comment).text, options };
  });
}

/** What a `@default` stands for, or `undefined` for words such as "none". */
function readDefault(written: string): { readonly value: unknown } | undefined {
  const [literal = ""] = /^(?:"[^"]*"|\S+)/.exec(written) ?? [];
  if (literal === "Infinity") return { value: Infinity };
  const plain = /^\d[\d_]*(?:\.\d+)?$/.test(literal) ? literal.replaceAll("_", "") : literal;
  try {
    return { value: JSON.parse(plain) };
  } catch {
    // Not a literal: a word that says what happens when nothing is given.
    return undefined;
  }
}

/** Why the documentation of `option` is not that of its `rule`, or nothing. */
function complaints(owner: string, option: Option, rule: Rule | undefined): string[] {
  const name = `${owner}.${option.key}`;
  const missing = ["default", "range"].filter((tag) => !option.tags.has(tag)).map((tag) => `${name} has no @${tag}`);
  if (option.text === "") missing.push(`${name} does not say what it limits`);
  const written = option.tags.get("default");
  if (rule === undefined || written === undefined) return missing;
  const documented = readDefault(written);
  const isAbsent =
    rule.fallback == null || rule.fallback === false || ["object", "function"].includes(typeof rule.fallback);
  const same = documented === undefined ? isAbsent : isDeepStrictEqual(rule.parse(documented.value), rule.fallback);
  return same ? missing : [...missing, `${name}: @default ${written} is not the ${String(rule.fallback)} of the table`];
}

function isRule(value: unknown): value is Rule {
  return typeof value === "object" && value !== null && "fallback" in value && "parse" in value;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

/** One interface as Markdown: a table to look up, then a section for each option. */
function printOptions({ owner, text, options }: Options): string {
  const rows = options.map(({ key, tags }) => {
    const link = `[\`${key}\`](#${owner.toLowerCase()}-${key.toLowerCase()})`;
    return `| ${link} | ${cell(`\`${tags.get("default") ?? ""}\``)} | ${cell(tags.get("range") ?? "")} |`;
  });
  const sections = options.map(({ key, type, text: words, tags }) => {
    const facts = [
      `- Type: \`${type.replaceAll(/\s+/g, " ")}\``,
      `- Default: \`${tags.get("default") ?? ""}\`; range: ${tags.get("range") ?? ""}`,
      ...(tags.has("go") ? [`- In Go: ${tags.get("go")}`] : []),
      ...(tags.has("metric") ? [`- Metric: \`${tags.get("metric")}\``] : []),
      ...(tags.has("see") ? [`- Source: ${tags.get("see")}`] : []),
    ];
    return `### ${owner} ${key}\n\n${words}\n\n${facts.join("\n")}\n`;
  });
  return [
    `## ${owner}\n\n${text}\n`,
    `| option | default | range |\n| --- | --- | --- |\n${rows.join("\n")}\n`,
    ...sections,
  ].join("\n");
}

const errors: string[] = [];
const pages = new Map<string, string[]>();
for (const file of globSync("src/*/*-options.ts", { cwd: root }).toSorted()) {
  const tables: Readonly<Record<string, unknown>> = await import(pathToFileURL(`${root}${file}`).href);
  const part = basename(dirname(file));
  for (const options of readInterfaces(readFileSync(`${root}${file}`, "utf8"))) {
    if (options.owner.startsWith("Resolved")) continue;
    const name = `${options.owner[0]?.toLowerCase()}${options.owner.slice(1)}Options`;
    const table = new Map(Object.entries(tables[name] ?? {}));
    const documented = new Set(options.options.map(({ key }) => key));
    for (const key of table.keys()) if (!documented.has(key)) errors.push(`${options.owner}.${key} is not documented`);
    for (const option of options.options) {
      const rule = table.get(option.key);
      errors.push(...complaints(options.owner, option, isRule(rule) ? rule : undefined));
    }
    pages.set(part, [...(pages.get(part) ?? []), printOptions(options)]);
  }
}
for (const error of errors) console.error(error);
if (errors.length > 0) process.exitCode = 1;
const files = new Map(
  Array.from(pages, ([part, sections]) => [
    `${part}.md`,
    `# sluice/${part}: options\n\nPrinted by \`npm run reference\` from the option tables. Do not edit.\n\n${sections.join("\n")}`,
  ]),
);
if (errors.length === 0) writeOrCheck({ folder: "docs/reference", ending: ".md", command: "npm run reference", files });
