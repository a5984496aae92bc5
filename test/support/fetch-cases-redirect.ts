/** Rows about redirects: modes, rewriting, what may follow to another origin, and where it must end. */

import type { Bench, FetchCase } from "./fetch-case.ts";
import { hello, keptAfterHead, look } from "./fetch-case.ts";
import type { Answer } from "./wire-server.ts";
import { reply } from "./wire-server.ts";

const secrets = { authorization: "a", cookie: "c=1", "proxy-authorization": "p", "x-kept": "1" };
const everyStatus = [301, 302, 303, 307, 308];

/** Sends "/" on with `status`; anything else is answered with hello. */
function sends(status: number, location: string): Answer {
  return ({ path }, socket) => void socket.write(path === "/" ? reply(`${status} X`, { location }, "moved") : hello);
}

function moves(name: string, status: number, location: string, init: RequestInit = {}): FetchCase {
  return { name, answer: sends(status, location), init: () => init };
}

function sent(text: string, name: string): string {
  return new RegExp(`\r\n${name}: (.*)\r\n`).exec(text)?.[1] ?? "";
}

/** A redirect to the other origin, whose port is known only when the case runs. */
function leaves(name: string, target: (bench: Bench) => string, init: RequestInit): FetchCase {
  let location = "";
  return {
    name,
    answer: ({ path }, socket) => void socket.write(path === "/" ? reply("307 X", { location }) : hello),
    run: (bench) => {
      location = target(bench);
      return look(bench.fetch(bench.at("/"), init));
    },
  };
}

export const redirectCases: readonly FetchCase[] = [
  ...everyStatus.flatMap((status) => [
    moves(`${status} of a GET`, status, "/next?a=b"),
    moves(`${status} of a POST with a body`, status, "/next", {
      method: "POST",
      body: "body",
      headers: { "content-language": "de", "x-kept": "1" },
    }),
  ]),
  moves("301 of a PUT stays a PUT", 301, "/next", { method: "PUT", body: "body" }),
  moves("303 of a PUT becomes a GET", 303, "/next", { method: "PUT", body: "body" }),
  { ...moves("303 of a HEAD stays a HEAD", 303, "/next", { method: "HEAD" }), oursDiffers: keptAfterHead },
  moves("redirect mode manual gives the answer itself", 302, "/next", { redirect: "manual" }),
  moves("redirect mode error", 302, "/next", { redirect: "error" }),
  { name: "redirect mode error without a location", answer: reply("302 X", {}), init: () => ({ redirect: "error" }) },
  { name: "a redirect without a location is the answer", answer: reply("302 X", {}, "body") },
  moves("300 is no redirect", 300, "/next"),
  moves("304 is no redirect", 304, "/next", { redirect: "error" }),
  moves("an empty location", 302, ""),
  { ...moves("the fragment is inherited", 302, "/next"), path: "/#old" },
  { ...moves("the fragment is replaced", 302, "/next#new"), path: "/#old" },
  moves("a relative location", 302, "next/../here?x"),
  moves("a location in raw UTF-8", 302, "/gr\u00c3\u00bcn"),
  moves("a location that is no URL", 302, "http://a b/"),
  moves("a location of another scheme", 302, "data:,x"),
  moves("a location with a blocked port", 302, "http://127.0.0.1:25/"),
  moves("a loop ends after 20", 302, "/"),
  leaves("another origin gets no secrets", (bench) => bench.other("/next"), { headers: secrets }),
  leaves("another origin gets the body", (bench) => bench.other("/next"), { method: "POST", body: "body" }),
  leaves(
    "another host of the same port is another origin",
    (bench) => bench.at("/n").replace("127.0.0.1", "localhost"),
    {
      headers: secrets,
    },
  ),
  leaves("the same origin keeps the secrets", (bench) => bench.at("/next"), { headers: secrets }),
  leaves("a location with a password", (bench) => bench.at("/next").replace("//", "//u:p@"), {}),
  {
    name: "there and back again is still cors",
    // The request itself says where the servers send it on to.
    answer: ({ path, text }, socket) =>
      void socket.write(path === "/" ? reply("307 X", { location: sent(text, "x-there") }) : hello),
    otherAnswer: ({ text }, socket) => void socket.write(reply("307 X", { location: sent(text, "x-back") })),
    run: (bench) =>
      look(bench.fetch(bench.at("/"), { headers: { "x-there": bench.other("/"), "x-back": bench.at("/end") } })),
  },
  {
    name: "307 of a stream is refused",
    answer: sends(307, "/next"),
    init: () => ({ method: "POST", body: ReadableStream.from([Buffer.from("x")]), duplex: "half" }),
  },
  {
    name: "303 of a stream becomes a GET",
    answer: sends(303, "/next"),
    init: () => ({ method: "POST", body: ReadableStream.from([Buffer.from("x")]), duplex: "half" }),
  },
  {
    name: "302 of a posted stream is refused",
    answer: sends(302, "/next"),
    init: () => ({ method: "POST", body: ReadableStream.from([Buffer.from("x")]), duplex: "half" }),
  },
  {
    name: "307 of a Blob sends it again",
    answer: sends(307, "/next"),
    init: () => ({ method: "POST", body: new Blob(["blob"], { type: "a/b" }) }),
  },
  {
    name: "307 of form data sends it again",
    answer: sends(307, "/next"),
    init: ({ classes }) => {
      const body = new classes.FormData();
      body.append("a", "1");
      return { method: "POST", body };
    },
  },
];
