import assert from "node:assert/strict";
import { test } from "node:test";
import { jobIdOf, newJobId } from "./job-id.ts";

const uuid7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("ids are UUIDs of version 7, all different, and sort in the order in which they were made", () => {
  const before = Date.now();
  const ids = Array.from({ length: 50_000 }, newJobId);

  assert.ok(ids.every((id) => uuid7.test(id)));
  assert.equal(new Set(ids).size, ids.length);
  for (const [index, id] of ids.entries()) assert.ok(index === 0 || id > (ids[index - 1] ?? ""), `${id} at ${index}`);
  const madeAt = Number.parseInt(ids[0]?.replaceAll("-", "").slice(0, 12) ?? "", 16);
  assert.ok(madeAt >= before && madeAt <= Date.now());
});

test("the clock of ids does not go back when the machine's does", (t) => {
  const last = newJobId();
  t.mock.timers.enable({ apis: ["Date"], now: 1_000 });

  assert.ok(newJobId() > last);
});

test("a name and a time always have the same id, and others have others", () => {
  const id = jobIdOf("mail\ndigest", 1_795_434_598_085);

  assert.match(id, uuid7);
  assert.equal(jobIdOf("mail\ndigest", 1_795_434_598_085), id);
  assert.notEqual(jobIdOf("mail\ndigest2", 1_795_434_598_085), id);
  assert.notEqual(jobIdOf("mail\ndigest", 1_795_434_598_086), id);
});
