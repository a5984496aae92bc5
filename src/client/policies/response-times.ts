/**
 * The 95th percentile of the response times of one origin, as of late.
 *
 * It is kept in a histogram whose ranges grow by a tenth each, so a percentile is off by no more than that and costs a
 * few hundred bytes. After some thousand times a new histogram is begun, and the old answer stands until the new one
 * has seen enough: an origin that has become faster or slower is believed in time.
 */

import { Histogram } from "../../core/instruments.ts";

const growth = 1.1;
const lowestMs = 0.5;
/** Up to two minutes: nobody waits longer for a hedge. */
const bounds: Float64Array = Float64Array.from({ length: 131 }, (_, index) => lowestMs * growth ** index);

/** Times that have to be known before there is an answer. */
const minTimes = 100;
/** Times after which a new histogram is begun. */
const maxTimes = 4_096;
/** The percentile is worked out anew once in this many times. */
const readEvery = 32;

/** Invariant: `#p95` is of a histogram with at least `minTimes` times, or `undefined` when there was none yet. */
export class ResponseTimes {
  #histogram: Histogram = new Histogram(bounds);
  #times = 0;
  #p95: number | undefined;

  record(ms: number): void {
    this.#histogram.record(ms);
    this.#times += 1;
    if (this.#times >= minTimes && (this.#times === minTimes || this.#times % readEvery === 0)) {
      this.#p95 = this.#histogram.quantile(0.95);
    }
    if (this.#times < maxTimes) return;
    this.#histogram = new Histogram(bounds);
    this.#times = 0;
  }

  /** Milliseconds, or `undefined` while too few times are known. */
  p95(): number | undefined {
    return this.#p95;
  }
}
