import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { Registry } from "../core/index.ts";
import { Reports, type ReportContext } from "./reporter.ts";

function makeReports(
  t: TestContext,
  maxReportsPerMinute = 2,
): { reports: Reports; sent: ReportContext[]; pass: (ms: number) => void } {
  let at = 0;
  t.mock.method(performance, "now", () => at);
  const sent: ReportContext[] = [];
  const onError = (_error: unknown, about: ReportContext): void => void sent.push(about);
  const reports = new Reports({ onError, reporter: undefined, maxReportsPerMinute, registry: new Registry() });
  return { reports, sent, pass: (ms) => (at += ms) };
}

const task = (name: string) => ({ mechanism: "task", level: "error", task: name }) as const;

test("the next report of a kind says how many were left out since the last one", (t) => {
  const { reports, sent, pass } = makeReports(t);
  for (let index = 0; index < 7; index += 1) reports.add(new TypeError(`number ${index}`), task("audit"));

  pass(60_000);
  reports.add(new TypeError("number 8"), task("audit"));

  assert.deepEqual(
    sent.map(({ suppressed }) => suppressed),
    [0, 0, 5],
  );
  assert.deepEqual(sent[0]?.fingerprint, ["task", "audit", "TypeError"]);
});

test("kinds differ by task, by class of error and by its code, and not by its words", (t) => {
  const { reports, sent } = makeReports(t, 1);
  const errors = [
    new TypeError("a"),
    new TypeError("b"),
    Object.assign(new Error("a"), { code: "ECONNRESET" }),
    Object.assign(new Error("a"), { code: "ETIMEDOUT" }),
    "a string",
    "another string",
  ];

  for (const error of errors) for (const name of ["one", "two"]) reports.add(error, task(name));

  assert.equal(sent.length, 8);
});

test("a flood of kinds shares one, and memory stays bounded", (t) => {
  const { reports, sent, pass } = makeReports(t, 1);

  for (let index = 0; index < 5_000; index += 1) reports.add(new Error("x"), task(`task-${index}`));
  assert.equal(sent.length, 1_001);
  pass(60_000);
  reports.add(new Error("x"), task("task-9999"));

  assert.equal(sent.length, 1_002);
});

test("what a reporter throws is counted and goes no further, and so does its flush", async () => {
  const registry = new Registry();
  const reporter = {
    report(): void {
      throw new Error("broken");
    },
    flush: (): Promise<boolean> => Promise.reject(new Error("broken too")),
  };
  const reports = new Reports({ onError: undefined, reporter, maxReportsPerMinute: 1, registry });

  reports.add(new Error("x"), task("audit"));

  assert.equal(await reports.flush(10), false);
  const failed = Array.from(registry.collect())
    .flatMap((family) => (family.type === "histogram" ? [] : family.samples))
    .find(({ labels }) => labels[0] === "failed");
  assert.equal(failed?.value, 2);
});
