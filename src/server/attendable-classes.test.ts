import assert from "node:assert/strict";
import { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { attendableRequests, attendableResponses } from "./attend.ts";

setFlagsFromString("--allow-natives-syntax");
// A built-in of V8 that has no other name.
// oxlint-disable-next-line typescript/no-implied-eval, typescript/no-unsafe-type-assertion
const hasFastProperties = new Function("object", "return %HasFastProperties(object)") as (object: object) => boolean;

test("the classes of a guarded server have the names of those they are made of", () => {
  class OwnResponse extends ServerResponse {}
  assert.equal(attendableRequests(IncomingMessage).name, "IncomingMessage");
  assert.equal(attendableResponses(OwnResponse).name, "OwnResponse");
});

test("V8 can rely on the shape of the classes, or it would compile what constructs them again and again, in vain", () => {
  const Response = attendableResponses(ServerResponse);
  const Request = attendableRequests(IncomingMessage);
  assert.ok(Response.name.length > 0 && Request.name.length > 0);
  assert.deepEqual([hasFastProperties(Response), hasFastProperties(Request)], [true, true]);
});
