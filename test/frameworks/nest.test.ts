/** NestJS 11 with Express on a guarded server. Node strips types and knows no decorators: they are applied as functions. */

// oxlint-disable-next-line import/no-unassigned-import -- it changes Reflect
import "reflect-metadata";
import {
  Body,
  Controller,
  Get,
  HttpCode,
  Module,
  Param,
  Post,
  Req,
  Res,
  StreamableFile,
  type Type,
} from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter, type NestExpressApplication } from "@nestjs/platform-express";
import type { Request, Response } from "express";
import type { Server } from "node:http";
import { guard } from "sluice/server";
import { serverCertificate } from "../support/certificates.ts";
import { testFramework, type App, type MadeServer, type Setup, type Work } from "../support/framework-contract.ts";

function defineController(work: Work): Type {
  class Routes {
    item(id: string): string {
      return `item ${id}`;
    }
    async work(req: Request, res: Response): Promise<string> {
      return work.answer({ req, res });
    }
    source(req: Request, res: Response): StreamableFile {
      return new StreamableFile(work.source({ req, res }));
    }
    async upload(req: Request): Promise<string> {
      return work.takeIn(req);
    }
    async json(body: { name: unknown }): Promise<string> {
      return work.name(body.name);
    }
  }
  Controller()(Routes);
  decorate(Routes, "item", Get("items/:id"), [Param("id")]);
  decorate(Routes, "work", Get("work"), [Req(), Res({ passthrough: true })]);
  decorate(Routes, "source", Get("source"), [Req(), Res({ passthrough: true })]);
  decorate(Routes, "upload", Post("upload"), [Req()]);
  decorate(Routes, "json", Post("json"), [Body()]);
  decorate(Routes, "json", HttpCode(200), []);
  return Routes;
}

/** What `@method name(@parameter ...)` does. */
function decorate(owner: Type, name: string, method: MethodDecorator, parameters: readonly ParameterDecorator[]): void {
  const property = Object.getOwnPropertyDescriptor(owner.prototype, name);
  if (property === undefined) throw new TypeError(`there is no ${name}`);
  for (const [index, parameter] of parameters.entries()) parameter(owner.prototype, name, index);
  method(owner.prototype, name, property);
}

/** An adapter whose server is one of ours. */
class GuardedAdapter extends ExpressAdapter {
  readonly #make: Setup["make"];
  made: MadeServer | undefined;

  constructor(make: Setup["make"]) {
    super();
    this.#make = make;
  }

  override initHttpServer(): void {
    this.made = this.#make(this.getInstance());
    // Not of HTTP/2, which Express does not speak.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    this.setHttpServer(this.made.server as Server);
  }
}

async function build(setup: Setup): Promise<App> {
  // oxlint-disable-next-line typescript/no-extraneous-class -- what NestJS calls a module
  class Root {}
  Module({ controllers: [defineController(setup.work)] })(Root);
  const adapter = setup.guardsOwn ? new ExpressAdapter() : new GuardedAdapter(setup.make);
  const app = await NestFactory.create<NestExpressApplication>(Root, adapter, {
    logger: false,
    ...(setup.protocol === "https" && { httpsOptions: serverCertificate }),
  });
  const server = app.getHttpServer();
  const made = adapter instanceof GuardedAdapter ? adapter.made : undefined;
  return {
    server,
    guarded: made?.guarded ?? guard(server, setup.limits),
    listen: () => app.listen(0, "127.0.0.1"),
    close: () => app.close(),
  };
}

testFramework({
  name: "NestJS",
  failure: /"Internal server error"/,
  route: (req) => Reflect.get(req, "route")?.path,
  build,
});
