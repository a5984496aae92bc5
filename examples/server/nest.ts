/** NestJS 11: the server that it has made is guarded before `listen`, and `app.close()` is a drain. */

// oxlint-disable-next-line import/no-unassigned-import -- NestJS needs it
import "reflect-metadata";
import { Controller, Get, Module, Param } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import type { NestExpressApplication } from "@nestjs/platform-express";
import type { Request } from "express";
import { guard } from "sluice/server";

class ItemsController {
  find(id: string): { id: string } {
    return { id };
  }
}
// What @Controller("items"), @Get(":id") and @Param("id") do: Node strips types, and has no decorators yet.
Controller("items")(ItemsController);
Param("id")(ItemsController.prototype, "find", 0);
Get(":id")(ItemsController.prototype, "find", { value: Reflect.get(ItemsController.prototype, "find") });

// oxlint-disable-next-line typescript/no-extraneous-class -- a module has nothing else
class AppModule {}
Module({ controllers: [ItemsController] })(AppModule);

const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger: false });
const guarded = guard(app.getHttpServer(), {
  handlerTimeout: "5s",
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Express has seen it
  route: (req) => (req as Request).route?.path,
});
await app.listen(0, "127.0.0.1");

console.log(await (await fetch(`${await app.getUrl()}/items/7`)).json());
await app.close();
console.log(guarded.stats().state, "after", guarded.stats().requests, "request");
