import assert from "node:assert/strict";
import { test } from "node:test";
import { Registry } from "../core/instruments.ts";
import { chooseFormat, renderExposition } from "./exposition.ts";

function makeRegistry(): Registry {
  const registry = new Registry();
  registry.counter("orders_total", "Orders, by fate.", ["fate"]).labels("paid").add(3);
  registry.gauge("shelves", "Shelves in use.").labels().set(-1.5);
  const sizes = registry.histogram("parcel_seconds", "Time to pack.", { labelNames: ["hall"], bounds: [0.5, 1, 5] });
  for (const seconds of [0.2, 0.5, 0.7, 9]) sizes.labels("north").record(seconds);
  return registry;
}

test("counters, gauges and histograms are rendered in Prometheus' text format", () => {
  assert.equal(
    renderExposition(makeRegistry()),
    `# HELP orders_total Orders, by fate.
# TYPE orders_total counter
orders_total{fate="paid"} 3
# HELP shelves Shelves in use.
# TYPE shelves gauge
shelves -1.5
# HELP parcel_seconds Time to pack.
# TYPE parcel_seconds histogram
parcel_seconds_bucket{hall="north",le="0.5"} 2
parcel_seconds_bucket{hall="north",le="1"} 3
parcel_seconds_bucket{hall="north",le="5"} 3
parcel_seconds_bucket{hall="north",le="+Inf"} 4
parcel_seconds_sum{hall="north"} 10.4
parcel_seconds_count{hall="north"} 4
`,
  );
});

test("in OpenMetrics a counter is declared without its suffix, bounds are fractions, and the text has an end", () => {
  const text = renderExposition(makeRegistry(), "openmetrics");
  assert.match(text, /^# TYPE orders counter\norders_total\{fate="paid"\} 3$/m);
  assert.match(text, /^parcel_seconds_bucket\{hall="north",le="1\.0"\} 3$/m);
  assert.ok(text.endsWith("# EOF\n"));
});

test("what would end a label or a line is escaped", () => {
  const registry = new Registry();
  registry.counter("odd_total", 'A "help"\nof two \\ lines.', ["path"]).labels('a"b\\c\nd').add();
  assert.equal(
    renderExposition(registry),
    `# HELP odd_total A "help"\\nof two \\\\ lines.\n# TYPE odd_total counter\nodd_total{path="a\\"b\\\\c\\nd"} 1\n`,
  );
});

test("infinities and NaN are spelled as Prometheus reads them", () => {
  const registry = new Registry();
  const levels = registry.gauge("level", "A level.", ["of"]);
  levels.labels("up").set(Infinity);
  levels.labels("down").set(-Infinity);
  levels.labels("none").set(NaN);
  const lines = renderExposition(registry).split("\n").slice(2, 5);
  assert.deepEqual(lines, ['level{of="up"} +Inf', 'level{of="down"} -Inf', 'level{of="none"} NaN']);
});

for (const [accept, format] of [
  [undefined, "prometheus"],
  ["*/*", "prometheus"],
  ["text/html,application/xhtml+xml,*/*;q=0.8", "prometheus"],
  ["application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "openmetrics"],
  [
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
      "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "openmetrics",
  ],
  ["text/plain;version=0.0.4", "prometheus"],
  ["application/openmetrics-text;q=0, text/plain", "prometheus"],
  ["application/openmetrics-text;version=9.9", "prometheus"],
] as const) {
  test(`a scraper that accepts ${accept ?? "nothing in particular"} gets ${format}`, () => {
    assert.equal(chooseFormat(accept), format);
  });
}
