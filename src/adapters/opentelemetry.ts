/**
 * Spans for tasks and jobs, by OpenTelemetry's API.
 *
 * A job is sent in one span and processed in another, often by another process and much later. The two are linked by the
 * `traceparent` that travels with the job; the second is a trace of its own, since a trace that lasts until a retry
 * tomorrow is of no use. `spans: "child"` puts them into one trace for those who want that. Names and attributes are those
 * of the semantic conventions for messaging (development, 1.44).
 */

import {
  context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes,
  type Context,
  type Link,
  type Span,
  type SpanContext,
  type Tracer,
} from "@opentelemetry/api";
import type { TracedWork, Tracing } from "../tasks/index.ts";

/** How spans are made. */
export interface OpenTelemetryTracingOptions {
  /**
   * Where spans are made.
   *
   * @default the tracer "sluice" of the global provider
   */
  readonly tracer?: Tracer;
  /**
   * Whether the span of an attempt is a trace of its own with a link to the one that added the job, or its child.
   *
   * @default "link"
   */
  readonly spans?: "link" | "child";
}

/** Makes spans: `new Tasks({ tracing: openTelemetryTracing() })`. */
export function openTelemetryTracing(options: OpenTelemetryTracingOptions = {}): Tracing {
  const { tracer = trace.getTracer("sluice"), spans = "link" } = options;
  const start = (
    name: string,
    kind: SpanKind,
    attributes: Attributes,
    from: { parent: Context; links?: Link[] },
  ): TracedWork => {
    const span = tracer.startSpan(name, { kind, attributes, links: from.links ?? [] }, from.parent);
    return new SpanWork(span, trace.setSpan(from.parent, span));
  };
  return {
    current: () => formatTraceparent(trace.getSpan(context.active())?.spanContext()),
    startAdd(queue, parent) {
      return start(`send ${queue}`, SpanKind.PRODUCER, describe(queue, "send"), { parent: activeOr(parent) });
    },
    startAttempt({ queue, id, attempt, traceparent }) {
      const attributes = {
        ...describe(queue, "process"),
        "messaging.message.id": id,
        "messaging.message.delivery_attempt": attempt,
      };
      const producer = parseTraceparent(traceparent);
      const links = producer === undefined ? [] : [{ context: producer }];
      const from = spans === "child" ? { parent: contextOf(producer) } : { parent: ROOT_CONTEXT, links };
      return start(`process ${queue}`, SpanKind.CONSUMER, attributes, from);
    },
    startTask(name, parent) {
      const from = { parent: contextOf(parseTraceparent(parent)) };
      return start(`task ${name}`, SpanKind.INTERNAL, { "sluice.task.name": name }, from);
    },
  };
}

/** A span under way. */
class SpanWork implements TracedWork {
  readonly traceparent: string | undefined;
  readonly #span: Span;
  readonly #context: Context;

  constructor(span: Span, within: Context) {
    this.#span = span;
    this.#context = within;
    this.traceparent = formatTraceparent(span.spanContext());
  }

  run<T>(fn: () => T): T {
    return context.with(this.#context, fn);
  }

  end(outcome: string, error?: unknown): void {
    this.#span.setAttribute("sluice.outcome", outcome);
    if (error !== undefined) {
      const failure = error instanceof Error ? error : new Error(typeof error === "string" ? error : typeof error);
      this.#span.setAttribute("error.type", error instanceof Error ? failure.name : typeof error);
      this.#span.recordException(failure);
      this.#span.setStatus({ code: SpanStatusCode.ERROR, message: failure.message });
    }
    this.#span.end();
  }
}

function describe(queue: string, operation: "send" | "process"): Attributes {
  return {
    "messaging.system": "sluice",
    "messaging.destination.name": queue,
    "messaging.operation.type": operation,
    "messaging.operation.name": operation,
  };
}

/** The active span's context, or that of a caller whose span is not known here. */
function activeOr(traceparent: string | undefined): Context {
  const active = context.active();
  return trace.getSpan(active) === undefined ? contextOf(parseTraceparent(traceparent)) : active;
}

function contextOf(parent: SpanContext | undefined): Context {
  return parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
}

/** Version 00 of W3C Trace Context; what is malformed is as good as none. */
function parseTraceparent(traceparent: string | undefined): SpanContext | undefined {
  const [, traceId, spanId, flags] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent ?? "") ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED;
  const parsed: SpanContext = { traceId, spanId, traceFlags, isRemote: true };
  return trace.isSpanContextValid(parsed) ? parsed : undefined;
}

function formatTraceparent(span: SpanContext | undefined): string | undefined {
  if (span === undefined || !trace.isSpanContextValid(span)) return undefined;
  return `00-${span.traceId}-${span.spanId}-${span.traceFlags.toString(16).padStart(2, "0")}`;
}
