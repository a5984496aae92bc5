/**
 * Reads what the doc comments of option interfaces say.
 *
 * By pattern and not by a parser: TypeScript 7 has no interface for programs yet, and option interfaces are written in
 * one strict form (`readonly key?: Type;` under a comment; without `?` if it must be given), which the formatter keeps. What does not match that form
 * is noticed by `reference.ts`, because the option table then has a key that is not documented.
 */

/** One member of an option interface. */
export interface OptionDoc {
  readonly key: string;
  readonly type: string;
  readonly text: string;
  /** What follows each tag: `default`, `range`, `go`, `metric`, `see`. */
  readonly tags: ReadonlyMap<string, string>;
}

/** One option interface. */
export interface OptionsDoc {
  /** Its name without the ending: `Transport` for `TransportOptions`. */
  readonly owner: string;
  readonly text: string;
  readonly options: readonly OptionDoc[];
}

const comment = String.raw`\/\*\*((?:(?!\*\/)[^])*)\*\/`;
const interfaces = new RegExp(String.raw`(?:${comment}\n)?export interface (\w+)Options\b[^{]*\{\n([^]*?)\n\}`, "g");
const members = new RegExp(
  String.raw`^ {2}${comment}\n {2}readonly (\w+)\??: ([^]*?);(?=\n\n|\n {2}\/\*\*|$(?![^]))`,
  "gm",
);

/** Lines of a doc comment without its stars, split into the text and what follows each tag. */
function readComment(raw: string): Pick<OptionDoc, "text" | "tags"> {
  const plain = raw.replace(/^[ \t]*\*? ?/gm, "").replace(/\{@link (\w+)[^}]*\}/g, "`$1`");
  const [text = "", ...tagged] = plain.split(/^@(?=\w)/m);
  const tags = tagged.map((tag): [string, string] => {
    const [, name = "", value = ""] = /^(\w+)\s*([^]*)$/.exec(tag) ?? [];
    return [name, value.trim().replaceAll(/\s*\n\s*/g, " ")];
  });
  return { text: text.trim(), tags: new Map(tags) };
}

/** The option interfaces of one source file, in its order. What options become once resolved is left out. */
export function readOptionDocs(source: string): OptionsDoc[] {
  const found = Array.from(source.matchAll(interfaces), ([, about = "", owner = "", body = ""]) => {
    const options = Array.from(body.matchAll(members), ([, doc = "", key = "", type = ""]) => {
      return { key, type: type.replaceAll(/\s+/g, " "), ...readComment(doc) };
    });
    return { owner, text: readComment(about).text, options };
  });
  return found.filter(({ owner }) => !owner.startsWith("Resolved"));
}

/** The value that a `@default` stands for, or `undefined` for words such as "none". */
export function readDefault(written: string): { readonly value: unknown } | undefined {
  const [first = ""] = /^(?:"[^"]*"|\S+)/.exec(written) ?? [];
  for (const literal of [written, first]) {
    if (literal === "Infinity") return { value: Infinity };
    try {
      return { value: JSON.parse(/^\d[\d_.]*$/.test(literal) ? literal.replaceAll("_", "") : literal) };
    } catch {
      // Not a literal: the first word alone may be one, else it is prose that says what happens when nothing is given.
    }
  }
  return undefined;
}
