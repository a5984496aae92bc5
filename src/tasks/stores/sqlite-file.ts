/**
 * The file behind the SQLite store: how it is opened, what tables it has, what its errors mean.
 *
 * The file may be the application's own database. So the version of our tables is kept in one of them and not in
 * `user_version`, every name begins with `sluice_`, and nothing is set that the application would notice, but the
 * write-ahead log. All functions are for the worker thread: they wait for the disk.
 */

import { closeSync, fsyncSync, openSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Failure, WorkerSettings } from "./sqlite-protocol.ts";

/**
 * One entry for each version of the tables; a file of an older version goes through those that it lacks.
 *
 * `seq` and not the id is the key of a job: rows are then added at the end of the table. `due` is the time since when a job is ready,
 * or at which it will be. An active job has a taker, and the lease is the taker's: renewing it is one row, however many jobs
 * it holds. Numbers of takers are never used again, so that who comes late is recognised. The numbers in `sluice_queues`
 * are kept by those who move jobs, in the same transaction: counting a million rows takes a tenth of a second.
 */
const versions: readonly string[] = [
  `
  CREATE TABLE sluice_queues (
    queue INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    ready INTEGER NOT NULL DEFAULT 0, delayed INTEGER NOT NULL DEFAULT 0,
    active INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE TABLE sluice_takers (
    taker INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL, lease_until INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE sluice_jobs (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, queue INTEGER NOT NULL, state INTEGER NOT NULL,
    priority INTEGER NOT NULL, due INTEGER NOT NULL, attempt INTEGER NOT NULL, taker INTEGER, key TEXT, body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX sluice_ready ON sluice_jobs (queue, priority, due) WHERE state = 0;
  CREATE INDEX sluice_delayed ON sluice_jobs (due) WHERE state = 1;
  CREATE INDEX sluice_active ON sluice_jobs (taker) WHERE taker IS NOT NULL;
  CREATE UNIQUE INDEX sluice_keys ON sluice_jobs (queue, key) WHERE key IS NOT NULL;
  CREATE TABLE sluice_dead (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, queue INTEGER NOT NULL, died_at INTEGER NOT NULL,
    priority INTEGER NOT NULL, attempts INTEGER NOT NULL, key TEXT, failure TEXT NOT NULL, body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX sluice_dead_order ON sluice_dead (queue, died_at, seq);
  `,
];

/** Pages that the log may have before they are moved into the file: 4 MB, so that the longest move takes some 10 ms. */
const checkpointPages = 1_000;
/** To this the log is cut once all of it is moved; it grows only while somebody else reads for long. */
const logLimitBytes = 16 * 1_048_576;
/** How long a statement waits for another process by itself. Short, because the thread hears nothing meanwhile. */
const busyMs = 50;

/** A reason for which the file cannot be used as it is: no use in trying again at once. */
export class UnusableFileError extends Error {}

/** A connection, and which file it was that it opened. */
export interface OpenFile {
  readonly db: DatabaseSync;
  readonly inode: number;
}

/** @throws UnusableFileError or SQLite's errors. */
export function openFile({ path, synchronous, maxBytes }: WorkerSettings): OpenFile {
  makePrivate(path);
  const db = new DatabaseSync(path, { timeout: busyMs });
  try {
    const mode = db.prepare("PRAGMA journal_mode = WAL").get()?.["journal_mode"];
    if (mode !== "wal") throw new UnusableFileError(`it takes no write-ahead log (its journal is ${String(mode)})`);
    db.exec(`PRAGMA synchronous = ${synchronous}`);
    db.exec(`PRAGMA wal_autocheckpoint = ${checkpointPages}`);
    db.exec(`PRAGMA journal_size_limit = ${logLimitBytes}`);
    bringUpToDate(db);
    if (maxBytes < Infinity) limitSize(db, maxBytes);
    return { db, inode: statSync(path).ino };
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * A new file is its owner's alone; SQLite makes its log likewise. One that is there is not touched, not even opened:
 * closing it again would let go of all locks that this process has on it (POSIX; sqlite.org/howtocorrupt.html, 2.2).
 */
function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return;
    throw error;
  }
  const folder = openSync(dirname(path), "r");
  try {
    // Or the file itself could be gone after a power failure.
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function bringUpToDate(db: DatabaseSync): void {
  if (versionOf(db) === versions.length) return;
  db.exec("BEGIN IMMEDIATE");
  try {
    // Again, now that nobody else can be at it.
    const version = versionOf(db);
    if (version > versions.length) {
      throw new UnusableFileError(`its tables are of version ${version}, and this sluice knows ${versions.length}`);
    }
    if (version === 0) db.exec("CREATE TABLE sluice_meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT");
    for (const statements of versions.slice(version)) db.exec(statements);
    db.prepare("INSERT OR REPLACE INTO sluice_meta VALUES ('version', ?)").run(versions.length);
    db.exec("COMMIT");
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}

function versionOf(db: DatabaseSync): number {
  const hasTable = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'sluice_meta'").get();
  if (hasTable === undefined) return 0;
  return Number(db.prepare("SELECT value FROM sluice_meta WHERE name = 'version'").get()?.["value"] ?? 0);
}

function limitSize(db: DatabaseSync, maxBytes: number): void {
  const pageBytes = Number(db.prepare("PRAGMA page_size").get()?.["page_size"]);
  // Pages are numbered by 32 bits.
  db.exec(`PRAGMA max_page_count = ${Math.min(Math.floor(maxBytes / pageBytes), 0xff_ff_ff_fe)}`);
}

export function closeFile({ db }: OpenFile): void {
  try {
    db.close();
  } catch {
    // Closed already, or its disk is gone: there is nothing left that could be done about it.
  }
}

/** Whether the path still leads to the file that is open: what is added to one that was removed is lost. */
export function isInPlace(path: string, { inode }: OpenFile): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === inode;
}

/** Bytes that can still be written: on the disk for those without privileges, and within the file. */
export function freeBytes(path: string, { db }: OpenFile): number {
  const { bavail, bsize } = statfsSync(path);
  const [pages, pageBytes] = ["freelist_count", "page_size"].map((name) =>
    Number(db.prepare(`PRAGMA ${name}`).get()?.[name]),
  );
  return bavail * bsize + (pages ?? 0) * (pageBytes ?? 0);
}

/** What SQLite's error means for us. `busy`: try again. `full`: no room. `request`: this statement. `file`: the file or its disk. */
export type Meaning = "busy" | "full" | "request" | "file";

const primaryCodes: Readonly<Record<number, Meaning>> = {
  5: "busy",
  6: "busy",
  13: "full",
  18: "request",
  19: "request",
};

export function meaningOf(error: unknown): Meaning {
  if (!isSqliteError(error)) return error instanceof UnusableFileError || isSystemError(error) ? "file" : "request";
  return primaryCodes[error.errcode & 0xff] ?? "file";
}

/** An error of SQLite or of the system in words, with the next step. */
export function describeFailure(path: string, error: unknown): Failure {
  const why = error instanceof Error ? error.message : String(error);
  const code = isSqliteError(error) ? error.errcode & 0xff : 0;
  if (code === 13) {
    return {
      code: "full",
      message: `${path} has no room (${why}): its disk is full or maxBytes is reached. Jobs that it has are safe; make room, or raise maxBytes.`,
    };
  }
  return { code: "unavailable", message: `${path} cannot be used: ${why}. ${nextStep(code, error)}` };
}

function nextStep(code: number, error: unknown): string {
  if (code === 5 || code === 6) return "Another program holds its lock; look for a long transaction.";
  if (code === 8) return "Make the file and its folder writable for this process.";
  if (code === 10) return "Look at the disk and at the system's log; it is tried again.";
  if (code === 11 || code === 26)
    return "Put it aside and restore a copy; sqlite3 FILE .recover saves what can be read.";
  if (code === 14 || isSystemError(error)) return "Its folder must be there, and writable for this process.";
  return "It is tried again.";
}

function isSqliteError(error: unknown): error is Error & { readonly errcode: number } {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number";
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}
