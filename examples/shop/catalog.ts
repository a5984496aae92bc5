/**
 * What the shop sells, and the shapes in which its services talk about it.
 *
 * The data stands in code because the shop is an example: each upstream process serves its own slice of it and never
 * looks at the others. The `is...` checks are for the other end of the wire, where a service's answer is a guess until
 * it was looked at.
 */

export const categories = ["kitchen", "desk", "garden", "away"] as const;
export type Category = (typeof categories)[number];

export interface Product {
  readonly id: string;
  readonly name: string;
  readonly category: Category;
  readonly tagline: string;
  readonly description: string;
  readonly details: readonly string[];
  readonly priceCents: number;
}

export interface StockLevel {
  readonly id: string;
  readonly count: number;
}

export interface Rating {
  readonly id: string;
  /** Mean of all reviews, 1 to 5. */
  readonly stars: number;
  readonly count: number;
}

export interface Review {
  readonly stars: number;
  readonly title: string;
  readonly text: string;
  /** ISO date. */
  readonly date: string;
}

/** What a product's address may look like; anything else is refused before a service is asked. */
export const productIdPattern: RegExp = /^[a-z][a-z0-9-]{0,39}$/;

export const products: readonly Product[] = [
  {
    id: "stoneware-mug",
    name: "Stoneware mug",
    category: "kitchen",
    tagline: "Heavy, round, hard to knock over",
    description:
      "Thrown thick so that it stays warm to the last third, with a handle that takes three fingers and a foot that " +
      "does not scratch the table. The glaze pools a little differently on every one.",
    details: ["350 ml", "Stoneware, lead-free glaze", "Dishwasher and microwave"],
    priceCents: 2400,
  },
  {
    id: "gooseneck-kettle",
    name: "Gooseneck kettle",
    category: "kitchen",
    tagline: "Pours where you look",
    description:
      "A narrow spout for a slow, steady pour, and a counterweighted handle that keeps the wrist straight. " +
      "Works on gas, induction and an open fire, although the fire leaves its marks.",
    details: ["1.0 l", "Brushed steel, oak knob", "All hobs"],
    priceCents: 7900,
  },
  {
    id: "walnut-board",
    name: "Walnut board",
    category: "kitchen",
    tagline: "For bread, and for everything else",
    description:
      "One piece of walnut, cut along the grain, oiled twice. The groove on one side catches juice; " +
      "the other side is flat, for pastry. Oil it when it looks thirsty.",
    details: ["42 x 26 x 2.5 cm", "Solid walnut, linseed oil", "Hand wash"],
    priceCents: 5400,
  },
  {
    id: "reading-lamp",
    name: "Reading lamp",
    category: "desk",
    tagline: "Light on the page, not in the eyes",
    description:
      "A deep shade on two joints that stay where they are put. The dimmer goes down to a glow, without a flicker, " +
      "and remembers where it was.",
    details: ["46 cm high", "Powder-coated steel", "2700 K, 5 W, dimmable"],
    priceCents: 11900,
  },
  {
    id: "dot-notebook",
    name: "Dot notebook",
    category: "desk",
    tagline: "Lies flat, stays shut",
    description:
      "Thread-sewn, so that it opens flat on every page, on paper that takes ink without feathering. " +
      "Faint dots that scanners ignore.",
    details: ["A5, 192 pages", "90 g/m² paper", "Two ribbons, elastic band"],
    priceCents: 1650,
  },
  {
    id: "quiet-clock",
    name: "Quiet clock",
    category: "desk",
    tagline: "Tells the time, never ticks",
    description:
      "A sweeping movement without a tick, behind glass that does not glare. " +
      "Stands on a shelf or hangs on one nail, and corrects itself twice a year.",
    details: ["18 cm", "Ash and glass", "One AA cell, two years"],
    priceCents: 6800,
  },
  {
    id: "terracotta-planter",
    name: "Terracotta planter",
    category: "garden",
    tagline: "Breathes, drains, ages well",
    description:
      "Fired hot enough for frost. The saucer holds a day's water, the wall lets the rest out, " +
      "and the white bloom that comes with the years is part of it. Plant not included, patience neither.",
    details: ["22 cm", "Frost-proof terracotta", "With saucer"],
    priceCents: 3200,
  },
  {
    id: "watering-can",
    name: "Watering can",
    category: "garden",
    tagline: "Full, it still balances",
    description:
      "The long neck reaches the back row, the brass rose rains without washing the seeds out. " +
      "Galvanised, soldered by hand, leak-tested one by one.",
    details: ["4.5 l", "Galvanised steel, brass rose", "1.3 kg empty"],
    priceCents: 4900,
  },
  {
    id: "storm-lantern",
    name: "Storm lantern",
    category: "garden",
    tagline: "Burns in the wind",
    description:
      "The draught is led around the flame and not through it. Burns for twenty hours on one fill, " +
      "and packs flat enough for a saddle bag.",
    details: ["25 cm", "Tinned steel, borosilicate glass", "Lamp oil"],
    priceCents: 3900,
  },
  {
    id: "day-pack",
    name: "Day pack",
    category: "away",
    tagline: "One lid, one pocket, no straps that flap",
    description:
      "Waxed canvas that sheds a shower and shows where it has been. " +
      "The back panel comes out and is the mat for the break.",
    details: ["18 l", "Waxed cotton, leather lashes", "780 g"],
    priceCents: 12900,
  },
  {
    id: "steel-bottle",
    name: "Steel bottle",
    category: "away",
    tagline: "Cold for a day, hot for a night",
    description:
      "Two walls with nothing in between. The cap is its cup, the mouth is wide enough for ice and for a brush, " +
      "and it does not drip into the bag.",
    details: ["0.75 l", "18/8 steel", "Spare seal included"],
    priceCents: 2900,
  },
  {
    id: "storm-umbrella",
    name: "Storm umbrella",
    category: "away",
    tagline: "Turns inside out, and back",
    description:
      "Eight glass-fibre ribs that give way before they break. Opens with one hand, dries in ten minutes, " +
      "and is long enough to lean on.",
    details: ["104 cm across", "Glass fibre, recycled polyester", "Five years of spare parts"],
    priceCents: 4500,
  },
];

export const stockLevels: readonly StockLevel[] = [
  { id: "stoneware-mug", count: 140 },
  { id: "gooseneck-kettle", count: 18 },
  { id: "walnut-board", count: 3 },
  { id: "reading-lamp", count: 41 },
  { id: "dot-notebook", count: 260 },
  { id: "quiet-clock", count: 0 },
  { id: "terracotta-planter", count: 64 },
  { id: "watering-can", count: 5 },
  { id: "storm-lantern", count: 22 },
  { id: "day-pack", count: 2 },
  { id: "steel-bottle", count: 95 },
  { id: "storm-umbrella", count: 37 },
];

function has<Key extends string>(value: unknown, ...keys: readonly Key[]): value is Record<Key, unknown> {
  return typeof value === "object" && value !== null && keys.every((key) => key in value);
}

export function isCategory(value: unknown): value is Category {
  return categories.some((category) => category === value);
}

export function isProduct(value: unknown): value is Product {
  return (
    has(value, "id", "name", "category", "tagline", "description", "details", "priceCents") &&
    [value.id, value.name, value.tagline, value.description].every((text) => typeof text === "string") &&
    isCategory(value.category) &&
    Array.isArray(value.details) &&
    Number.isSafeInteger(value.priceCents)
  );
}

export function isStockLevel(value: unknown): value is StockLevel {
  return has(value, "id", "count") && typeof value.id === "string" && Number.isSafeInteger(value.count);
}

export function isRating(value: unknown): value is Rating {
  return has(value, "id", "stars", "count") && typeof value.id === "string" && Number.isFinite(value.stars);
}

export function isReview(value: unknown): value is Review {
  return (
    has(value, "stars", "title", "text", "date") &&
    Number.isFinite(value.stars) &&
    [value.title, value.text, value.date].every((text) => typeof text === "string")
  );
}

/** Checks each member of a list with one of the above. */
export function listOf<T>(isMember: (value: unknown) => value is T): (value: unknown) => value is readonly T[] {
  return (value): value is readonly T[] => Array.isArray(value) && value.every(isMember);
}
