/**
 * Profiles in the form that `go tool pprof` and everything around it reads: profile.proto, gzipped.
 *
 * The schema is that of github.com/google/pprof, proto/profile.proto; the numbers below are its field numbers. Strings
 * stand once in a table and are named by their place in it, as are functions and locations by their ids. The encoder is
 * here and not a package's since it is shorter than the dependency would be to explain.
 */

import { promisify } from "node:util";
import { gzip } from "node:zlib";

/** What is measured: `cpu` in `nanoseconds`. */
export interface ValueType {
  readonly type: string;
  readonly unit: string;
}

/** One place in a stack. `line` counts from 1; 0 is not known. */
export interface ProfileFrame {
  readonly name: string;
  readonly file: string;
  readonly line: number;
}

/** What a profile is of, beside its samples. */
export interface ProfileHead {
  readonly valueTypes: readonly ValueType[];
  readonly period?: { readonly type: ValueType; readonly value: number };
  /** Milliseconds since 1970. */
  readonly startedAt?: number;
  readonly durationMs?: number;
}

/** By which samples can be told apart: `go tool pprof -tags`. */
export type ProfileLabels = Readonly<Record<string, string | { readonly value: number; readonly unit: string }>>;

const compress = promisify(gzip);

/** A growing message of protobuf's wire format. */
class Message {
  readonly #bytes: number[] = [];

  get length(): number {
    return this.#bytes.length;
  }

  get bytes(): readonly number[] {
    return this.#bytes;
  }

  /** A whole number, at least 0. Zero is what a missing field says. */
  number(field: number, value: number): this {
    if (value > 0) this.#key(field, 0).#varint(value);
    return this;
  }

  message(field: number, message: Message): this {
    this.#key(field, 2).#varint(message.length);
    for (const byte of message.bytes) this.#bytes.push(byte);
    return this;
  }

  text(field: number, text: string): this {
    const bytes = Buffer.from(text, "utf8");
    this.#key(field, 2).#varint(bytes.length);
    for (const byte of bytes) this.#bytes.push(byte);
    return this;
  }

  packed(field: number, values: readonly number[]): this {
    const list = new Message();
    for (const value of values) list.#varint(value);
    return this.message(field, list);
  }

  #key(field: number, wireType: 0 | 2): this {
    return this.#varint(field * 8 + wireType);
  }

  #varint(value: number): this {
    let rest = Math.max(0, Math.round(value));
    // Not by shifts, which end at 32 bits.
    while (rest >= 128) {
      this.#bytes.push((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    this.#bytes.push(rest);
    return this;
  }
}

/** Invariant: what has an id is in `#profile` already, or in the string table, which is written last. */
export class ProfileBuilder {
  readonly #profile = new Message();
  readonly #strings = new Map<string, number>([["", 0]]);
  readonly #functions = new Map<string, number>();
  readonly #locations = new Map<string, number>();

  constructor({ valueTypes, period, startedAt = 0, durationMs = 0 }: ProfileHead) {
    for (const type of valueTypes) this.#profile.message(1, this.#valueType(type));
    // pprof asks no server for symbols when a mapping has them.
    this.#profile.message(3, new Message().number(1, 1).number(7, 1).number(8, 1).number(9, 1));
    this.#profile.number(9, startedAt * 1e6).number(10, durationMs * 1e6);
    if (period === undefined) return;
    this.#profile.message(11, this.#valueType(period.type)).number(12, period.value);
  }

  /** Adds a sample: its stack from the innermost frame outwards, and one value for each type. */
  add(stack: readonly ProfileFrame[], values: readonly number[], labels: ProfileLabels = {}): void {
    const sample = new Message()
      .packed(
        1,
        stack.map((frame) => this.#locationId(frame)),
      )
      .packed(2, values);
    for (const [key, label] of Object.entries(labels)) {
      const message = new Message().number(1, this.#stringId(key));
      if (typeof label === "string") message.number(2, this.#stringId(label));
      else message.number(3, label.value).number(4, this.#stringId(label.unit));
      sample.message(3, message);
    }
    this.#profile.message(2, sample);
  }

  /** The finished file. Nothing can be added any more. */
  async finish(): Promise<Buffer> {
    for (const text of this.#strings.keys()) this.#profile.text(6, text);
    return await compress(Uint8Array.from(this.#profile.bytes));
  }

  #valueType({ type, unit }: ValueType): Message {
    return new Message().number(1, this.#stringId(type)).number(2, this.#stringId(unit));
  }

  #stringId(text: string): number {
    const id = this.#strings.get(text) ?? this.#strings.size;
    this.#strings.set(text, id);
    return id;
  }

  #functionId({ name, file }: ProfileFrame): number {
    const key = `${file}\n${name}`;
    const known = this.#functions.get(key);
    if (known !== undefined) return known;
    const id = this.#functions.size + 1;
    this.#functions.set(key, id);
    const nameId = this.#stringId(name);
    const fileId = this.#stringId(file);
    this.#profile.message(5, new Message().number(1, id).number(2, nameId).number(3, nameId).number(4, fileId));
    return id;
  }

  #locationId(frame: ProfileFrame): number {
    const key = `${frame.file}\n${frame.name}\n${frame.line}`;
    const known = this.#locations.get(key);
    if (known !== undefined) return known;
    const id = this.#locations.size + 1;
    this.#locations.set(key, id);
    const line = new Message().number(1, this.#functionId(frame)).number(2, frame.line);
    this.#profile.message(4, new Message().number(1, id).number(2, 1).message(4, line));
    return id;
  }
}
