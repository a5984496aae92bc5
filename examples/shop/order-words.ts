/** What the states of an order are called, for the page and for those who watch it. */

import type { OrderEvent, OrderState } from "./orders.ts";

export interface StateWords {
  readonly name: string;
  readonly headline: string;
  readonly text: string;
}

export const stateWords: Readonly<Record<OrderState, StateWords>> = {
  received: {
    name: "Received",
    headline: "We have your order",
    text: "The confirmation is on its way to your mailbox.",
  },
  confirmed: { name: "Confirmed", headline: "Confirmed by mail", text: "Next, somebody takes it off the shelf." },
  packed: { name: "Packed", headline: "Packed", text: "In paper, with the good string." },
  "on-its-way": { name: "On its way", headline: "On its way", text: "It left the mill and is coming to you." },
  delivered: { name: "Delivered", headline: "Delivered", text: "May it last." },
};

/** What is new by an event: a page that is open changes to this. */
export function describeEvent({ state, note }: OrderEvent): { readonly headline: string; readonly text: string } {
  const { headline, text } = stateWords[state];
  return { headline, text: note ?? text };
}
