/**
 * What the shop prints: lines that stay, and under them one status line that is written over on a terminal.
 *
 * Through a pipe the status line is an ordinary line, and `styleText` leaves the colours out (also for NO_COLOR).
 */

import { stripVTControlCharacters, styleText } from "node:util";

export class Terminal {
  readonly isLive: boolean = process.stdout.isTTY;
  #status = "";

  say(text: string): void {
    process.stdout.write(`${this.#clear()}${text}\n${this.#status}`);
  }

  /** A line about something that happened, with the time. */
  log(line: string): void {
    this.say(`  ${styleText("dim", new Date().toTimeString().slice(0, 8))}  ${line}`);
  }

  /** Shows the present state: in place on a terminal, as one more line elsewhere. */
  show(line: string): void {
    if (!this.isLive) {
      this.say(line);
      return;
    }
    const clear = this.#clear();
    this.#status = fitToWidth(line);
    process.stdout.write(clear + this.#status);
  }

  /** Leaves the last status line where it is. */
  endStatus(): void {
    if (this.#status !== "") process.stdout.write("\n");
    this.#status = "";
  }

  #clear(): string {
    return this.#status === "" ? "" : "\r\u001b[2K";
  }
}

/** A line that wraps can't be written over: on a narrow terminal its end is cut, and the colours with it. */
function fitToWidth(line: string): string {
  const plain = stripVTControlCharacters(line);
  const width = process.stdout.columns || 80; // some pseudo-terminals say 0
  return plain.length < width ? line : plain.slice(0, width - 1);
}
