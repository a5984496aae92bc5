/**
 * Instruments as the text that Prometheus reads: its own format 0.0.4, and OpenMetrics 1.0.0.
 *
 * Both say the same of a family in lines. They differ in how a counter is called (OpenMetrics drops `_total` where it
 * declares it), in how numbers and bounds are written, and in that OpenMetrics ends with a mark, so that half a page is
 * not taken for a whole one. Nothing is kept between two renderings but the text of label sets, which is most of it.
 */

import type { CollectedFamily, HistogramSample, Registry, Sample } from "../core/instruments.ts";

/** Which of the two formats. */
export type ExpositionFormat = "prometheus" | "openmetrics";

/** What goes into the header `Content-Type`. */
export const contentTypes: Readonly<Record<ExpositionFormat, string>> = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/**
 * The format that a scraper asks for. Prometheus names its own one as the last choice and prefers OpenMetrics; browsers and
 * curl ask for neither, and get what people can read everywhere.
 */
export function chooseFormat(accept: string | undefined): ExpositionFormat {
  let best: ExpositionFormat = "prometheus";
  let bestQuality = 0;
  for (const range of (accept ?? "").slice(0, 2_000).split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const format = formatOf(type, parameters);
    const quality = qualityOf(parameters);
    if (format === undefined || quality <= bestQuality) continue;
    best = format;
    bestQuality = quality;
  }
  return best;
}

function formatOf(type: string, parameters: readonly string[]): ExpositionFormat | undefined {
  if (type === "text/plain" || type === "*/*" || type === "text/*") return "prometheus";
  if (type !== "application/openmetrics-text") return undefined;
  const version = parameters.find((parameter) => parameter.startsWith("version="))?.slice("version=".length);
  return version === undefined || version === "1.0.0" || version === "0.0.1" ? "openmetrics" : undefined;
}

/** RFC 9110 12.4.2. What is malformed is taken for 0: not asked for. */
function qualityOf(parameters: readonly string[]): number {
  const given = parameters.find((parameter) => parameter.startsWith("q="));
  if (given === undefined) return 1;
  const quality = Number(given.slice(2));
  return quality >= 0 && quality <= 1 ? quality : 0;
}

/** All families of a registry as one text. */
export function renderExposition(registry: Registry, format: ExpositionFormat = "prometheus"): string {
  let text = "";
  for (const part of renderFamilies(registry.collect(), format)) text += part;
  return text;
}

/** The same in pieces, a family each: for who lets others have their turn between them. */
export function* renderFamilies(
  families: Iterable<CollectedFamily>,
  format: ExpositionFormat,
): Generator<string, void, undefined> {
  for (const family of families) yield renderFamily(family, format);
  if (format === "openmetrics") yield "# EOF\n";
}

function renderFamily(family: CollectedFamily, format: ExpositionFormat): string {
  const { name, help, type } = family;
  const isOpen = format === "openmetrics";
  const declared = isOpen && type === "counter" ? name.replace(/_total$/, "") : name;
  let text = `# HELP ${declared} ${isOpen ? escapeLabel(help) : escapeHelp(help)}\n# TYPE ${declared} ${type}\n`;
  if (family.type === "histogram") {
    for (const sample of family.samples) text += renderHistogram(family, sample, isOpen);
    return text;
  }
  // OpenMetrics takes a counter by its suffix.
  const sampled = isOpen && type === "counter" ? `${declared}_total` : name;
  for (const sample of family.samples) {
    text += `${sampled}${braced(labelText(family, sample))} ${formatNumber(sample.value)}\n`;
  }
  return text;
}

function renderHistogram(family: CollectedFamily, sample: HistogramSample, isOpen: boolean): string {
  const { name } = family;
  const labels = labelText(family, sample);
  const prefix = `${name}_bucket{${labels === "" ? "" : `${labels},`}le="`;
  const { bounds, counts } = sample;
  let text = "";
  let below = 0;
  for (let index = 0; index < bounds.length; index += 1) {
    below += counts[index] ?? 0;
    text += `${prefix}${formatBound(bounds[index] ?? NaN, isOpen)}"} ${below}\n`;
  }
  const rest = braced(labels);
  // Not `sample.count` of another moment: the last bucket and the count have to be the same.
  const count = below + (counts[bounds.length] ?? 0);
  return `${text}${prefix}+Inf"} ${count}\n${name}_sum${rest} ${formatNumber(sample.sum)}\n${name}_count${rest} ${count}\n`;
}

function braced(labels: string): string {
  return labels === "" ? "" : `{${labels}}`;
}

/** A series keeps its list of label values for as long as it lives. Those of gauges that are read anew come and go. */
const labelTexts = new WeakMap<readonly string[], string>();

function labelText({ labelNames }: CollectedFamily, { labels }: Pick<Sample, "labels">): string {
  const known = labelTexts.get(labels);
  if (known !== undefined) return known;
  const text = labels.map((value, index) => `${labelNames[index] ?? ""}="${escapeLabel(value)}"`).join(",");
  labelTexts.set(labels, text);
  return text;
}

const special = /[\\"\n]/;

function escapeLabel(value: string): string {
  if (!special.test(value)) return value;
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function escapeHelp(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function formatNumber(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}

/** In OpenMetrics a bound always looks like a fraction, so that 1 and 1.0 are not two series. */
function formatBound(bound: number, isOpen: boolean): string {
  return isOpen && Number.isInteger(bound) && Math.abs(bound) < 1e21 ? `${bound}.0` : String(bound);
}
