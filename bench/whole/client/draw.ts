/**
 * Draws the result as the SVG that the README shows: one bar a client, CPU time a request, on one scale for all levels
 * so that bars can be compared across them. A bar far beyond the references is cut at the edge, and says so. Written
 * by hand, since a picture of fourteen bars needs no library; it follows the reader's light or dark setting.
 */

import type { Judged } from "./budgets.ts";
import { labelOf } from "./measure.ts";
import type { Level } from "./peer.ts";
import type { PeerId } from "./peers.ts";

export interface Bar {
  readonly id: PeerId;
  readonly level: Level;
  readonly cpuUs: number;
}

interface Place {
  readonly y: number;
  readonly perUs: number;
}

const width = 880;
const left = 232;
const right = 776;
const rowHeight = 27;
const barHeight = 17;
const headerHeight = 86;
const levelHeight = 44;
const footerHeight = 62;

const levels: readonly { readonly level: Level; readonly title: string }[] = [
  { level: "dispatch", title: "Callbacks" },
  { level: "request", title: "Response and its text" },
  { level: "fetch", title: "fetch and its text" },
];

const style = `
  .card { fill: #ffffff; stroke: #d8dee4; }
  text { font: 13px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; fill: #1f2328; }
  .title { font-size: 18px; font-weight: 600; }
  .level { font-weight: 600; }
  .note { font-size: 11.5px; fill: #59636e; stroke: #ffffff; stroke-width: 4; paint-order: stroke; }
  .own { font-weight: 600; }
  .figure { font-variant-numeric: tabular-nums; }
  .bar { fill: #b9c4d0; }
  .floor { fill: none; stroke: #8c98a4; stroke-dasharray: 3 2; }
  .own-bar { fill: #0b7a75; }
  .budget { stroke: #d1242f; stroke-width: 2; }
  .grid { stroke: #e6eaef; }
  .cut { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #30363d; }
    text { fill: #e6edf3; }
    .note { fill: #9198a1; stroke: #0d1117; }
    .bar { fill: #444c56; }
    .floor { stroke: #768390; }
    .own-bar { fill: #2fb3a8; }
    .budget { stroke: #ff7b72; }
    .grid { stroke: #21262d; }
    .cut { fill: #0d1117; }
  }`;

export function drawClients(bars: readonly Bar[], judged: readonly Judged[], caption: string): string {
  const end = scaleEnd(bars, judged);
  const perUs = (right - left) / end;
  const parts: string[] = [];
  let y = headerHeight;
  for (const { level, title } of levels) {
    const group = bars.filter((bar) => bar.level === level).toSorted((a, b) => a.cpuUs - b.cpuUs);
    if (group.length === 0) continue;
    parts.push(`<text class="level" x="28" y="${y + 20}">${title}</text>`);
    parts.push(drawRatios(group, judged, y + 20));
    y += levelHeight - 13;
    for (const bar of group) {
      const marks = budgetMarks(bar, bars, judged);
      parts.push(drawBar(bar, marks, { y, perUs }), ...marks.map((us) => drawMark(us, { y, perUs })));
      y += rowHeight;
    }
    y += 13;
  }
  const height = y + footerHeight;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="CPU time per request of HTTP clients for Node">
<style>${style}
</style>
<rect class="card" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="10"/>
<text class="title" x="28" y="38">CPU time per request, in microseconds</text>
<text class="note" x="28" y="60">Small keep-alive GETs, 64 in flight on loopback. Shorter is better. ${escapeText(caption)}</text>
${drawGrid(end, perUs, y)}
${parts.join("\n")}
<line class="budget" x1="28" x2="28" y1="${height - 31}" y2="${height - 17}"/>
<text class="note" x="36" y="${height - 20}">budget of sluice, as a part of another client’s cost in the same run</text>
</svg>
`;
}

/** A little beyond the most expensive client that a budget names; what costs more than that is cut. */
function scaleEnd(bars: readonly Bar[], judged: readonly Judged[]): number {
  const references = bars.filter(({ id }) => judged.some(({ of, against }) => id === of || id === against));
  return Math.max(20, ...references.map(({ cpuUs }) => cpuUs)) * 1.08;
}

function drawGrid(end: number, perUs: number, bottom: number): string {
  const lines: string[] = [];
  for (let us = 0; us <= end; us += 20) {
    const x = round(left + us * perUs);
    lines.push(
      `<line class="grid" x1="${x}" x2="${x}" y1="${headerHeight}" y2="${bottom - 6}"/>`,
      `<text class="note figure" x="${x}" y="${bottom + 8}" text-anchor="middle">${us}</text>`,
    );
  }
  return lines.join("\n");
}

function drawBar({ id, cpuUs }: Bar, marks: readonly number[], { y, perUs }: Place): string {
  const own = id.startsWith("sluice");
  const length = Math.min(cpuUs * perUs, right - left);
  const kind = own ? "own-bar" : id.startsWith("raw") ? "floor" : "bar";
  const label = `<text class="${own ? "own" : ""}" x="${left - 12}" y="${y + 13}" text-anchor="end">${escapeText(labelOf(id))}</text>`;
  const bar = `<rect class="${kind}" x="${left}" y="${y}" width="${round(length)}" height="${barHeight}" rx="2"/>`;
  const figureAt = left + Math.max(length, ...marks.map((us) => us * perUs)) + 8;
  const figure = `<text class="figure${own ? " own" : ""}" x="${round(figureAt)}" y="${y + 13}">${cpuUs.toFixed(1)}</text>`;
  return [label, bar, cpuUs * perUs > right - left ? drawCut(y) : "", figure].join("");
}

/** Two slanted gaps near the end of a bar that does not end there. */
function drawCut(y: number): string {
  const gap = (x: number): string =>
    `<path class="cut" d="M${x} ${y + barHeight + 1}l6 ${-barHeight - 2}h4l-6 ${barHeight + 2}z"/>`;
  return gap(right - 34) + gap(right - 24);
}

/** Where the budgets of a bar end, in microseconds of the client that each is a part of. */
function budgetMarks(bar: Bar, bars: readonly Bar[], judged: readonly Judged[]): number[] {
  return judged.flatMap(({ of, against, atMost }) => {
    const reference = of === bar.id ? bars.find(({ id }) => id === against) : undefined;
    return reference ? [reference.cpuUs * atMost] : [];
  });
}

function drawMark(us: number, { y, perUs }: Place): string {
  const x = round(left + us * perUs);
  return `<line class="budget" x1="${x}" x2="${x}" y1="${y - 3}" y2="${y + barHeight + 3}"/>`;
}

/** The measured ratios of a level, beside its title. */
function drawRatios(group: readonly Bar[], judged: readonly Judged[], y: number): string {
  const ratios = judged.flatMap(({ of, against, atMost, ratio }) =>
    ratio && group.some(({ id }) => id === of)
      ? [`${ratio.median.toFixed(2)} × ${escapeText(labelOf(against))} (budget ${atMost.toFixed(2)})`]
      : [],
  );
  return `<text class="note" x="${width - 28}" y="${y}" text-anchor="end">${ratios.join("   ·   ")}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
