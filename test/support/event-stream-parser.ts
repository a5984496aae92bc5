/**
 * Reads an event stream as a browser does, by the letter: WHATWG HTML, 9.2.6 "Interpreting an event stream". Written from the
 * standard and not from our encoder, so that each can show the mistakes of the other.
 */

import { StringDecoder } from "node:string_decoder";

/** What a page would get. */
export interface DispatchedEvent {
  readonly type: string;
  readonly data: string;
  readonly lastEventId: string;
}

export class SpecParser {
  readonly events: DispatchedEvent[] = [];
  /** What the page's next connection would send. */
  lastEventId = "";
  retryMs: number | undefined;
  /** Lines that began with a colon. */
  comments = 0;
  readonly #decoder = new StringDecoder("utf8");
  #text = "";
  #isFirst = true;
  #data = "";
  #type = "";
  #id = "";

  push(bytes: Buffer): void {
    this.#text += this.#decoder.write(bytes);
    if (this.#isFirst && this.#text !== "") {
      this.#isFirst = false;
      if (this.#text.startsWith("\uFEFF")) this.#text = this.#text.slice(1);
    }
    for (;;) {
      // A CR at the very end may be half of a CRLF.
      const end = /\r\n|\n|\r(?!$)/.exec(this.#text);
      if (end === null) return;
      const line = this.#text.slice(0, end.index);
      this.#text = this.#text.slice(end.index + end[0].length);
      this.#readLine(line);
    }
  }

  #readLine(line: string): void {
    if (line === "") {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) {
      this.comments += 1;
      return;
    }
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "event") this.#type = value;
    else if (field === "data") this.#data += `${value}\n`;
    else if (field === "id") {
      if (!value.includes("\0")) this.#id = value;
    } else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
  }

  #dispatch(): void {
    this.lastEventId = this.#id;
    const data = this.#data;
    const type = this.#type === "" ? "message" : this.#type;
    this.#data = "";
    this.#type = "";
    if (data !== "") this.events.push({ type, data: data.slice(0, -1), lastEventId: this.lastEventId });
  }
}
