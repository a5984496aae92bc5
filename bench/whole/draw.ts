/**
 * Draws a comparison as the SVG that the README shows: one bar for each that was measured. Bars of one panel share a
 * scale, so that they can be compared across its groups; one far beyond its scale is cut at the edge, and says so.
 * Written by hand, since a picture of twenty bars needs no library; it follows the reader's light or dark setting.
 */

export interface Bar {
  readonly label: string;
  readonly kind: "own" | "floor" | "other";
  readonly figure: number;
  /** Where its budgets end, in the same unit. */
  readonly budgets: readonly number[];
}

export interface Group {
  readonly title: string;
  readonly remark: string;
  readonly bars: readonly Bar[];
}

/** Groups on one scale, from 0 to `end`, with a line at each `step`. */
export interface Panel {
  readonly groups: readonly Group[];
  readonly end: number;
  readonly step: number;
}

export interface Chart {
  /** For those who do not see it. */
  readonly label: string;
  readonly title: string;
  readonly note: string;
  readonly panels: readonly Panel[];
  /** What the marks of budgets mean. */
  readonly legend: string;
}

interface Place {
  readonly y: number;
  readonly scale: number;
}

const width = 880;
const left = 232;
const right = 776;
const rowHeight = 27;
const barHeight = 17;
const headerHeight = 86;
const groupHeight = 44;
const panelGap = 26;
const footerHeight = 62;

const style = `
  .card { fill: #ffffff; stroke: #d8dee4; }
  text { font: 13px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; fill: #1f2328; }
  .title { font-size: 18px; font-weight: 600; }
  .group { font-weight: 600; }
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

const barClasses = { own: "own-bar", floor: "floor", other: "bar" } as const;

export function drawChart({ label, title, note, panels, legend }: Chart): string {
  const parts: string[] = [];
  let y = headerHeight;
  for (const [index, panel] of panels.entries()) {
    if (index > 0) y += panelGap;
    const drawn = drawPanel(panel, y);
    parts.push(drawn.text);
    y = drawn.bottom;
  }
  const height = y + footerHeight;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeText(label)}">
<style>${style}
</style>
<rect class="card" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="10"/>
<text class="title" x="28" y="38">${escapeText(title)}</text>
<text class="note" x="28" y="60">${escapeText(note)}</text>
${parts.join("\n")}
<line class="budget" x1="28" x2="28" y1="${height - 31}" y2="${height - 17}"/>
<text class="note" x="36" y="${height - 20}">${escapeText(legend)}</text>
</svg>
`;
}

function drawPanel({ groups, end, step }: Panel, top: number): { readonly text: string; readonly bottom: number } {
  const scale = (right - left) / end;
  const parts: string[] = [];
  let y = top;
  for (const { title, remark, bars } of groups) {
    if (bars.length === 0) continue;
    parts.push(`<text class="group" x="28" y="${y + 20}">${escapeText(title)}</text>`);
    parts.push(`<text class="note" x="${width - 28}" y="${y + 20}" text-anchor="end">${escapeText(remark)}</text>`);
    y += groupHeight - 13;
    for (const bar of bars.toSorted((a, b) => a.figure - b.figure)) {
      parts.push(drawBar(bar, { y, scale }), ...bar.budgets.map((figure) => drawMark(figure, { y, scale })));
      y += rowHeight;
    }
    y += 13;
  }
  const lines: string[] = [];
  for (let figure = 0; figure <= end; figure += step) {
    const x = round(left + figure * scale);
    lines.push(
      `<line class="grid" x1="${x}" x2="${x}" y1="${top}" y2="${y - 6}"/>`,
      `<text class="note figure" x="${x}" y="${y + 8}" text-anchor="middle">${figure}</text>`,
    );
  }
  return { text: [...lines, ...parts].join("\n"), bottom: y };
}

function drawBar({ label, kind, figure, budgets }: Bar, { y, scale }: Place): string {
  const own = kind === "own";
  const length = Math.min(figure * scale, right - left);
  const name = `<text class="${own ? "own" : ""}" x="${left - 12}" y="${y + 13}" text-anchor="end">${escapeText(label)}</text>`;
  const bar = `<rect class="${barClasses[kind]}" x="${left}" y="${y}" width="${round(length)}" height="${barHeight}" rx="2"/>`;
  const textAt = left + Math.max(length, ...budgets.map((budget) => budget * scale)) + 8;
  const text = `<text class="figure${own ? " own" : ""}" x="${round(textAt)}" y="${y + 13}">${figure.toFixed(1)}</text>`;
  return [name, bar, figure * scale > right - left ? drawCut(y) : "", text].join("");
}

/** Two slanted gaps near the end of a bar that does not end there. */
function drawCut(y: number): string {
  const gap = (x: number): string =>
    `<path class="cut" d="M${x} ${y + barHeight + 1}l6 ${-barHeight - 2}h4l-6 ${barHeight + 2}z"/>`;
  return gap(right - 34) + gap(right - 24);
}

function drawMark(figure: number, { y, scale }: Place): string {
  const x = round(left + figure * scale);
  return `<line class="budget" x1="${x}" x2="${x}" y1="${y - 3}" y2="${y + barHeight + 3}"/>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
