/** What every file of routes is given: the typed application, and the use cases once the pool is open. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from "fastify";
import type { Control } from "../../control/mod.ts";

export type Application = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

export interface Api {
  readonly app: Application;
  /** Only called while a request is answered, which is never before the pool is open. */
  readonly control: () => Control;
}
