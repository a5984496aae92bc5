/**
 * The clients that are measured, by id. Each is set up as its users would for `inFlight` connections and is imported
 * only in the process that measures it. Built-in fetch has no setting of its own, so it runs as it comes.
 */

import { Agent as HttpAgent, get as httpGet } from "node:http";
import type { Transport } from "sluice/client";
import { RawConnections } from "../raw-socket.ts";
import type { HeadWork } from "../raw-socket.ts";
import { inFlight } from "../work.ts";
import type { Lap } from "../work.ts";
import { dispatchLap } from "./dispatch.ts";
import { lapOf } from "./peer.ts";
import type { Level, Peer } from "./peer.ts";

async function openTransport(): Promise<Transport> {
  const client = await import("sluice/client");
  return new client.Transport({ maxConnsPerHost: inFlight });
}

function rawLap(origin: string, work: HeadWork): Lap {
  const connections = new RawConnections(Number(new URL(origin).port), work, inFlight);
  return (count) => connections.lap(count);
}

function textOf(url: string, agent: HttpAgent): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = httpGet(url, { agent }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve(text));
      response.on("error", reject);
    });
    request.on("error", reject);
  });
}

const keepAlive = { keepAlive: true, maxSockets: inFlight } as const;

/** The peers that are measured in a Node process. */
export type NodePeerId =
  | "raw"
  | "raw-heads"
  | `sluice-${Level}`
  | `undici-${Level}`
  | "http-agent"
  | "got"
  | "axios"
  | "built-in-fetch";

/** Go is measured by a program of its own, `go/main.go`, which speaks the same lines. */
export type PeerId = NodePeerId | "go";

export const peers: Readonly<Record<NodePeerId, Peer>> = {
  raw: { label: "raw net.Socket (floor)", level: "dispatch", open: async (origin) => rawLap(origin, "bare") },
  "raw-heads": {
    label: "raw net.Socket, heads read",
    level: "dispatch",
    open: async (origin) => rawLap(origin, "read"),
  },
  "sluice-dispatch": {
    label: "sluice transport.dispatch",
    level: "dispatch",
    open: async (origin) => dispatchLap(await openTransport(), origin),
  },
  "undici-dispatch": {
    label: "undici Pool.dispatch",
    level: "dispatch",
    open: async (origin) => {
      const { Pool } = await import("undici");
      return dispatchLap(new Pool(origin, { connections: inFlight }), origin);
    },
  },
  "sluice-request": {
    label: "sluice transport.request",
    level: "request",
    open: async (origin) => {
      const transport = await openTransport();
      return lapOf(async () => (await transport.request(origin)).body.text());
    },
  },
  "undici-request": {
    label: "undici Agent.request",
    level: "request",
    open: async (origin) => {
      const { Agent } = await import("undici");
      const agent = new Agent({ connections: inFlight });
      const options = { origin, path: "/", method: "GET" } as const;
      return lapOf(async () => (await agent.request(options)).body.text());
    },
  },
  "http-agent": {
    label: "node:http.Agent",
    level: "request",
    open: async (origin) => {
      const agent = new HttpAgent(keepAlive);
      return lapOf(() => textOf(origin, agent));
    },
  },
  got: {
    label: "got",
    level: "request",
    open: async (origin) => {
      const { default: got } = await import("got");
      const agent = { http: new HttpAgent(keepAlive) };
      return lapOf(() => got.get(origin, { agent }).text());
    },
  },
  axios: {
    label: "axios",
    level: "request",
    open: async (origin) => {
      const { default: axios } = await import("axios");
      const options = { httpAgent: new HttpAgent(keepAlive), responseType: "text" } as const;
      return lapOf(async () => (await axios.get<string>(origin, options)).data);
    },
  },
  "sluice-fetch": {
    label: "sluice transport.fetch",
    level: "fetch",
    open: async (origin) => {
      const transport = await openTransport();
      return lapOf(async () => (await transport.fetch(origin)).text());
    },
  },
  "undici-fetch": {
    label: "undici.fetch",
    level: "fetch",
    open: async (origin) => {
      const { Agent, fetch } = await import("undici");
      const options = { dispatcher: new Agent({ connections: inFlight }) };
      return lapOf(async () => (await fetch(origin, options)).text());
    },
  },
  "built-in-fetch": {
    label: "built-in fetch",
    level: "fetch",
    open: async (origin) => lapOf(async () => (await fetch(origin)).text()),
  },
};

/** The label of a peer, Go's included. */
export function labelOf(id: PeerId): string {
  return isMeasuredInNode(id) ? peers[id].label : "Go net/http (one processor)";
}

export function isMeasuredInNode(id: string): id is NodePeerId {
  return Object.hasOwn(peers, id);
}
