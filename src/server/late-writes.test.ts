import assert from "node:assert/strict";
import { runInNewContext } from "node:vm";
import { test } from "node:test";
import { findPlace, LateWrites, type LateWrite } from "./late-writes.ts";

const request = { method: "GET", url: "/orders?token=secret" };

function watch(options: ConstructorParameters<typeof LateWrites>[1] = {}): {
  lateWrites: LateWrites;
  reports: LateWrite[];
} {
  const reports: LateWrite[] = [];
  return { lateWrites: new LateWrites((late) => reports.push(late), options), reports };
}

/** Functions that each stand in a file of their own, and call whatever they are given. */
function callersIn(files: readonly string[]): readonly ((call: () => void) => void)[] {
  return files.map((filename) => runInNewContext("(function caller(call) { call(); })", {}, { filename }));
}

test("what happens at one place is reported once, and counted each time", () => {
  const { lateWrites, reports } = watch();
  const [save, audit] = callersIn(["/app/save.js", "/app/audit.js"]);
  const setHeader = (): void => lateWrites.add("setHeader", request, setHeader);
  const write = (): void => lateWrites.add("write", request, write);

  for (let turn = 0; turn < 3; turn += 1) save?.(setHeader);
  audit?.(write);
  save?.(write);

  assert.equal(lateWrites.count, 5);
  assert.deepEqual(
    reports.map(({ method, place, count }) => [method, place, count]),
    [
      ["setHeader", "/app/save.js:1:26", 1],
      ["write", "/app/audit.js:1:26", 1],
    ],
  );
  assert.deepEqual(
    lateWrites.places().map(({ method, count }) => [method, count]),
    [
      ["setHeader", 4],
      ["write", 1],
    ],
  );
});

test("a report has the stack above the call, and the path without the query", () => {
  const { lateWrites, reports } = watch();
  const [save] = callersIn(["/app/save.js"]);
  const setHeader = (): void => lateWrites.add("setHeader", request, setHeader);

  save?.(setHeader);

  assert.match(
    reports[0]?.stack ?? "",
    /^LateWrite: setHeader after the answer was complete\n {4}at caller \(\/app\/save\.js:1:26\)\n/,
  );
  assert.equal(reports[0]?.request, "GET /orders");
});

test("the path is the one before a router has shortened it, and what is not text is none", () => {
  const { lateWrites, reports } = watch();
  const requests = [{ method: "GET", url: "/1", originalUrl: "/orders/1?a" }, { method: "PUT", url: 1 }, undefined];
  const callers = callersIn(requests.map((_, index) => `/app/${index}.js`));

  for (const [index, caller] of callers.entries()) {
    const late = (): void => lateWrites.add("write", requests[index], late);
    caller(late);
  }
  callersIn(["/app/long.js"])[0]?.(() =>
    lateWrites.add("write", { method: "GET", url: "/".padEnd(9_999, "x") }, watch),
  );

  assert.deepEqual(
    reports.slice(0, 3).map((late) => late.request),
    ["GET /orders/1", "PUT ?", "? ?"],
  );
  assert.equal(reports[3]?.request.length, 200);
});

test("beyond the places that are kept, late writes are only counted", () => {
  const { lateWrites, reports } = watch({ maxPlaces: 3 });
  const late = (): void => lateWrites.add("write", request, late);

  for (const caller of callersIn(Array.from({ length: 10 }, (_, index) => `/app/${index}.js`))) caller(late);
  callersIn(["/app/0.js"])[0]?.(late);

  assert.equal(lateWrites.count, 11);
  assert.equal(reports.length, 3);
  assert.deepEqual(
    lateWrites.places().map(({ count }) => count),
    [2, 1, 1],
  );
});

test("beyond the stacks of a second, late writes are only counted, and in the next second they are told again", (t) => {
  let at = 5_000;
  t.mock.method(performance, "now", () => at);
  const { lateWrites } = watch({ maxStacks: 2 });
  const late = (): void => lateWrites.add("write", request, late);
  const [caller] = callersIn(["/app/save.js"]);

  for (let turn = 0; turn < 5; turn += 1) caller?.(late);
  assert.equal(lateWrites.places()[0]?.count, 2);
  at += 1_000;
  caller?.(late);

  assert.equal(lateWrites.count, 6);
  assert.equal(lateWrites.places()[0]?.count, 3);
});

for (const limit of [0, 1, undefined]) {
  test(`a stack is taken although Error.stackTraceLimit is ${limit}, which stays so`, () => {
    const { lateWrites, reports } = watch();
    const before = Error.stackTraceLimit;
    const late = (): void => lateWrites.add("write", request, late);
    const [caller] = callersIn(["/app/save.js"]);
    try {
      Error.stackTraceLimit = limit as number;
      caller?.(late);
      assert.equal(Error.stackTraceLimit, limit);
    } finally {
      Error.stackTraceLimit = before;
    }
    assert.equal(reports[0]?.place, "/app/save.js:1:26");
    assert.ok((reports[0]?.stack.split("\n").length ?? 0) > 2);
  });
}

test("a program that asks for longer stacks gets them", () => {
  const { lateWrites, reports } = watch();
  const before = Error.stackTraceLimit;
  const late = (): void => lateWrites.add("write", request, late);
  const deep = (depth: number): void => (depth === 0 ? late() : deep(depth - 1));
  try {
    Error.stackTraceLimit = 60;
    deep(50);
  } finally {
    Error.stackTraceLimit = before;
  }
  assert.ok((reports[0]?.stack.split("\n").length ?? 0) > 50);
});

test("whatever a program makes of its stacks, a late write is counted and does not throw", () => {
  const { lateWrites, reports } = watch();
  const late = (): void => lateWrites.add("write", request, late);
  const before: unknown = Reflect.get(Error, "prepareStackTrace");
  try {
    Error.prepareStackTrace = (_error, frames) => frames;
    late();
    Error.prepareStackTrace = () => {
      throw new Error("on purpose");
    };
    late();
  } finally {
    Reflect.set(Error, "prepareStackTrace", before);
  }
  assert.equal(lateWrites.count, 2);
  assert.deepEqual(
    reports.map(({ place, stack }) => [place, stack]),
    [["unknown", ""]],
  );
});

test("a place is in the program, else in a package, else in Node, and never in sluice", () => {
  const own = new URL("exchange.ts", import.meta.url).href;
  const node = "    at ReadStream.ondata (node:internal/streams/readable:1034:20)";
  const ours = `    at end (${own}:1:2)`;
  const pack = "    at ServerResponse.json (/app/node_modules/express/lib/response.js:247:8)";
  const program = "    at async Promise.all (index 0)\n    at async save (file:///app/save%20me.ts:3:9)";
  const table: readonly (readonly [string, string])[] = [
    [[node, ours, pack, program].join("\n"), "file:///app/save%20me.ts:3:9"],
    [[ours, node, pack].join("\n"), "/app/node_modules/express/lib/response.js:247:8"],
    [[ours, node].join("\n"), `${own}:1:2`],
    [node, "node:internal/streams/readable:1034:20"],
    ["    at /app/in (brackets)/save.js:3:9", "/app/in (brackets)/save.js:3:9"],
    ["    at new Saver (/app/in (brackets)/save.js:3:9)", "/app/in (brackets)/save.js:3:9"],
    ["    at async file:///app/save.ts:3:9", "file:///app/save.ts:3:9"],
    ["    at C:\\app\\node_modules\\a\\b.js:1:2\n    at C:\\app\\save.js:3:9", "C:\\app\\save.js:3:9"],
    ["    at Object.<anonymous> (C:\\app\\save.js:3:9)", "C:\\app\\save.js:3:9"],
    ["LateWrite: write at night (about 12:30:10)", "unknown"],
    ["", "unknown"],
  ];
  for (const [stack, place] of table) assert.equal(findPlace(stack), place, stack);
});
