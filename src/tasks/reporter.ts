/**
 * To whom failures are reported, and how often.
 *
 * A failing dependency makes the same error a thousand times a second, and an error tracker that is flooded loses the
 * one that matters (and costs money). So each kind of failure is reported a few times a minute, with a count of what was
 * left out. An attempt that will be tried again is no report, nor is what was cancelled.
 */

import { now } from "../core/clock.ts";
import type { Counter, Registry } from "../core/instruments.ts";
import { within } from "./within.ts";

/** What an error is about. */
export interface ReportContext {
  /** `store`: the engine behind the queues, apart from any job. */
  readonly mechanism: "task" | "job" | "store";
  readonly level: "error" | "warning";
  /** Always true: nothing was left to crash the process. */
  readonly handled: true;
  readonly task?: string;
  readonly queue?: string;
  readonly jobId?: string;
  readonly attempt?: number;
  readonly requestId?: string;
  readonly traceparent?: string;
  /** What makes two reports the same kind. */
  readonly fingerprint: readonly string[];
  /** Reports of this kind that were left out since the last one. */
  readonly suppressed: number;
}

/** Where failures go: Sentry, a log, or both. Calls do not throw; what they throw is counted and dropped. */
export interface Reporter {
  report(error: unknown, about: ReportContext): void;
  /** Sends what is still held back. Resolves to whether all was sent within `timeoutMs`. */
  flush(timeoutMs: number): Promise<boolean>;
}

/** A report before it is known whether it will be made. */
export type Report = Omit<ReportContext, "handled" | "fingerprint" | "suppressed">;

/** What is told of a kind of failure. */
interface Window {
  endsAt: number;
  sent: number;
  suppressed: number;
}

/** Kinds told apart. What comes beyond shares one. */
const maxKinds = 1_000;
const windowMs = 60_000;

/** How {@link Reports} is set up. */
export interface ReportsOptions {
  readonly onError: ((error: unknown, about: ReportContext) => void) | undefined;
  readonly reporter: Reporter | undefined;
  readonly maxReportsPerMinute: number;
  readonly registry: Registry;
}

/** Invariant: `#windows` has at most `maxKinds` entries and the one that the others share. */
export class Reports {
  readonly #options: ReportsOptions;
  readonly #windows = new Map<string, Window>();
  readonly #sent: Counter;
  readonly #suppressed: Counter;
  readonly #failed: Counter;

  constructor(options: ReportsOptions) {
    this.#options = options;
    const total = options.registry.counter("background_reports_total", "Reports of failures, by what became of them.", [
      "result",
    ]);
    this.#sent = total.labels("sent");
    this.#suppressed = total.labels("suppressed");
    this.#failed = total.labels("failed");
  }

  /** Tells whoever wants to know. It does not throw. */
  add(error: unknown, report: Report): void {
    const { onError, reporter } = this.#options;
    if (onError === undefined && reporter === undefined) return;
    const fingerprint = [report.mechanism, report.task ?? report.queue ?? "", kindOf(error)];
    const window = this.#windowOf(fingerprint);
    if (window.sent >= this.#options.maxReportsPerMinute) {
      window.suppressed += 1;
      this.#suppressed.add();
      return;
    }
    const about: ReportContext = { ...report, handled: true, fingerprint, suppressed: window.suppressed };
    window.sent += 1;
    window.suppressed = 0;
    this.#tell(() => onError?.(error, about));
    this.#tell(() => reporter?.report(error, about));
    this.#sent.add();
  }

  /** Resolves to whether all reports have gone out. It does not reject, and takes no longer than `timeoutMs`. */
  async flush(timeoutMs: number): Promise<boolean> {
    try {
      const { reporter } = this.#options;
      return reporter === undefined || (await within(reporter.flush(timeoutMs), timeoutMs, false));
    } catch {
      this.#failed.add();
      return false;
    }
  }

  /** Whoever reports has nobody to report to: what fails there, at once or later, is only counted. */
  #tell(tell: () => unknown): void {
    try {
      const told = tell();
      if (told instanceof Promise) told.catch(() => this.#failed.add());
    } catch {
      this.#failed.add();
    }
  }

  #windowOf(fingerprint: readonly string[]): Window {
    const at = now();
    const key = JSON.stringify(fingerprint);
    const known = this.#windows.get(key);
    if (known !== undefined && at < known.endsAt) return known;
    if (known === undefined && this.#windows.size >= maxKinds) this.#forgetEnded(at);
    const place = known !== undefined || this.#windows.size < maxKinds ? key : "";
    const shared = known ?? this.#windows.get(place);
    if (shared !== undefined && at < shared.endsAt) return shared;
    const window: Window = { endsAt: at + windowMs, sent: 0, suppressed: shared?.suppressed ?? 0 };
    this.#windows.set(place, window);
    return window;
  }

  #forgetEnded(at: number): void {
    for (const [key, window] of this.#windows) if (at >= window.endsAt) this.#windows.delete(key);
  }
}

/** Name and code of an error; a message may differ each time. */
function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return code === "" ? error.name : `${error.name} ${code}`;
}
