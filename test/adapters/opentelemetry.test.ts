/** The spans of tasks and jobs, as OpenTelemetry's own SDK exports them. */

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
  type ReadableSpan,
} from "@opentelemetry/sdk-trace-node";
import { openTelemetryTracing, type OpenTelemetryTracingOptions } from "sluice/adapters/opentelemetry";
import { context as sluiceContext, createContext, Registry, traceparentKey } from "sluice/core";
import { memory, Tasks } from "sluice/tasks";
import { until } from "../support/queue-bench.ts";

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.register();
const tracer = provider.getTracer("test");

function makeTasks(t: TestContext, options: OpenTelemetryTracingOptions = {}): Tasks {
  const timer = setInterval(() => {}, 60_000);
  t.after(() => clearInterval(timer));
  exporter.reset();
  return new Tasks({ store: memory(), registry: new Registry(), tracing: openTelemetryTracing(options) });
}

function spanNamed(name: string): ReadableSpan {
  return exporter.getFinishedSpans().find((span) => span.name === name) ?? assert.fail(`there is no span ${name}`);
}

test("the span of an attempt links to the span that added its job, and calls within belong to it", async (t) => {
  const tasks = makeTasks(t);
  const seen: unknown[] = [];
  const queue = tasks.queue<string>("mail", {}, async () => {
    await Promise.resolve();
    seen.push(trace.getActiveSpan()?.spanContext().spanId, sluiceContext().value(traceparentKey));
    tracer.startSpan("query").end();
  });

  await tracer.startActiveSpan("GET /orders", async (span) => {
    await queue.add("x");
    span.end();
  });
  await until(() => queue.stats().attempts.ok === 1, "it is done");

  const [request, send, process, query] = ["GET /orders", "send mail", "process mail", "query"].map(spanNamed);
  assert.equal(send?.kind, SpanKind.PRODUCER);
  assert.equal(send.parentSpanContext?.spanId, request?.spanContext().spanId);
  assert.equal(process?.kind, SpanKind.CONSUMER);
  assert.equal(process.parentSpanContext, undefined);
  assert.deepEqual(
    process.links.map(({ context: { traceId, spanId, isRemote } }) => [traceId, spanId, isRemote]),
    [[send.spanContext().traceId, send.spanContext().spanId, true]],
  );
  assert.equal(process.attributes["messaging.destination.name"], "mail");
  assert.equal(process.attributes["sluice.outcome"], "ok");
  assert.equal(query?.parentSpanContext?.spanId, process.spanContext().spanId);
  const { traceId, spanId } = process.spanContext();
  assert.deepEqual(seen, [spanId, `00-${traceId}-${spanId}-01`]);
});

test('with spans: "child" an attempt is in the trace of whoever added its job', async (t) => {
  const tasks = makeTasks(t, { spans: "child" });
  const queue = tasks.queue<string>("mail", {}, () => {});

  await queue.add("x");
  await until(() => queue.stats().attempts.ok === 1, "it is done");

  assert.equal(spanNamed("process mail").parentSpanContext?.spanId, spanNamed("send mail").spanContext().spanId);
});

test("a failed attempt is an error with its exception, and a lost caller's traceparent is the parent", async (t) => {
  const tasks = makeTasks(t);
  const queue = tasks.queue<string>("mail", { attempts: 1 }, () => {
    throw new TypeError("mail is down");
  });
  const caller = createContext().withValue(traceparentKey, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

  await caller.run(() => queue.add("x"));
  await until(() => queue.stats().dead.attempts === 1, "it is dead");

  assert.equal(spanNamed("send mail").parentSpanContext?.spanId, "b7ad6b7169203331");
  const { status, events, attributes } = spanNamed("process mail");
  assert.deepEqual([status.code, status.message], [SpanStatusCode.ERROR, "mail is down"]);
  assert.deepEqual([events[0]?.name, attributes["error.type"]], ["exception", "TypeError"]);
});

test("a task is a child of the span that was active when it was asked for", async (t) => {
  const tasks = makeTasks(t);
  let inside: string | undefined;

  const done = tracer.startActiveSpan("GET /orders", (span) => {
    const handle = tasks.run("audit", undefined, async () => {
      await Promise.resolve();
      inside = trace.getSpan(context.active())?.spanContext().spanId;
    });
    span.end();
    return handle.done;
  });
  await done;

  const task = spanNamed("task audit");
  assert.equal(task.parentSpanContext?.spanId, spanNamed("GET /orders").spanContext().spanId);
  assert.equal(inside, task.spanContext().spanId);
});
