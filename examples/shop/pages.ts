/**
 * The shop's pages as HTML: each function takes what the services answered and gives a whole document.
 *
 * A page shows what it has. A part whose service failed says so in its place, and the strip at the foot of every page
 * tells which calls it was made of and how long each took.
 */

import type { Category, Product, Rating, Review, StockLevel } from "./catalog.ts";
import { renderDocument } from "./document.ts";
import { html, Markup } from "./markup.ts";
import { euros } from "./money.ts";
import type { Draft } from "./order-form.ts";
import { renderOrderForm } from "./order-pages.ts";
import { drawProduct } from "./pictures.ts";
import type { Answer, Failure } from "./services.ts";
import { renderStock } from "./stock-label.ts";

/** What the foot of a page says about the pool. */
export interface PoolLine {
  readonly open: number;
  readonly opened: number;
  readonly reused: number;
}

/** What it says about the server as well. */
export interface FootNumbers extends PoolLine {
  readonly connections: number;
  readonly maxConns: number;
  readonly answered: number;
  readonly shed: number;
}

type Calls = readonly Answer<unknown>[];

const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeZone: "UTC" });
/** The strip that shows what the page was made of: one row a call, its length to scale. */
function renderCalls(calls: Calls, foot: FootNumbers): Markup {
  const longest = Math.max(...calls.map((call) => call.tookMs), 1);
  const row = ({ role, tookMs, failure }: Answer<unknown>): Markup =>
    html` <li class="${failure ? "failed" : "fine"}">
      <span class="role">${role}</span>
      <svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
        <rect width="100" height="4" class="track" />
        <rect width="${((100 * tookMs) / longest).toFixed(1)}" height="4" />
      </svg>
      <span class="took">${tookMs < 10 ? tookMs.toFixed(1) : tookMs.toFixed(0)} ms</span>
      ${failure && html`<code>${failure.code}</code>`}
    </li>`;
  return html`<footer class="making">
    <section aria-label="How this page was made">
      <h2>How this page was made</h2>
      <ul class="calls">
        ${calls.map(row)}
      </ul>
      <p>
        ${calls.length} calls at once over one <strong>sluice</strong> Transport: ${foot.open}
        ${foot.open === 1 ? "connection" : "connections"} open, ${foot.opened} opened since the start,
        ${foot.reused.toLocaleString("en")} requests sent on a used one. <a href="/debug/pool">Look into the pool</a>
      </p>
      <p>
        Served by a guarded server: ${foot.connections} of ${foot.maxConns.toLocaleString("en")} connections open,
        ${foot.answered.toLocaleString("en")} requests answered, ${foot.shed.toLocaleString("en")} turned away.
        <a href="/debug/server">Look at the server</a>
      </p>
    </section>
  </footer>`;
}

function renderStars(stars: number): Markup {
  const rounded = Math.round(stars);
  return html`<span class="stars" role="img" aria-label="${stars} of 5 stars"
    >${"★".repeat(rounded)}<span>${"★".repeat(5 - rounded)}</span></span
  >`;
}

/** What stands in the place of a part whose service failed. */
function renderGap(what: string, failure: Failure): Markup {
  return html`<p class="gap">
    <strong>${what}</strong> The ${failure.role} service did not answer: <code>${failure.code}</code> in phase
    <code>${failure.phase}</code>.
  </p>`;
}

export interface ListParts {
  readonly category?: Category | undefined;
  readonly products: readonly Product[];
  readonly stock: Answer<readonly StockLevel[]>;
  readonly ratings: Answer<readonly Rating[]>;
}

export function renderList({ category, products, stock, ratings }: ListParts, calls: Calls, foot: FootNumbers): string {
  const counts = new Map(stock.value?.map(({ id, count }) => [id, count]));
  const stars = new Map(ratings.value?.map((rating) => [rating.id, rating]));
  const card = (product: Product): Markup => {
    const rating = stars.get(product.id);
    const count = counts.get(product.id);
    return html` <li class="card">
      <a href="/products/${product.id}">
        <div class="frame ${product.category}">${new Markup(drawProduct(product.id))}</div>
        <h2>${product.name}</h2>
        <p class="tagline">${product.tagline}</p>
        <p class="facts">
          <span class="price">${euros.format(product.priceCents / 100)}</span>${rating && renderStars(rating.stars)}
        </p>
        ${count === undefined ? "" : renderStock(product.id, count, { ifLow: true })}
      </a>
    </li>`;
  };
  const main = html` <div class="hero">
      <h1>${category ? headline[category] : "Good things, made to last"}</h1>
      <p>
        ${products.length} things${category ? "" : " for kitchen, desk, garden and the way there"}. Nothing here blinks.
      </p>
    </div>
    ${stock.failure && renderGap("Stock is not shown right now.", stock.failure)}
    ${ratings.failure && renderGap("Ratings are not shown right now.", ratings.failure)}
    <ul class="grid">
      ${products.map(card)}
    </ul>`;
  const title = category ? headline[category] : "Things that last";
  return renderDocument({ title, main, current: category ?? "all", foot: renderCalls(calls, foot) });
}

const headline: Readonly<Record<Category, string>> = {
  kitchen: "For slow mornings",
  desk: "For clear desks",
  garden: "For muddy hands",
  away: "For the way there",
};

export interface ProductParts {
  readonly product: Product;
  readonly stock: Answer<StockLevel>;
  readonly reviews: Answer<readonly Review[]>;
  /** The order form, as it was filled in. */
  readonly draft: Draft;
}

export function renderProduct(
  { product, stock, reviews, draft }: ProductParts,
  calls: Calls,
  foot: FootNumbers,
): string {
  const main = html` <article class="product">
      <div class="frame ${product.category}">${new Markup(drawProduct(product.id))}</div>
      <div class="about">
        <p class="crumb"><a href="/?category=${product.category}">${product.category}</a></p>
        <h1>${product.name}</h1>
        <p class="tagline">${product.tagline}</p>
        <p class="facts">
          <span class="price">${euros.format(product.priceCents / 100)}</span
          >${stock.value && renderStock(product.id, stock.value.count)}
        </p>
        ${stock.failure && renderGap("Stock is not known right now.", stock.failure)}
        <p>${product.description}</p>
        <ul class="details">
          ${product.details.map((detail) => html`<li>${detail}</li>`)}
        </ul>
        ${renderOrderForm(product.id, draft, stock.value?.count)}
      </div>
    </article>
    <section class="reviews" aria-labelledby="reviews">
      <h2 id="reviews">What buyers say</h2>
      ${
        reviews.failure
          ? renderGap("Reviews are not shown right now.", reviews.failure)
          : html`<ul>
              ${reviews.value.map(renderReview)}
            </ul>`
      }
    </section>`;
  return renderDocument({ title: product.name, main, current: product.category, foot: renderCalls(calls, foot) });
}

function renderReview({ stars, title, text, date }: Review): Markup {
  return html`<li>
    ${renderStars(stars)}
    <h3>${title}</h3>
    <p>${text}</p>
    <time datetime="${date}">${formatDay(date)}</time>
  </li>`;
}

function formatDay(date: string): string {
  const time = Date.parse(date);
  return Number.isNaN(time) ? date : day.format(time);
}

/** The page for a request that has no page: wrong address or wrong method. */
export function renderNotice(title: string, text: string): string {
  const main = html`<div class="notice">
    <h1>${title}</h1>
    <p>${text}</p>
    <p><a class="button" href="/">See everything we have</a></p>
  </div>`;
  return renderDocument({ title, main });
}

/** The page when a service failed without which there is no page. It says which, where and why. */
export function renderFailure(failure: Failure, calls: Calls, foot: FootNumbers): string {
  const slow = failure.status === 504;
  const main = html`<div class="notice">
    <p class="code">${failure.status}</p>
    <h1>${slow ? "That took too long" : "Something behind the counter broke"}</h1>
    <p>
      The <strong>${failure.role}</strong> service ${slow ? "did not answer in time" : "could not be asked"}. Please try
      again in a moment.
    </p>
    <dl class="cause">
      <div>
        <dt>Service</dt>
        <dd>${failure.role}</dd>
      </div>
      <div>
        <dt>Code</dt>
        <dd><code>${failure.code}</code></dd>
      </div>
      <div>
        <dt>Phase</dt>
        <dd><code>${failure.phase}</code></dd>
      </div>
      <div class="wide">
        <dt>Message</dt>
        <dd>${failure.message}</dd>
      </div>
    </dl>
  </div>`;
  return renderDocument({ title: String(failure.status), main, foot: renderCalls(calls, foot) });
}
