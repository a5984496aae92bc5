/** How the benches speak: results on stdout; on stderr a line of progress, renewed on a terminal, else one now and then. */

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

const linesEveryMs = 15_000;
let lineAt = performance.now();

export function showProgress(text: string): void {
  if (process.stderr.isTTY) {
    process.stderr.write(`\r\x1b[2K${text}`);
    return;
  }
  if (text === "" || performance.now() - lineAt < linesEveryMs) return;
  lineAt = performance.now();
  process.stderr.write(`${text}\n`);
}

/** Columns as wide as what stands in them: the first ones, which are words, to the left, the figures to the right. */
export function formatTable(rows: readonly (readonly string[])[], words = 1): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column < words ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
