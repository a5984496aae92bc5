/** What customers wrote, newest first: the slice of data that only the reviews service has. Nobody signs. */

import type { Rating, Review } from "./catalog.ts";

const reviews: Readonly<Record<string, readonly Review[]>> = {
  "stoneware-mug": [
    { stars: 5, title: "The one everybody takes", text: "Bought two, now need six.", date: "2026-10-28" },
    { stars: 5, title: "Keeps warm", text: "Long calls, warm coffee to the end.", date: "2026-09-14" },
    { stars: 4, title: "Heavier than it looks", text: "Which is the point, I learned.", date: "2026-07-02" },
  ],
  "gooseneck-kettle": [
    { stars: 5, title: "Precise", text: "No splash, no drip, no drama.", date: "2026-11-03" },
    { stars: 4, title: "Knob gets warm", text: "Not hot, but you notice it on gas.", date: "2026-08-19" },
  ],
  "walnut-board": [
    { stars: 5, title: "Too good to cut on", text: "We got over it by the second loaf.", date: "2026-10-11" },
    { stars: 5, title: "Still flat", text: "A year of washing by hand, no warp.", date: "2026-06-30" },
  ],
  "reading-lamp": [
    { stars: 5, title: "Joints hold", text: "My last lamp bowed slowly through every chapter.", date: "2026-11-10" },
    { stars: 4, title: "Lovely light", text: "I would have liked a longer cable.", date: "2026-09-27" },
    { stars: 5, title: "No flicker", text: "Even at the lowest step, on camera.", date: "2026-05-16" },
  ],
  "dot-notebook": [
    { stars: 5, title: "Opens flat", text: "At last, the middle of the page is usable.", date: "2026-10-20" },
    { stars: 4, title: "Good paper", text: "Fountain pen: no bleed. Marker: a little.", date: "2026-08-08" },
  ],
  "quiet-clock": [
    { stars: 5, title: "Silence", text: "I checked twice whether it runs.", date: "2026-09-01" },
    { stars: 3, title: "Sold out again", text: "Great clock, if you can get one.", date: "2026-11-12" },
  ],
  "terracotta-planter": [
    { stars: 4, title: "Survived the winter", text: "Minus twelve, not a crack.", date: "2026-04-05" },
    { stars: 5, title: "Proper saucer", text: "Deep enough for a weekend away.", date: "2026-07-21" },
  ],
  "watering-can": [
    { stars: 5, title: "Balanced", text: "Full to the brim and still one hand.", date: "2026-06-12" },
    { stars: 4, title: "Rose clogs", text: "With rain water. Unscrews for cleaning, so fine.", date: "2026-08-25" },
  ],
  "storm-lantern": [
    { stars: 4, title: "Wind-proof indeed", text: "Blew harder, shone on.", date: "2026-10-02" },
    { stars: 4, title: "Smells of oil at first", text: "Gone after two evenings.", date: "2026-09-09" },
  ],
  "day-pack": [
    { stars: 5, title: "Nothing flaps", text: "Train, bike, hill: quiet on all of them.", date: "2026-11-15" },
    { stars: 5, title: "Ages well", text: "Better now than out of the box.", date: "2026-10-06" },
    { stars: 4, title: "One pocket is few", text: "But I lose fewer things.", date: "2026-07-17" },
  ],
  "steel-bottle": [
    { stars: 5, title: "Ice at five", text: "Filled at seven in the morning.", date: "2026-08-14" },
    { stars: 4, title: "Does not drip", text: "The laptop in the same bag agrees.", date: "2026-09-30" },
  ],
  "storm-umbrella": [
    { stars: 5, title: "Turned over four times", text: "And is still an umbrella.", date: "2026-11-18" },
    { stars: 3, title: "Long", text: "Does not fit the locker at work.", date: "2026-10-24" },
  ],
};

export function reviewsOf(id: string): readonly Review[] | undefined {
  return Object.hasOwn(reviews, id) ? reviews[id] : undefined;
}

export function allRatings(): readonly Rating[] {
  return Object.entries(reviews).map(([id, list]) => ({
    id,
    stars: Math.round((10 * list.reduce((sum, review) => sum + review.stars, 0)) / list.length) / 10,
    count: list.length,
  }));
}
