/**
 * Events as they stand on the wire: `text/event-stream` of the WHATWG HTML standard, section 9.2.
 *
 * An event is made into bytes once, and those are shared by all who get it. What comes from a user cannot become another
 * field or another event: line ends in data begin another `data:` line, and in a name, an id or a comment they are taken
 * out. So is NUL: a client ignores an id that holds one, and would then resume from the wrong place.
 */

/** One event, before it is bytes. */
export interface SseEvent {
  /**
   * What the client gets as `event.data`: text as it is, anything else as JSON. Its line ends all become LF, since the
   * format knows no others. Without data no event is dispatched, and only the id is noted.
   */
  readonly data?: unknown;
  /** The name under which the client listens; without one: `message`. CR, LF and NUL are taken out. */
  readonly event?: string | undefined;
  /** What the client sends as `Last-Event-ID` when it comes again. CR, LF and NUL are taken out. */
  readonly id?: string | undefined;
}

/** Bytes of an event, by the standard. */
export function encodeEvent({ data, event, id }: SseEvent): Buffer {
  let block = "";
  if (event !== undefined && event !== "") block += `event: ${cleanField(event)}\n`;
  if (id !== undefined) block += `id: ${cleanField(id)}\n`;
  if (data !== undefined) block += prefixLines("data: ", typeof data === "string" ? data : toJson(data));
  return Buffer.from(`${block}\n`);
}

/** A line that no client sees: it keeps the connection alive, and shows that it is. */
export function encodeComment(text: string): Buffer {
  return Buffer.from(`${prefixLines(": ", text.replaceAll("\0", ""))}\n`);
}

/** How long the client waits before it comes again, in milliseconds. */
export function encodeRetry(ms: number): Buffer {
  return Buffer.from(`retry: ${Math.max(0, Math.round(ms))}\n\n`);
}

/** What is left of a name or an id that stands on one line. */
export function cleanField(raw: string): string {
  // oxlint-disable-next-line no-control-regex -- NUL is what is looked for
  return /[\r\n\0]/.test(raw) ? raw.replaceAll(/[\r\n\0]/g, "") : raw;
}

function prefixLines(prefix: string, text: string): string {
  if (!/[\r\n]/.test(text)) return `${prefix}${text}\n`;
  return text
    .split(/\r\n|\r|\n/)
    .map((line) => `${prefix}${line}\n`)
    .join("");
}

/** JSON has no line ends of its own. */
function toJson(data: unknown): string {
  // A function or a symbol has none, whatever the types say.
  const json: string | undefined = JSON.stringify(data);
  return json ?? "null";
}
