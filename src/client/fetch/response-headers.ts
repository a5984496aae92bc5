/**
 * The `headers` of a response, made when they are first looked at.
 *
 * They are global `Headers` and not a class of our own, because such objects are recognised by a private field when
 * they are copied (`new Headers(response.headers)`, `new Response(body, { headers })`). There is no public way to get
 * a closed one, so the methods that change it are closed here, by a prototype in between.
 */

/** One header field as dispatchers give it. */
export type RawField = Uint8Array | string | readonly (Uint8Array | string)[];

/** Header fields by name, as undici's handlers get them. */
export type HeaderFields = Record<string, string | string[] | undefined>;

let closedPrototype: object | undefined;

function refuse(): never {
  throw new TypeError("immutable");
}

/** Not at import: the first look at `globalThis.Headers` loads Node's whole fetch. */
function makeClosedPrototype(): object {
  const closed = { value: refuse, configurable: true, writable: true };
  return Object.create(globalThis.Headers.prototype, { append: closed, set: closed, delete: closed });
}

function latin1(field: Uint8Array | string): string {
  return typeof field === "string"
    ? field
    : Buffer.from(field.buffer, field.byteOffset, field.byteLength).toString("latin1");
}

function valuesOf(field: RawField): readonly (Uint8Array | string)[] {
  return typeof field === "string" || field instanceof Uint8Array ? [field] : field;
}

/** Raw fields (name, value, name, value) where the dispatcher has them; the parsed ones otherwise (HTTP/2). */
export function makeHeaders(raw: readonly RawField[] | undefined, fields: HeaderFields): Headers {
  const headers = new globalThis.Headers();
  if (raw === undefined) {
    for (const [name, values] of Object.entries(fields)) {
      for (const value of valuesOf(values ?? [])) headers.append(name, latin1(value));
    }
  } else {
    for (let place = 0; place + 1 < raw.length; place += 2) {
      const name = valuesOf(raw[place] ?? [])
        .map(latin1)
        .join("")
        .toLowerCase();
      for (const value of valuesOf(raw[place + 1] ?? [])) headers.append(name, latin1(value));
    }
  }
  closedPrototype ??= makeClosedPrototype();
  Object.setPrototypeOf(headers, closedPrototype);
  return headers;
}
