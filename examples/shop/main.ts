/**
 * Starts the reference shop, says where it is, and stops it without leaving anything behind.
 *
 * Order matters twice: services before the shop (the first page is whole), and on the way out customers, then the
 * server with its streams, then tasks and queue, then the Transport, then the services that its last requests went to,
 * then the temporary folder. `await using` is that order.
 */

import { once } from "node:events";
import type { Server } from "node:net";
import { styleText } from "node:util";
import { Transport } from "sluice/client";
import { createServer } from "sluice/server";
import type { Guarded, LateWrite } from "sluice/server";
import { describeUsage, readArguments, UsageError } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { openBackOffice } from "./back-office.ts";
import { DataFolder } from "./data-folder.ts";
import { OrderEvents } from "./order-events.ts";
import { Services } from "./services.ts";
import { Shelves } from "./shelves.ts";
import { readPool, Shop } from "./shop.ts";
import { Terminal } from "./terminal.ts";
import { startTraffic } from "./traffic.ts";
import { roles, Upstreams } from "./upstreams.ts";

const usualPort = 8080;
/** How long the calls of the last pages may take to end. */
const stopLimitMs = 500;

async function run(args: Arguments, terminal: Terminal): Promise<void> {
  const { port, traffic, seed } = args;
  const signalled = nextSignal();
  const log = (line: string): void => terminal.log(line);
  await using data = await openData(args.data);
  await using upstreams = new Upstreams(log);
  await upstreams.ready();
  const transport = new Transport({
    maxConnsPerHost: 50,
    poolTimeout: "500ms",
    dialTimeout: "500ms",
    responseHeaderTimeout: "1s",
    bodyTimeout: "1s",
  });
  await using _transport = { [Symbol.asyncDispose]: (): Promise<void> => closeTransport(transport) };
  const server = createServer({
    name: "shop",
    handlerTimeout: "3s", // longer than what the Transport allows one call
    maxBodyBytes: "4kb", // an order is the longest that anybody sends
    concurrency: { limit: 200, exempt: ["/healthz", "/readyz", "/debug/*"] },
    drain: { settle: "500ms", grace: "1s" }, // for the impatience of a terminal; in production some seconds, and 30 s
  });
  const services = new Services(transport, upstreams);
  const shelves = new Shelves(server, services);
  const events = new OrderEvents();
  const office = await openBackOffice({ data, isMailBroken: args.brokenMail, services, shelves, events, log });
  await using _office = { [Symbol.asyncDispose]: async (): Promise<void> => log(await office.close()) };
  const shop = new Shop({ server, transport, upstreams, services, shelves, events, log, ...office });
  server.on("request", (request, response) => void shop.handle(request, response));
  server.on("lateWrite", ({ request, stack }: LateWrite) => log(`${request}: ${stack}`));
  const url = `http://127.0.0.1:${await listen(server, port)}`;
  await using _server = { [Symbol.asyncDispose]: (): Promise<void> => drain(server, log) };
  office.tasks.run("warm-cache", { timeout: "5s" }, () => warm({ transport, upstreams, shelves }));
  welcome(url, args, { terminal, data });
  const plan = { url, rate: traffic ?? 0, seed, readPool: () => readPool(transport) };
  await using _traffic = traffic === undefined ? undefined : startTraffic(plan, terminal);

  const signal = await signalled;
  office.beginToClose();
  terminal.endStatus();
  terminal.say(`\n  ${signal}: not ready any more; finishing what is under way, then closing.`);
}

async function openData(folder: string | undefined): Promise<DataFolder> {
  try {
    return await DataFolder.open(folder);
  } catch (error) {
    throw new UsageError(`--data: the folder cannot be used. ${error instanceof Error ? error.message : ""}`);
  }
}

interface Warmable {
  readonly transport: Transport;
  readonly upstreams: Upstreams;
  readonly shelves: Shelves;
}

/** So that the first customer does not wait for what the others do not: connections, and the levels of the stock. */
async function warm({ transport, upstreams, shelves }: Warmable): Promise<void> {
  await Promise.all(roles.map((role) => transport.prewarm(upstreams.url(role), 1)));
  await shelves.refresh();
}

/** The first signal asks to stop; a second one, of an impatient user, ends at once. */
function nextSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => {
        resolve(signal);
        process.once(signal, () => process.exit(1));
      });
    }
  });
}

/** Listens on loopback and gives the port. Without a wish, a taken port means the next one. */
async function listen(server: Server, wish: number | undefined): Promise<number> {
  const ports = wish === undefined ? Array.from({ length: 20 }, (_, index) => usualPort + index) : [wish];
  for (const port of ports) {
    server.listen(port, "127.0.0.1");
    try {
      // One after the other: the next port is only wanted if this one is taken.
      // oxlint-disable-next-line no-await-in-loop
      await once(server, "listening");
      const address = server.address();
      return typeof address === "object" && address !== null ? address.port : port;
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : "";
      if (code === "EACCES") throw new UsageError(`Port ${port} needs more rights. Take one above 1023: --port 8080`);
      if (code !== "EADDRINUSE") throw error;
    }
  }
  const taken = wish === undefined ? `Ports ${usualPort} to ${ports.at(-1)} are` : `Port ${wish} is`;
  throw new UsageError(`${taken} taken by another program. Any free one: npm start -- --port 0`);
}

/** Says for a moment that it is going away, then closes; pages under way are finished. */
async function drain(server: Guarded, log: (line: string) => void): Promise<void> {
  const { cut } = await server.drain();
  if (cut > 0) log(`${cut} connections were cut: their pages took too long.`);
}

/** The server is closed, so nobody waits for an answer any more: what is still under way may be cut. */
async function closeTransport(transport: Transport): Promise<void> {
  const cut = setTimeout(() => void transport.abort(new Error("The shop is closing.")), stopLimitMs);
  await transport.close();
  clearTimeout(cut);
}

interface Place {
  readonly terminal: Terminal;
  readonly data: DataFolder;
}

function welcome(url: string, { traffic, brokenMail }: Arguments, { terminal, data }: Place): void {
  const link = (path: string): string => styleText(["cyan", "underline"], url + path);
  const wave = styleText("cyan", "≈≈≈");
  terminal.say(`
  ${wave} ${styleText("bold", "Millrace is open")} ${wave}  one guarded server, three services, one Transport

    Shop       ${link("/")}
    Pool       ${link("/debug/pool")}
    Server     ${link("/debug/server")}
    Tasks      ${link("/debug/tasks")}
    Streams    ${link("/debug/streams")}
    Services   ${link("/debug/upstreams")}

    Data       ${data.path}${data.isTemporary ? styleText("dim", "  (temporary: removed at the end; --data DIR keeps it)") : ""}
    Mail       ${brokenMail ? styleText("red", "broken, as you asked for") : "written to outbox/ in the data folder"}

    Try        curl ${url}/api/products/stoneware-mug
               curl ${url}/readyz
`);
  const customers =
    traffic === undefined
      ? "Nobody is here yet: npm start -- --traffic plays customers."
      : `Customers come, ${traffic} a second.`;
  terminal.say(`  ${styleText("dim", `${customers} Ctrl-C closes the shop.`)}\n`);
}

async function main(): Promise<void> {
  const terminal = new Terminal();
  try {
    const args = readArguments(process.argv.slice(2));
    if (args.help) terminal.say(describeUsage());
    else await run(args, terminal);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\nnpm start -- --help explains the options.\n`);
    process.exitCode = 2;
  }
}

await main();
