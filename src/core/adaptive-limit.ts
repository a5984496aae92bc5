/**
 * A concurrency limit that finds its own value from measured response times.
 *
 * A fixed limit is right on the day when it was measured. This one follows Gradient2 of Netflix's concurrency-limits:
 * it compares the response time of the last second with a long average, lets the limit grow while they agree and
 * shrinks it as soon as answers come slower than the tolerance. It changes nothing while less than half of the limit
 * is in use, because then the response times say nothing about the limit.
 *
 * Two things differ. A long average taken under permanent load slowly learns the queue as if it were the server, and
 * the limit drifts up; so after every 60 windows or so, half of the limit is lent out for one window and what is
 * measured there replaces the average. The same probe finds out within a minute when a server has become slower for
 * good. And when a tenth of the requests of a window was dropped, the limit shrinks by a tenth; dropped ones are kept out of
 * the averages, since a refusal that comes back in a millisecond is not a fast answer.
 *
 * A server that was just started meets its full load at once, and would shed most of it for minutes while the limit
 * grows by one a second. With `ramp` it moves in larger steps where the measurements are clear: it doubles while it is
 * used up and answers are as fast as ever, falls four times as often while they are far slower, and is halved when a
 * probe shows that half of it lets as many requests through.
 *
 * This is only the arithmetic. It holds nobody back, has no queue and no timer; a gate asks for `limit`.
 */

import { now as monotonicNow } from "./clock.ts";

/** Answers closer than this are below what the loop can measure, and would make a baseline that nothing can keep. */
const minRttMs = 0.1;
const windowMs = 1_000;
const minWindowSamples = 10;
/** How much slower than the average an answer may be before the limit shrinks. */
const tolerance = 1.5;
/** Requests that may wait at the server: without a queue the limit could never grow. */
const queueSize = 4;
/** Share of each new estimate. */
const smoothing = 0.2;
/** Windows that the long average looks back on. */
const longWindow = 600;
const warmupWindows = 10;
const dropFactor = 0.9;
/** Share of dropped requests that means overload. Fewer are everyday losses, and would grind the limit down to `min`. */
const overloadShare = 0.1;
const probeEvery = 60;

// With `ramp`:
/** Shortest window around a large step. */
const shortWindowMs = 100;
/** How much slower than the average an answer may be while the limit doubles. It settles at more than `tolerance`. */
const rampTolerance = 1.25;
/** Share of the limit that is in flight on average while it is used up. */
const usedUpShare = 0.9;
/** Gradient below which the limit is far too high. */
const steepGradient = 0.7;
/** Share of the throughput at which half of the limit is as good as all of it. */
const asGood = 0.95;
/** Windows until the next probe, after one that has halved the limit. */
const probeSoon = 5;
/** Windows at `min` after which the average is measured anew: it may be that of other, quicker requests. */
const mostAtMin = 5;

export interface AdaptiveLimitOptions {
  /** Where it starts, before anything was measured. Default 20. */
  readonly initial?: number;
  /** It never goes below. Default 20. */
  readonly min?: number;
  /** It never goes above. Default 200. */
  readonly max?: number;
  /** Moves in large steps where that is safe, for a limit that starts low under full load. Default `false`. */
  readonly ramp?: boolean;
  /** Milliseconds on a monotonic clock. */
  readonly now?: () => number;
  /** Jitters the probes, so that the clients of a server do not probe together. */
  readonly random?: () => number;
}

/** What was measured since the last change. */
interface Window {
  startedAt: number;
  samples: number;
  sumMs: number;
  maxInFlight: number;
  sumInFlight: number;
  drops: number;
}

/**
 * Invariant: `min <= #estimate <= max`; only `#close`, at the end of a window, changes it. `#probe` counts the windows
 * down to 0, is 0 in the window that lets the excess run off, and -1 in the window that measures. `#settling` is set in
 * a window of which nothing is learned, because it began with another limit; only with `ramp`.
 */
export class AdaptiveLimit {
  readonly #min: number;
  readonly #max: number;
  readonly #ramp: boolean;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #window: Window;
  #estimate: number;
  #longMs = 0;
  #longSamples = 0;
  #probe: number;
  #windowMs: number;
  #settling: boolean;
  /** Whether the average may be that of a crowd, as the last probe has it. */
  #searching = false;
  #atMin = 0;
  /** Response time of the last window that used the limit up; 0 if the last one did not. */
  #usedUpMs = 0;

  constructor(options: AdaptiveLimitOptions = {}) {
    const { initial = 20, min = 20, max = 200, ramp = false, now = monotonicNow, random = Math.random } = options;
    this.#min = min;
    this.#max = max;
    this.#ramp = ramp;
    this.#windowMs = ramp ? shortWindowMs : windowMs;
    this.#settling = ramp;
    this.#now = now;
    this.#random = random;
    this.#estimate = Math.min(Math.max(initial, min), max);
    this.#window = { startedAt: now(), samples: 0, sumMs: 0, maxInFlight: 0, sumInFlight: 0, drops: 0 };
    this.#probe = this.#drawProbe();
  }

  /** Requests that may be in flight at once, a whole number. */
  get limit(): number {
    const limit = this.#probe > 0 ? this.#estimate : Math.max(this.#estimate / 2, this.#min);
    return Math.floor(limit);
  }

  /** What an answer takes when the server is not crowded, in milliseconds; 0 before anything was measured. */
  get baselineMs(): number {
    return this.#longMs;
  }

  /**
   * Tells about one finished request.
   *
   * @param rttMs how long the server took, without the time spent waiting for this limit.
   * @param inFlight how many were in flight when it was sent, itself included.
   * @param dropped whether the server refused it or never answered: overload, timeout, reset.
   */
  onSample(rttMs: number, inFlight: number, dropped: boolean): void {
    const window = this.#window;
    window.maxInFlight = Math.max(window.maxInFlight, inFlight);
    if (dropped) window.drops += 1;
    else if (rttMs >= minRttMs) {
      window.samples += 1;
      window.sumMs += rttMs;
      window.sumInFlight += inFlight;
    } else return;
    const now = this.#now();
    if (now - window.startedAt < this.#windowMs) return;
    if (window.samples + window.drops < minWindowSamples) return;
    this.#close(window);
    window.startedAt = now;
    window.samples = 0;
    window.sumMs = 0;
    window.maxInFlight = 0;
    window.sumInFlight = 0;
    window.drops = 0;
  }

  #close(window: Window): void {
    const settling = this.#settling;
    this.#settling = false;
    this.#windowMs = windowMs;
    if (window.drops >= (window.samples + window.drops) * overloadShare) {
      this.#settle(this.#estimate * dropFactor);
      return;
    }
    const shortMs = window.sumMs / window.samples;
    if (settling) this.#windowMs = Math.max(shortWindowMs, shortMs);
    else if (this.#probe <= 0) this.#closeProbe(shortMs);
    // A limit that ramps is there soon when it is needed, so that the peak of a quiet second does not move it.
    else this.#closeUsual(shortMs, this.#ramp ? window.sumInFlight / window.samples : window.maxInFlight);
    // What was let in before the limit was lowered has to end first.
    if (this.#probe === 0) this.#windowMs = Math.max(windowMs, 2 * shortMs);
  }

  #closeUsual(shortMs: number, inFlight: number): void {
    this.#probe -= 1;
    const usedUp = inFlight >= Math.floor(this.#estimate) * usedUpShare;
    this.#usedUpMs = usedUp ? shortMs : 0;
    // A crowd that the limit has let in is not what answers take without one.
    if (!(this.#ramp && usedUp && this.#longMs > 0 && shortMs > this.#longMs * tolerance)) this.#learn(shortMs);
    // The baseline was learned in worse times: let it come down faster than the average would.
    if (this.#longMs / shortMs > 2) this.#longMs *= 0.95;
    if (inFlight * 2 < this.#estimate) return;
    if (this.#ramp && usedUp && this.#mayDouble(shortMs)) {
      this.#settle(this.#estimate * 2);
      this.#settling = true;
      // Until the slow ones of before have ended: the quick ones of now end first, and would stand for all.
      this.#windowMs = Math.max(shortWindowMs, 2 * shortMs);
      return;
    }
    const gradient = Math.min(1, Math.max(0.5, (tolerance * this.#longMs) / shortMs));
    this.#settle(this.#estimate * (1 - smoothing) + (this.#estimate * gradient + queueSize) * smoothing);
    if (this.#ramp) this.#follow(gradient, shortMs);
  }

  #mayDouble(shortMs: number): boolean {
    return !this.#searching && this.#estimate < this.#max && shortMs <= this.#longMs * rampTolerance;
  }

  /** What comes after a step of the usual size. */
  #follow(gradient: number, shortMs: number): void {
    if (gradient < steepGradient) this.#windowMs = Math.min(windowMs, Math.max(shortWindowMs, shortMs));
    this.#atMin = this.#estimate === this.#min ? this.#atMin + 1 : 0;
    if (this.#atMin < mostAtMin) return;
    this.#atMin = 0;
    this.#probe = 0;
  }

  /** The first window lets the requests above the lowered limit run off; the second one is measured. */
  #closeProbe(shortMs: number): void {
    if (this.#probe === 0) {
      this.#probe = -1;
      this.#windowMs = Math.max(windowMs, shortMs);
      return;
    }
    const lowered = Math.max(this.#estimate / 2, this.#min);
    const slower = shortMs > this.#longMs * tolerance;
    this.#longMs = shortMs;
    this.#probe = this.#drawProbe();
    if (!this.#ramp || lowered === this.#estimate) return;
    // Throughput is what is in flight over the time that it takes (Little).
    const half = lowered / shortMs;
    const whole = this.#usedUpMs > 0 ? this.#estimate / this.#usedUpMs : Infinity;
    const enough = half >= whole * asGood;
    if (enough) this.#settle(lowered);
    // Half of it may be too much as well; or the crowd has come between the two measurements.
    this.#searching = enough || slower;
    if (this.#searching) this.#probe = probeSoon;
  }

  /** A plain mean at first, so that the first second does not weigh for ten minutes. */
  #learn(shortMs: number): void {
    this.#longSamples = Math.min(this.#longSamples + 1, longWindow);
    const weight = this.#longSamples <= warmupWindows ? 1 / this.#longSamples : 2 / (longWindow + 1);
    this.#longMs += (shortMs - this.#longMs) * weight;
  }

  #settle(estimate: number): void {
    this.#estimate = Math.min(Math.max(estimate, this.#min), this.#max);
  }

  #drawProbe(): number {
    return Math.round(probeEvery * (0.9 + 0.2 * this.#random()));
  }
}
