import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import * as client from "./index.ts";

test("every error of the client can be imported by whoever wants to catch it", () => {
  const files = globSync("**/*.ts", { cwd: import.meta.dirname }).filter((file) => !file.endsWith(".test.ts"));
  const sources = files.map((file) => readFileSync(`${import.meta.dirname}/${file}`, "utf8"));
  const names = Array.from(sources.join("\n").matchAll(/export class (\w+) extends ClientError/g), ([, name]) => name);

  assert.ok(names.length >= 12);
  assert.deepEqual(
    names.filter((name) => !Object.hasOwn(client, String(name))),
    [],
  );
});

test("each group of options has a type by which it can be kept apart from the transport", () => {
  const retry: client.RetryOptions = { attempts: 2, backoff: { from: "10ms" }, budget: { ratio: 0.1 } };
  const hedge: client.HedgeOptions = { delay: "20ms" };
  const ejection: client.EjectionOptions = { baseTime: "5s" };
  const concurrency: client.ConcurrencyOptions = { limit: 5 };
  const replay: client.ReplayOptions = { attempts: 1 };

  const { options } = new client.Transport({ retry, hedge, ejection, concurrency, replay });

  const resolved: client.ResolvedTransportOptions = options;
  assert.equal(resolved.retry?.backoff.from, 10);
  assert.equal(resolved.ejection?.baseTime, 5_000);
});
