/** The frame of every page. */

import { categories } from "./catalog.ts";
import type { Category } from "./catalog.ts";
import { html, Markup } from "./markup.ts";
import { sign } from "./pictures.ts";

const signMark = new Markup(sign);

export interface Frame {
  readonly title: string;
  readonly main: Markup;
  readonly current?: Category | "all" | undefined;
  readonly foot?: Markup;
}

export function renderDocument({ title, main, current, foot }: Frame): string {
  const link = (name: Category | "all"): Markup =>
    html` <a href="${name === "all" ? "/" : `/?category=${name}`}" ${current === name ? html` aria-current="page"` : ""}
      >${name}</a
    >`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · Millrace</title>
        <link rel="icon" href="/icon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/shop.css" />
        <script src="/live.js" type="module"></script>
      </head>
      <body>
        <a class="skip" href="#main">Skip to the content</a>
        <header class="top">
          <a class="brand" href="/">${signMark}<span>Millrace</span></a>
          <nav aria-label="Categories">${(["all", ...categories] as const).map(link)}</nav>
        </header>
        <main id="main">${main}</main>
        ${foot}
      </body>
    </html> `.text;
}
