/** Every option of the SQLite store, with its meaning, its default and its range. */

import { bytes, choice, duration, text, type Duration, type OptionTable, type Size } from "../../core/options.ts";

/** Where the jobs are kept, and how. */
export interface SqliteOptions {
  /**
   * The file of the database; it is made if there is none, readable by its owner alone.
   *
   * It may be the database of the application: all tables of sluice begin with `sluice_`, and jobs can then be added in
   * the application's own transactions. It is switched to a write-ahead log (`-wal` and `-shm` beside it), so it must be on a
   * disk of this machine, and its folder must be there and writable. A file that cannot be used is an error of `start`.
   *
   * @default none; it must be given
   */
  readonly path: string;
  /**
   * How sure an added job is. `"full"`: on the disk, whatever happens to the machine. `"normal"`: it outlives the
   * process, but a power failure can take the last of them.
   *
   * `"normal"` saves the wait for the disk, 0.1 to 10 ms for each commit; where that is what limits a queue, `add` takes as
   * long as one sync of the disk and the worker thread is mostly idle.
   *
   * @default "full"
   */
  readonly synchronous?: "full" | "normal";
  /**
   * Largest size of the file, without its log.
   *
   * At the limit `add` fails with `ERR_STORE_FULL`; jobs are still done, which makes room again. Too low shows as that error
   * while the disk has room; too high, as a full disk.
   *
   * @default "4gb"
   * @range 1mb to Infinity
   */
  readonly maxBytes?: Size;
  /**
   * Room on the disk that is not given to new jobs.
   *
   * With less of it free, `add` fails with `ERR_STORE_FULL`. The rest is for what is done: also the end of a job has to be
   * written, and a disk that is full to the last byte takes none. Free room within the file counts too.
   *
   * @default "16mb"
   * @range 0 to Infinity
   */
  readonly minFreeBytes?: Size;
  /**
   * Largest size of what was given to `add` and is not on record yet.
   *
   * Beyond it `add` fails at once with `ERR_STORE_FULL`, since whatever comes in faster than the disk takes it would fill
   * the memory. Too low shows as that error in bursts.
   *
   * @default "64mb"
   * @range 1mb to Infinity
   */
  readonly maxPendingBytes?: Size;
  /**
   * Longest wait for the file where a call has no limit of its own: for `start`, for the settling of a job, for questions.
   *
   * Beyond it the call fails with `ERR_STORE_UNAVAILABLE`. A job whose settling was too late is still settled as soon as
   * the file can be written.
   *
   * @default "10s"
   * @range above 0
   */
  readonly timeout?: Duration;
  /**
   * How often an idle consumer looks whether another process has added jobs.
   *
   * It is the longest that a job of another process lies there unseen; what this process adds is seen at once. A look
   * costs about 10 us.
   *
   * @default "50ms"
   * @range above 0 to 60000
   */
  readonly pollInterval?: Duration;
}

/** The options with every default filled in, times in milliseconds. */
export interface ResolvedSqliteOptions {
  readonly path: string;
  readonly synchronous: "full" | "normal";
  readonly maxBytes: number;
  readonly minFreeBytes: number;
  readonly maxPendingBytes: number;
  readonly timeout: number;
  readonly pollInterval: number;
}

export const sqliteOptions: OptionTable<SqliteOptions, ResolvedSqliteOptions> = {
  path: {
    fallback: "",
    parse(raw) {
      const path = text({ fallback: "" }).parse(raw);
      if (path.includes("\0")) throw new RangeError("must be the name of a file; it has a NUL in it");
      if (path.startsWith(":memory:"))
        throw new RangeError("must be the name of a file; for jobs in memory use memory()");
      if (path.startsWith("file:"))
        throw new RangeError("must be the name of a file, not a URL: write fileURLToPath(url)");
      return path;
    },
  },
  synchronous: choice({ fallback: "full", values: ["full", "normal"] }),
  maxBytes: bytes({ fallback: 4 * 1_073_741_824, min: 1_048_576 }),
  minFreeBytes: bytes({ fallback: 16 * 1_048_576 }),
  maxPendingBytes: bytes({ fallback: 64 * 1_048_576, min: 1_048_576 }),
  timeout: duration({ fallback: 10_000 }),
  pollInterval: duration({ fallback: 50, max: 60_000 }),
};
