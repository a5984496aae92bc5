/**
 * The errors that hold for every part.
 *
 * A caller matches on `code`, which is part of the public interface; the message is not, and may be improved at
 * any time. A message carries the numbers of the moment and the next step, because whoever reads it has an
 * incident and not a debugger. An error of Node or undici that people already match on is kept as `cause`.
 */

/** Every error that this package throws by itself. */
export abstract class SluiceError extends Error {
  /** Stable, upper case, starts with `ERR_`. */
  abstract readonly code: `ERR_${string}`;

  override get name(): string {
    return this.constructor.name;
  }
}

/** An option was misspelt or out of range. Thrown where options are taken, never later. */
export class OptionError extends SluiceError {
  readonly code = "ERR_OPTION";
  /** Path of the option, for example `Transport.retry.attempts`. */
  readonly option: string;

  constructor(option: string, reason: string) {
    super(`${option} ${reason}`);
    this.option = option;
  }
}
