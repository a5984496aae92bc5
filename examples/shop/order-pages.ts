/** The form on a product's page, and the page of an order. */

import { renderDocument } from "./document.ts";
import { html, Markup } from "./markup.ts";
import { euros } from "./money.ts";
import { maxQuantity } from "./order-form.ts";
import type { Draft } from "./order-form.ts";
import { describeEvent, stateWords } from "./order-words.ts";
import { orderStates, stateOf } from "./orders.ts";
import type { Order, OrderState } from "./orders.ts";
import { drawProduct } from "./pictures.ts";

interface Field {
  readonly name: "quantity" | "email";
  readonly label: string;
  readonly draft: Draft;
  readonly attributes: Markup;
}

function renderField({ name, label, draft, attributes }: Field): Markup {
  const problem = draft.problems[name];
  const wrong = problem ? html` aria-invalid="true" aria-describedby="${name}-problem"` : "";
  return html`<p class="field ${name}">
    <label for="${name}">${label}</label>
    <input id="${name}" name="${name}" value="${draft[name]}" required ${attributes}${wrong} />
    ${problem && html`<span class="problem" id="${name}-problem">${problem}</span>`}
  </p>`;
}

/** Works without a script. `left` is `undefined` if nobody knows. */
export function renderOrderForm(productId: string, draft: Draft, left: number | undefined): Markup {
  const most = Math.min(maxQuantity, Math.max(1, left ?? maxQuantity));
  const quantity = html`type="number" inputmode="numeric" min="1" max="${most}"`;
  const email = html`type="email" autocomplete="email" maxlength="254" placeholder="you@example.com"`;
  return html`<form class="order" method="post" action="/orders">
    <input type="hidden" name="product" value="${productId}" />
    <input type="hidden" name="token" value="${draft.token}" />
    ${draft.problems.form && html`<p class="problem" role="alert">${draft.problems.form}</p>`}
    <fieldset data-needs="${productId}" ${left === 0 ? html` disabled` : ""}>
      <legend>Have it sent</legend>
      ${renderField({ name: "quantity", label: "How many", draft, attributes: quantity })}
      ${renderField({ name: "email", label: "Your e-mail", draft, attributes: email })}
      <button class="button" type="submit">Place the order</button>
    </fieldset>
  </form>`;
}

function renderStep(order: Order, state: OrderState): Markup {
  const event = order.events.findLast((each) => each.state === state && each.note === undefined);
  const current = stateOf(order) === state ? html` aria-current="step"` : "";
  return html`<li data-state="${state}" class="${event ? "done" : ""}" ${current}>
    <span>${stateWords[state].name}</span>
    <time ${event && html`datetime="${event.at}"`}>${event && event.at.slice(11, 19)}</time>
  </li>`;
}

/** Shows how the order stands; `live.js` goes on from there, with the events after the ones shown. */
export function renderOrder(order: Order): string {
  const last = order.events.at(-1);
  const { headline, text } = last ? describeEvent(last) : stateWords.received;
  const isOver = stateOf(order) === "delivered";
  const follow = html` data-events="/orders/${order.id}/events?after=${order.events.length}"`;
  const main = html`<article class="receipt">
    <div role="status">
      <h1 id="headline">${headline}</h1>
      <p id="text" class="${last?.note === undefined ? "" : "trouble"}">${text}</p>
    </div>
    <ol class="journey" aria-label="The way of your order" ${isOver ? "" : follow}>
      ${orderStates.map((state) => renderStep(order, state))}
    </ol>
    <noscript><p class="hint">Load this page again to see how it goes on.</p></noscript>
    <section class="bought" aria-label="What you ordered">
      <div class="frame ${order.category}">${new Markup(drawProduct(order.productId))}</div>
      <dl>
        <div class="wide">
          <dt>You ordered</dt>
          <dd><a href="/products/${order.productId}">${order.quantity} × ${order.productName}</a></dd>
        </div>
        <div>
          <dt>In all</dt>
          <dd class="price">${euros.format(order.totalCents / 100)}</dd>
        </div>
        <div>
          <dt>Mail goes to</dt>
          <dd>${order.email}</dd>
        </div>
        <div class="wide">
          <dt>Order</dt>
          <dd><code>${order.id}</code></dd>
        </div>
      </dl>
    </section>
    <p class="hint">This page is yours alone: its address cannot be guessed. Keep it to see the order again.</p>
  </article>`;
  return renderDocument({ title: headline, main });
}
