/**
 * Takes jobs from a store in a process of its own, so that the process can be stopped or killed while it holds them.
 *
 * The one argument says where from; every job taken, settled or lost is a line of JSON. `done ID` and `release ID` on the
 * standard input settle one; its end ends the process.
 */

import { createInterface } from "node:readline";
import type { Delivery, QueueSettings, Store } from "sluice/tasks";

interface Setup {
  readonly module: string;
  readonly argument: string;
  readonly queue: string;
  readonly settings: QueueSettings;
  readonly concurrency: number;
}

const held = new Map<string, Delivery>();

function tell(event: string, facts: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`);
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what `OtherProcess.start` has written
const { module, argument, queue, settings, concurrency } = JSON.parse(process.argv[2] ?? "") as Setup;
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `StorePlace.elsewhere` promises this export
const { openStore } = (await import(module)) as { readonly openStore: (argument: string) => Store };
const store = openStore(argument);
await store.start({ onError: () => {} });
await store.open(queue, settings);
await store.consume(queue, concurrency, (delivery) => {
  held.set(delivery.id, delivery);
  delivery.leaseLost.addEventListener("abort", () => tell("lost", { id: delivery.id }));
  tell("taken", { id: delivery.id, attempt: delivery.attempt });
});
tell("ready");

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [how, id = ""] = line.split(" ");
    const delivery = held.get(id);
    if (delivery === undefined) throw new Error(`there is no job ${id} here`);
    const settling = how === "done" ? delivery.done() : delivery.release();
    void settling.then((settled) => tell("settled", { id, settled }));
  })
  .on("close", () => process.exit(0));
