/** What the shop says about how many there are: on a page, and to the pages that are open. */

import { html } from "./markup.ts";
import type { Markup } from "./markup.ts";

export interface StockWords {
  readonly look: "fine" | "low" | "out";
  readonly text: string;
}

export function describeStock(count: number): StockWords {
  if (count === 0) return { look: "out", text: "Sold out" };
  if (count <= 5) return { look: "low", text: `Only ${count} left` };
  return { look: "fine", text: `In stock, ${count} left` };
}

/** Changed by `live.js` while the page is open. `ifLow`: shown only then. */
export function renderStock(id: string, count: number, { ifLow = false }: { ifLow?: boolean } = {}): Markup {
  const { look, text } = describeStock(count);
  const hidden = ifLow && look === "fine";
  return html`<span
    class="stock ${look}"
    data-stock="${id}"
    ${ifLow ? html` data-if-low` : ""}${hidden ? html` hidden` : ""}
    >${text}</span
  >`;
}
