import assert from "node:assert/strict";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { connectTo, protocols, serveGuarded, type KeptConnection } from "../../test/support/kept-connection.ts";
import { lateCalls, lateCallsOf, type AnyResponse } from "../../test/support/late-calls.ts";
import { randomFrom, type Random } from "../../test/support/random.ts";
import { containLateWrites } from "./late-methods.ts";
import { LateWrites } from "./late-writes.ts";

/** Steps of random kinds and lengths between two things that happen. */
async function pass(random: Random): Promise<void> {
  const kind = random.below(4);
  if (kind === 1) await Promise.resolve();
  else if (kind === 2) await turn();
  else if (kind === 3) await sleep(random.below(4));
}

function answer(res: AnyResponse, body: string): void {
  if ("sendDate" in res) res.sendDate = false;
  res.setHeader("content-length", body.length);
  for (let from = 0; from < body.length; from += 1_000) res.write(body.slice(from, from + 1_000));
  res.end();
}

for (const protocol of protocols) {
  test(`${protocol}: whatever is called whenever it is too late, the answers of all connections are whole`, async (t) => {
    const random = randomFrom();
    t.diagnostic(`SEED=${random.seed}`);
    const names = lateCallsOf(protocol).filter((name) => lateCalls[name]?.isValid !== false);
    const lateWrites = new LateWrites(() => {});
    const working = new Set<Promise<void>>();
    let expected = 0;

    /** Calls what it likes at a response that is complete, while its connection serves others. */
    const meddle = async (res: AnyResponse, count: number): Promise<void> => {
      for (let left = count; left > 0; left -= 1) {
        await pass(random);
        const name = random.pick(names);
        lateCalls[name]?.call(res);
        expected += 1;
        assert.equal(lateWrites.count, expected, name);
      }
    };
    const follow = (work: Promise<void>): void => {
      working.add(work);
      // Awaited at the end; until then nobody minds how it went.
      work.catch(() => {});
    };
    const contain = (res: AnyResponse): void => containLateWrites(res, { lateWrites });
    await using server = await serveGuarded(protocol, contain, (req, res) => {
      const [, size, count] = (req.url ?? "").split("/").map(Number);
      const serve = async (): Promise<void> => {
        await pass(random);
        answer(res, "x".repeat(size ?? 0));
        await meddle(res, count ?? 0);
      };
      follow(serve());
    });

    const converse = async (connection: KeptConnection): Promise<void> => {
      for (let left = 20; left > 0; left -= 1) {
        const size = random.pick([0, 1, 3_000, 200_000]);
        if (random.chance(0.3)) connection.pause();
        connection.send(`/${size}/${random.below(6)}`);
        await pass(random);
        connection.resume();
        const whole = await connection.answer();
        assert.equal(/x+(?="|$)/.exec(whole)?.[0].length ?? 0, size, whole.slice(0, 300));
        assert.ok(!whole.includes("late"));
      }
    };
    const connections = Array.from({ length: 8 }, () => connectTo(protocol, server.port));
    await Promise.all(connections.map(converse));
    await Promise.all(working);

    assert.ok(lateWrites.count > 100);
    for (const connection of connections) await connection[Symbol.asyncDispose]();
  });

  test(`${protocol}: whatever is called whenever a client leaves, nothing throws`, async (t) => {
    const random = randomFrom();
    t.diagnostic(`SEED=${random.seed}`);
    // A push is no mistake before the client has left.
    const names = lateCallsOf(protocol).filter(
      (name) => lateCalls[name]?.isValid !== false && name !== "createPushResponse",
    );
    const lateWrites = new LateWrites(() => {});
    let leave = Promise.withResolvers<AnyResponse>();
    await using server = await serveGuarded(
      protocol,
      (res) => containLateWrites(res, { lateWrites }),
      (_req, res) => {
        if (random.chance(0.5)) res.write("begun");
        leave.resolve(res);
      },
    );

    for (let left = 100; left > 0; left -= 1) {
      leave = Promise.withResolvers();
      await using connection = connectTo(protocol, server.port);
      connection.send("/");
      connection.answer().catch(() => {});
      const res = await leave.promise;
      await pass(random);
      random.pick([() => connection.giveUp(), () => connection.leave(), () => res.destroy()])();
      const isCut = (): boolean => res.destroyed || res.socket === undefined || res.socket?.destroyed === true;
      for (let calls = random.below(8); calls > 0; calls -= 1) {
        await pass(random);
        const name = random.pick([...names, "end"]);
        try {
          if (name === "end") res.end();
          else lateCalls[name]?.call(res);
        } catch (error) {
          assert.equal(isCut(), false, `${name} has thrown ${String(error)}`);
        }
      }
    }
  });
}
