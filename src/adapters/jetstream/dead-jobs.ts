/** What is asked of the stream that keeps a queue's dead jobs. */

import type { JetStreamClient, JetStreamManager, StoredMsg } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import type { DeadJob, DeadSelection } from "../../tasks/index.ts";
import { attemptsHeader, failureHeader, idHeader, priorityHeader, unpackFailure, type QueueNames } from "./message.ts";

/** Newest first, those before `before` if given. */
export async function listDead(
  jsm: JetStreamManager,
  names: QueueNames,
  page: { readonly limit: number; readonly before?: string },
): Promise<readonly DeadJob[]> {
  const { limit, before } = page;
  const end = before === undefined ? Infinity : await lastDead(jsm, names, before);
  if (end === undefined) return [];
  const sequences = (await deadSequences(jsm, names)).filter((sequence) => sequence < end);
  const found = sequences.toReversed().slice(0, limit);
  const messages = await inBatches(found, (seq) => jsm.streams.getMessage(names.dead, { seq }));
  return messages.flatMap((message) => (message === null ? [] : [toDeadJob(names.queue, message)]));
}

/** Makes the chosen ones ready again; answers how many. */
export async function redriveDead(
  js: JetStreamClient,
  jsm: JetStreamManager,
  names: QueueNames,
  which: DeadSelection,
): Promise<number> {
  const chosen =
    which === "all" ? await deadSequences(jsm, names) : await inBatches(which, (id) => lastDead(jsm, names, id));
  const moves = await inBatches(chosen, (sequence) => redriveOne(js, jsm, names, sequence));
  return moves.filter(Boolean).length;
}

/** Forgets the chosen ones; answers how many. */
export async function discardDead(jsm: JetStreamManager, names: QueueNames, which: DeadSelection): Promise<number> {
  if (which === "all") return (await jsm.streams.purge(names.dead)).purged;
  const purges = await inBatches(which, (id) => jsm.streams.purge(names.dead, { filter: names.deadSubject(id) }));
  return purges.reduce((sum, { purged }) => sum + purged, 0);
}

/** Does `work` for all, some at a time. */
function inBatches<In, Out>(all: readonly In[], work: (one: In) => Promise<Out>): Promise<readonly Out[]> {
  return Array.from({ length: Math.ceil(all.length / 64) }, (_, index) =>
    all.slice(index * 64, (index + 1) * 64),
  ).reduce<Promise<readonly Out[]>>(
    async (before, batch) => [...(await before), ...(await Promise.all(batch.map(work)))],
    Promise.resolve([]),
  );
}

/** Of the dead jobs, oldest first. */
async function deadSequences(jsm: JetStreamManager, names: QueueNames): Promise<readonly number[]> {
  const { state } = await jsm.streams.info(names.dead, { deleted_details: true });
  const gaps = new Set(state.deleted);
  if (state.messages === 0) return [];
  return Array.from({ length: state.last_seq - state.first_seq + 1 }, (_, index) => state.first_seq + index).filter(
    (sequence) => !gaps.has(sequence),
  );
}

async function lastDead(jsm: JetStreamManager, names: QueueNames, id: string): Promise<number | undefined> {
  const message = await jsm.streams.getMessage(names.dead, { last_by_subj: names.deadSubject(id) });
  return message?.seq;
}

function toDeadJob(queue: string, message: StoredMsg): DeadJob {
  return {
    id: message.header.get(idHeader),
    queue,
    body: message.string(),
    attempts: Number(message.header.get(attemptsHeader)),
    failure: unpackFailure(message.header.get(failureHeader)),
    diedAt: message.time.getTime(),
  };
}

/** Whether it was still there. Interrupted between its two steps and done again, it makes one job all the same. */
async function redriveOne(
  js: JetStreamClient,
  jsm: JetStreamManager,
  names: QueueNames,
  seq: number | undefined,
): Promise<boolean> {
  if (seq === undefined) return false;
  const dead = await jsm.streams.getMessage(names.dead, { seq });
  if (dead === null) return false;
  const about = headers();
  about.set("Nats-Msg-Id", `${names.dead}:${seq}`);
  about.set(idHeader, dead.header.get(idHeader));
  const priority = dead.header.get(priorityHeader);
  if (priority !== "") about.set(priorityHeader, priority);
  await js.publish(names.ready, dead.data, { headers: about });
  return await jsm.streams.deleteMessage(names.dead, seq, false);
}
