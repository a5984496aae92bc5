/**
 * One table of cases, three implementations: ours, npm undici's and Node's own. They must agree on the bytes of the
 * request, on everything that can be seen of the response, and on the classes, messages and codes of the errors.
 * Where npm undici and Node differ from one another, ours follows Node; where ours differs, the row says why.
 */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { builtIn, npmUndici, runCase } from "./support/fetch-case.ts";
import { abortCases } from "./support/fetch-cases-abort.ts";
import { redirectCases } from "./support/fetch-cases-redirect.ts";
import { requestCases } from "./support/fetch-cases-request.ts";
import { responseCases } from "./support/fetch-cases-response.ts";
import { makeFetch } from "./support/fetch-under-test.ts";

const underTest = makeFetch();
after(() => underTest[Symbol.asyncDispose]());
const ours = { fetch: underTest.fetch, classes: builtIn.classes };
const table = [...requestCases, ...responseCases, ...redirectCases, ...abortCases];

test("the table has no two rows of one name and is not getting smaller", () => {
  assert.equal(new Set(table.map((row) => row.name)).size, table.length);
  assert.ok(table.length >= 80, `${table.length} rows`);
});

for (const row of table) {
  test(`fetch agrees: ${row.name}`, { timeout: 10_000 }, async () => {
    const expected = await runCase(row, builtIn);
    const npm = await runCase(row, npmUndici);
    const actual = await runCase(row, ours);

    if (row.oursDiffers === undefined) assert.deepEqual(actual, expected);
    else row.oursDiffers.check(actual, expected);
    const npmAgrees = isDeepStrictEqual(npm, expected);
    if (row.npmDiffers === undefined) assert.deepEqual(npm, expected, "npm undici differs from built-in fetch");
    else assert.ok(!npmAgrees, "npm undici agrees now: the row's npmDiffers is out of date");
  });
}
