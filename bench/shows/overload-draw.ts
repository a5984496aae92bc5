/**
 * Draws the show for the README: what is answered in time and how late, by load, and a spike as time goes by. Written
 * by hand like the bars of the clients, in the same colours; it follows the reader's light or dark setting.
 */

import type { OverloadContender, OverloadFigures } from "./overload.ts";

const width = 880;
const height = 652;

/** Where a chart stands, and what its edges mean. */
interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  x(value: number): number;
  y(value: number): number;
}

type Point = readonly [x: number, y: number];

const style = `
  .card { fill: #ffffff; stroke: #d8dee4; }
  text { font: 13px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; fill: #1f2328; }
  .title { font-size: 18px; font-weight: 600; }
  .chart { font-weight: 600; }
  .note { font-size: 11.5px; fill: #59636e; stroke: #ffffff; stroke-width: 4; paint-order: stroke; }
  .bare { stroke: none; }
  .figure { font-variant-numeric: tabular-nums; }
  .grid { stroke: #e6eaef; }
  .base { stroke: #b9c4d0; }
  .limit { stroke: #59636e; stroke-dasharray: 4 3; }
  .spike { fill: #fff1e5; }
  .line { fill: none; stroke-width: 2.25; stroke-linejoin: round; stroke-linecap: round; }
  .line.node { stroke: #8c98a4; } .dot.node, .key.node { fill: #8c98a4; }
  .line.fixed { stroke: #2f6fd0; } .dot.fixed, .key.fixed { fill: #2f6fd0; }
  .line.adaptive { stroke: #0b7a75; } .dot.adaptive, .key.adaptive { fill: #0b7a75; }
  .label { font-size: 12px; font-weight: 600; stroke: #ffffff; stroke-width: 4; paint-order: stroke; }
  .label.node { fill: #667380; } .label.fixed { fill: #2f6fd0; } .label.adaptive { fill: #0b7a75; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #30363d; }
    text { fill: #e6edf3; }
    .note { fill: #9198a1; stroke: #0d1117; }
    .bare { stroke: none; }
    .grid { stroke: #21262d; }
    .base { stroke: #444c56; }
    .limit { stroke: #9198a1; }
    .spike { fill: #2b2018; }
    .line.node { stroke: #768390; } .dot.node, .key.node { fill: #768390; }
    .line.fixed { stroke: #6ea8fe; } .dot.fixed, .key.fixed { fill: #6ea8fe; }
    .line.adaptive { stroke: #2fb3a8; } .dot.adaptive, .key.adaptive { fill: #2fb3a8; }
    .label { stroke: #0d1117; }
    .label.node { fill: #9198a1; } .label.fixed { fill: #6ea8fe; } .label.adaptive { fill: #2fb3a8; }
  }`;

const keys: readonly { readonly contender: OverloadContender; readonly text: string }[] = [
  { contender: "adaptive", text: 'sluice, concurrency { limit: "adaptive" }' },
  { contender: "fixed", text: "sluice, concurrency { limit: 12 }" },
  { contender: "node", text: "node:http" },
];

/** What is drawn later lies on top. */
const order: readonly OverloadContender[] = ["node", "fixed", "adaptive"];

export function drawOverload(shown: readonly OverloadFigures[], capacity: number, caption: string): string {
  const inOrder = order.flatMap((contender) => shown.filter((figures) => figures.contender === contender));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="What servers answer in time while they are asked for up to ten times of what they can do">
<style>${style}
</style>
<rect class="card" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="10"/>
<text class="title" x="28" y="38">Asked for ten times what it can do</text>
<text class="note" x="28" y="60">A handler with ten places of 20 ms behind it. Open loop, clients give up after 1 s. ${escapeText(caption)}</text>
${drawKeys()}
${drawGoodput(inOrder, capacity)}
${drawTimes(inOrder)}
${drawSpike(inOrder, capacity)}
</svg>
`;
}

function drawKeys(): string {
  let x = 28;
  return keys
    .map(({ contender, text }) => {
      const at = x;
      x += 34 + text.length * 6.6;
      return `<rect class="key ${contender}" x="${at}" y="78" width="12" height="12" rx="3"/><text class="note" x="${at + 18}" y="88">${escapeText(text)}</text>`;
    })
    .join("\n");
}

const loads = [0.5, 1, 2, 5, 10];

/** Loads are multiples, so each doubling is as wide as the next. */
function byLoad(frame: Omit<Frame, "x" | "y">): (load: number) => number {
  const perOctave = (frame.right - frame.left) / Math.log2(10 / 0.5);
  return (load) => frame.left + Math.log2(load / 0.5) * perOctave;
}

function drawGoodput(shown: readonly OverloadFigures[], capacity: number): string {
  const box = { left: 64, right: 416, top: 142, bottom: 342 };
  const top = capacity * 1.15;
  const frame = { ...box, x: byLoad(box), y: (value: number) => box.bottom - (value / top) * (box.bottom - box.top) };
  const lines = shown.map(({ contender, levels }) => {
    const points = levels.map(({ load, goodPerSecond }): Point => [frame.x(load), frame.y(goodPerSecond)]);
    return drawLine(contender, points) + drawDots(contender, points);
  });
  return [
    `<text class="chart" x="28" y="124">Answered in time, per second</text>`,
    ...ticks(0, top, 100).map((value) => drawRule(frame, frame.y(value), String(value))),
    drawLimit(frame, frame.y(capacity), "capacity"),
    drawLoads(frame),
    ...lines,
  ].join("\n");
}

function drawTimes(shown: readonly OverloadFigures[]): string {
  const box = { left: 492, right: 844, top: 142, bottom: 342 };
  const perOctave = (box.bottom - box.top) / Math.log2(1_250 / 20);
  const y = (ms: number): number => box.bottom - Math.log2(Math.max(ms, 20) / 20) * perOctave;
  const frame = { ...box, x: byLoad(box), y };
  const lines = shown.map(({ contender, levels }) => {
    // Nothing answered in time has no percentile.
    const points = levels.filter(({ p99 }) => p99 >= 0).map(({ load, p99 }): Point => [frame.x(load), y(p99)]);
    return drawLine(contender, points) + drawDots(contender, points);
  });
  return [
    `<text class="chart" x="456" y="124">p99 of those, in ms</text>`,
    ...[20, 50, 100, 200, 500].map((ms) => drawRule(frame, y(ms), String(ms))),
    drawLimit(frame, y(1_000), "the client gives up"),
    drawLoads(frame),
    ...lines,
  ].join("\n");
}

function drawLoads(frame: Frame): string {
  const marks = loads.map(
    (load) =>
      `<text class="note figure" x="${round(frame.x(load))}" y="${frame.bottom + 18}" text-anchor="middle">${load}</text>`,
  );
  return `${marks.join("")}<text class="note" x="${frame.right}" y="${frame.bottom + 36}" text-anchor="end">load, in capacities</text>`;
}

function drawSpike(shown: readonly OverloadFigures[], capacity: number): string {
  const first = shown[0]?.spike;
  if (first === undefined) return "";
  const { sliceMs, spikeFromMs, spikeToMs, load, quietLoad } = first;
  const box = { left: 64, right: 844, top: 432, bottom: 596 };
  const totalMs = first.goodPerSecond.length * sliceMs;
  const top = capacity * 1.3;
  const x = (ms: number): number => box.left + (ms / totalMs) * (box.right - box.left);
  const y = (value: number): number => box.bottom - (Math.min(value, top) / top) * (box.bottom - box.top);
  const frame = { ...box, x, y };
  const lines = shown.map(({ contender, spike }) => {
    const points = spike.goodPerSecond.map((value, index): Point => [x((index + 0.5) * sliceMs), y(value)]);
    return drawLine(contender, points);
  });
  const [from, to] = [x(spikeFromMs), x(spikeToMs)];
  const seconds = ticks(0, totalMs / 1_000, 5).map(
    (at) =>
      `<text class="note figure" x="${round(x(at * 1_000))}" y="${box.bottom + 18}" text-anchor="middle">${at}</text>`,
  );
  return [
    `<text class="chart" x="28" y="414">Answered in time, per second, through a spike</text>`,
    `<rect class="spike" x="${round(from)}" y="${box.top}" width="${round(to - from)}" height="${box.bottom - box.top}"/>`,
    ...ticks(0, capacity, 200).map((value) => drawRule(frame, y(value), String(value))),
    drawLimit(frame, y(capacity), "capacity"),
    ...lines,
    `<text class="note bare" x="${round((from + to) / 2)}" y="${box.top + 16}" text-anchor="middle">${load} × the capacity is asked for</text>`,
    `<text class="note" x="${round(to + 8)}" y="${box.top + 16}">${quietLoad} ×</text>`,
    `<text class="note" x="${round(box.left + 8)}" y="${box.top + 16}">${quietLoad} ×</text>`,
    ...seconds,
    `<text class="note" x="${box.right}" y="${box.bottom + 36}" text-anchor="end">seconds</text>`,
  ].join("\n");
}

function ticks(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step);
}

function drawRule({ left, right }: Frame, y: number, label: string): string {
  const kind = label === "0" ? "base" : "grid";
  return `<line class="${kind}" x1="${left}" x2="${right}" y1="${round(y)}" y2="${round(y)}"/><text class="note figure" x="${left - 8}" y="${round(y + 4)}" text-anchor="end">${label}</text>`;
}

function drawLimit({ left, right }: Frame, y: number, label: string): string {
  return `<line class="limit" x1="${left}" x2="${right}" y1="${round(y)}" y2="${round(y)}"/><text class="note" x="${right}" y="${round(y - 5)}" text-anchor="end">${label}</text>`;
}

function drawLine(contender: OverloadContender, points: readonly Point[]): string {
  const path = points.map(([x, y], index) => `${index === 0 ? "M" : "L"}${round(x)} ${round(y)}`).join("");
  return `<path class="line ${contender}" d="${path}"/>`;
}

function drawDots(contender: OverloadContender, points: readonly Point[]): string {
  return points
    .map(([x, y]) => `<circle class="dot ${contender}" cx="${round(x)}" cy="${round(y)}" r="3.5"/>`)
    .join("");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
