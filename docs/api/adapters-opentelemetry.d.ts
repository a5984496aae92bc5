// The interface of sluice/adapters/opentelemetry, printed by `npm run api`. Do not edit.

// adapters/opentelemetry.d.ts

/**
 * Spans for tasks and jobs, by OpenTelemetry's API.
 *
 * A job is sent in one span and processed in another, often by another process and much later. The two are linked by the
 * `traceparent` that travels with the job; the second is a trace of its own, since a trace that lasts until a retry
 * tomorrow is of no use. `spans: "child"` puts them into one trace for those who want that. Names and attributes are those
 * of the semantic conventions for messaging (development, 1.44).
 */
import { type Tracer } from "@opentelemetry/api";
import type { Tracing } from "../tasks/index.ts";
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
export declare function openTelemetryTracing(options?: OpenTelemetryTracingOptions): Tracing;
