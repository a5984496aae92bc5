/**
 * The mail engine of the shop: a mail is a file in the outbox. Where a real shop would speak SMTP, this one takes the
 * time that it takes, and can be told to fail as it fails.
 */

import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface Mail {
  /** Two mails of one id are one mail: a job may be done twice. */
  readonly id: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

/** How long a mail server takes to take a mail. */
const sendMs = 300;

export class Outbox {
  readonly #folder: string;
  readonly #isBroken: boolean;

  private constructor(folder: string, isBroken: boolean) {
    this.#folder = folder;
    this.#isBroken = isBroken;
  }

  static async open(folder: string, isBroken: boolean): Promise<Outbox> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new Outbox(folder, isBroken);
  }

  /** Resolves once the mail is out; rejects when the signal aborts, or the engine is broken. */
  async send({ id, to, subject, text }: Mail, signal: AbortSignal): Promise<void> {
    await sleep(sendMs, undefined, { signal });
    if (this.#isBroken) throw new Error("451 4.3.0 The mail engine is broken (--broken-mail)");
    const mail = [
      "From: Millrace <orders@millrace.example>",
      `To: <${to}>`,
      `Subject: ${subject}`,
      `Date: ${new Date().toUTCString().replace("GMT", "+0000")}`,
      `Message-ID: <${id}@millrace.example>`,
      "MIME-Version: 1.0",
      "Content-Type: text/plain; charset=utf-8",
      "Content-Transfer-Encoding: 8bit",
      "",
      ...text.split("\n"),
      "",
    ].join("\r\n");
    const file = join(this.#folder, `${id}.eml`);
    await writeFile(`${file}.part`, mail, { mode: 0o600, flush: true, signal });
    await rename(`${file}.part`, file);
  }
}
