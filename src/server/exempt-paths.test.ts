import assert from "node:assert/strict";
import { test } from "node:test";
import { ExemptPaths } from "./exempt-paths.ts";

const paths = new ExemptPaths(["/livez", "/readyz", "/admin/*", "/a/rather/long/path/of/thirty-five/c"]);

const rows: readonly (readonly [target: string, exempt: boolean, why: string])[] = [
  ["/livez", true, "as it is"],
  ["/readyz?verbose", true, "whatever the query"],
  ["/livez?", true, "an empty query"],
  ["/a/rather/long/path/of/thirty-five/c?x", true, "of any length"],
  ["/admin/", true, "begins so"],
  ["/admin/users/7?page=1..2", true, "dots in the query climb nowhere"],
  ["http://shop.example/livez?x", true, "absolute form"],
  ["http://shop.example:8080/admin/x", true, "absolute form below a prefix"],
  ["/", false, "another path"],
  ["/admin", false, "does not begin so"],
  ["/administrator", false, "only alike"],
  ["/livez/", false, "a slash makes another path"],
  ["/Livez", false, "paths have cases"],
  ["/%6civez", false, "nothing is decoded"],
  ["/product", false, "as long as one of them"],
  ["/products?x=/livez", false, "only in the query"],
  ["/admin/../orders", false, "leaves the folder"],
  ["/admin/..", false, "leaves the folder"],
  ["/admin/%2e%2e/orders", false, "leaves the folder once decoded"],
  ["/admin/..%2Forders", false, "leaves the folder once decoded"],
  ["http://shop.example", false, "absolute form without a path"],
  ["*", false, "asterisk form"],
  ["livez", false, "no path at all"],
  ["", false, "nothing"],
];

for (const [target, exempt, why] of rows) {
  test(`${JSON.stringify(target)} is ${exempt ? "exempt" : "limited"}: ${why}`, () => {
    assert.equal(paths.has(target), exempt);
  });
}

test("an empty list exempts nothing, and a star after the slash everything", () => {
  assert.equal(new ExemptPaths([]).has("/livez"), false);
  assert.equal(new ExemptPaths([]).has(""), false);
  assert.equal(new ExemptPaths(["/*"]).has("/anything"), true);
});
