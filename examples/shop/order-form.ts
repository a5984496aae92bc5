/** Reads what a customer has filled in, and says in the customer's words what is wrong with it. */

import { randomUUID } from "node:crypto";
import type { OrderWish } from "./orders.ts";

export const maxQuantity = 9;

/** The form as it was filled in, with what is wrong: shown again, so that nobody has to write anything twice. */
export interface Draft {
  readonly quantity: string;
  readonly email: string;
  readonly token: string;
  readonly problems: Problems;
}

export type Problems = Partial<Record<"quantity" | "email" | "form", string>>;

/** Either is there: a wish that can be met, or a draft with problems. */
export interface ReadOrder {
  readonly productId: string;
  readonly draft: Draft;
  readonly wish?: OrderWish | undefined;
}

export function emptyDraft(): Draft {
  return { quantity: "1", email: "", token: randomUUID(), problems: {} };
}

const keyPattern = /^[\w-]{8,64}$/;
/** Stricter than the standard of mail, which allows what no mailbox has. Above all: no line end, no second address. */
const emailPattern = /^[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}$/i;

/** A form of our own page: `product`, `quantity`, `email`, `token`. */
export function readForm(body: string): ReadOrder {
  const fields = new URLSearchParams(body);
  return check(Object.fromEntries(fields), fields.get("token") ?? "");
}

/** The same as JSON, its token in the header `Idempotency-Key`; `undefined` if it is no JSON object. */
export function readJson(body: string, key: string | undefined): ReadOrder | undefined {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    return check({ ...value }, key ?? randomUUID());
  } catch {
    return undefined;
  }
}

function check(fields: Readonly<Record<string, unknown>>, token: string): ReadOrder {
  const [productId, quantity, email] = [fields["product"], fields["quantity"], fields["email"]].map(toText);
  const draft = { quantity: quantity ?? "", email: email ?? "", token };
  const problems: Problems = {
    ...(!/^[1-9]$/.test(draft.quantity) && { quantity: `Choose 1 to ${maxQuantity}.` }),
    ...(!emailPattern.test(draft.email) && { email: "We need an address like ada@example.com." }),
    ...(!keyPattern.test(token) && { form: "This form is damaged. Load the page again." }),
  };
  if (Object.keys(problems).length > 0) {
    const fresh = problems.form === undefined ? token : randomUUID();
    return { productId: productId ?? "", draft: { ...draft, token: fresh, problems } };
  }
  const wish = { productId: productId ?? "", quantity: Number(draft.quantity), email: draft.email, key: token };
  return { productId: wish.productId, draft: { ...draft, problems }, wish };
}

function toText(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value).trim().slice(0, 254) : "";
}
