import assert from "node:assert/strict";
import { test } from "node:test";
import { TlsSessions } from "./tls-sessions.ts";

test("the session used longest ago makes room for a new one", () => {
  const sessions = new TlsSessions(2);
  sessions.keep("a", Buffer.from("a"));
  sessions.keep("b", Buffer.from("b"));
  sessions.use("a");
  sessions.keep("c", Buffer.from("c"));
  assert.deepEqual([sessions.use("a"), sessions.use("b"), sessions.size], [Buffer.from("a"), undefined, 2]);
});

test("a limit of 0 keeps nothing", () => {
  const sessions = new TlsSessions(0);
  sessions.keep("a", Buffer.from("a"));
  assert.deepEqual([sessions.use("a"), sessions.size], [undefined, 0]);
});
