/** The words of the confirmation mail. */

import { euros } from "./money.ts";
import type { Order } from "./orders.ts";
import type { Mail } from "./outbox.ts";

export function confirmationOf({ id, email, productName, quantity, totalCents }: Order): Mail {
  return {
    id,
    to: email,
    subject: `Your order: ${quantity} x ${productName}`,
    text: `Thank you.

We have put aside for you: ${quantity} x ${productName}, ${euros.format(totalCents / 100)} in all.
It is packed in a moment. Your order is ${id}.

Millrace`,
  };
}
