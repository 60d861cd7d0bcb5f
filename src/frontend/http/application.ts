/**
 * The HTTP application: limits, key, checks, errors and all routes.
 *
 * Always holds: every route except those marked `needsNoKey` wants the admin key, also those that do not exist;
 * every answer that is no success is {code, message}; no request is answered before the pool is open.
 */
import swagger from "@fastify/swagger";
import { Type } from "@sinclair/typebox";
import fastify, { type FastifyReply, type FastifyRequest, type RouteOptions } from "fastify";
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";
import type { Control } from "../../control/mod.ts";
import type { Application } from "./api.ts";
import type { BearerKey } from "./bearer-key.ts";
import { addCopyRoutes } from "./copy-routes.ts";
import type { ConnectionCounts } from "./daemon-metrics.ts";
import { answerToParserError, asAnswer } from "./error-reply.ts";
import { addFilesyncRoutes } from "./filesync-routes.ts";
import { addFilesyncTargetRoutes } from "./filesync-target-routes.ts";
import type { IscsiCounts } from "./iscsi-metrics.ts";
import { addOpenRoutes } from "./open-routes.ts";
import { addPoolRoutes } from "./pool-routes.ts";
import { compileValidator } from "./request-validation.ts";
import { addSnapshotRoutes } from "./snapshot-routes.ts";
import { addTokenRoutes } from "./token-routes.ts";
import { addVolumeRoutes } from "./volume-routes.ts";
import { errorJson } from "./work-json.ts";
import { addWorkRoutes } from "./work-routes.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Served to anybody. */
    needsNoKey?: boolean;
  }
}

/** Where events go; the first argument is for machines, the second for people. */
export interface HttpLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface HttpLimits {
  readonly connectionsMax: number;
  readonly bodyBytesMax: number;
  readonly headerBytesMax: number;
  /** A request must have arrived whole within this time. */
  readonly requestTimeoutMs: number;
  /** A connection on which nothing moves for this time is closed, whoever is to blame. */
  readonly stallTimeoutMs: number;
}

export const HTTP_LIMITS_DEFAULT: HttpLimits = {
  connectionsMax: 256,
  bodyBytesMax: 64 * 1024,
  headerBytesMax: 16 * 1024,
  requestTimeoutMs: 30_000,
  stallTimeoutMs: 120_000,
};

export interface ApplicationOptions {
  /** Resolves when the pool is open; until then requests wait. A rejection refuses them. */
  readonly control: Promise<Control>;
  readonly key: BearerKey | Promise<BearerKey>;
  readonly version: string;
  readonly log: HttpLog;
  readonly connections: ConnectionCounts;
  /** What the iSCSI front end counted; undefined while it is off. */
  readonly iscsi?: () => IscsiCounts | undefined;
  /** Resolves in a later turn of the loop. */
  readonly nextTurn: () => Promise<void>;
  readonly limits: HttpLimits;
  readonly tls?: { readonly certificate: string; readonly key: string } | undefined;
}

/** Unanswered connections are looked through this often for ones past their time. */
const TIMEOUT_CHECK_MS = 1_000;
/** Longer parts of a path are looked at only to refuse them by their rule. */
const PATH_PART_CHARACTERS_MAX = 4_096;

const NoQuery = Type.Object({}, { additionalProperties: false });
const NoBody = Type.Object({}, { additionalProperties: false });

export function makeApplication(options: ApplicationOptions): Application {
  const { limits, log, tls } = options;
  const server = { maxHeaderSize: limits.headerBytesMax, connectionsCheckingInterval: TIMEOUT_CHECK_MS };
  const app = fastify({
    logger: false,
    ...(tls ? { https: { ...server, cert: tls.certificate, key: tls.key } } : { http: server }),
    bodyLimit: limits.bodyBytesMax,
    requestTimeout: limits.requestTimeoutMs,
    connectionTimeout: limits.stallTimeoutMs,
    keepAliveTimeout: Math.min(10_000, limits.stallTimeoutMs),
    forceCloseConnections: "idle",
    return503OnClosing: false,
    exposeHeadRoutes: false,
    // As a factory, since a scope that adds schemas would else go back to the library's own compiler.
    schemaController: { compilersFactory: { buildValidator: () => compileValidator as never } },
    routerOptions: { maxParamLength: PATH_PART_CHARACTERS_MAX },
    clientErrorHandler(error, socket) {
      if (socket.writable && error.code !== "ECONNRESET") socket.end(answerToParserError(error.code));
      else socket.destroy();
    },
    frameworkErrors(error, _request, reply) {
      const answer = asAnswer(error);
      void (reply as FastifyReply).code(answer.entry.http).send(errorJson(answer));
    },
  }) as unknown as Application;
  app.server.maxConnections = limits.connectionsMax;
  app.server.headersTimeout = limits.requestTimeoutMs;

  app.addHook("onRoute", refuseUnknownParts);
  addGate(app, options);
  addErrorAnswers(app, log);
  addRoutes(app, options);
  return app;
}

/** A route that takes no query or body refuses one, as it would refuse a field that it does not know. */
function refuseUnknownParts(route: RouteOptions): void {
  route.schema ??= {};
  route.schema.querystring ??= NoQuery;
  if (route.method === "POST") route.schema.body ??= NoBody;
}

/** What a request must pass before its body is read. */
function addGate(app: Application, { control, key }: ApplicationOptions): void {
  let isClosing = false;
  app.addHook("preClose", () => {
    isClosing = true;
    return Promise.resolve();
  });
  app.addHook("onRequest", async (request) => {
    await control;
    if (request.routeOptions.config.needsNoKey !== true) (await key).check(request.headers.authorization);
    if (isClosing) throw new RopewalkError("SHUTTING_DOWN", "The daemon is stopping.");
  });
}

function addErrorAnswers(app: Application, log: HttpLog): void {
  app.setErrorHandler((error, request, reply) => {
    const answer = asAnswer(error);
    if (answer.code === "INTERNAL")
      log.error({ err: answer.cause, method: request.method, path: pathOf(request) }, "request met a defect");
    if (answer.code === "UNAUTHORIZED") reply.header("www-authenticate", 'Bearer realm="ropewalk"');
    return reply.code(answer.entry.http).send(errorJson(answer));
  });
  app.setNotFoundHandler((request) => {
    throw new RopewalkError("NOT_FOUND", `There is no ${request.method} ${quoted(pathOf(request))}.`);
  });
  app.addHook("onResponse", (request, reply, done) => {
    const { method } = request;
    const elapsedMs = Math.round(reply.elapsedTime * 1000) / 1000;
    log.debug({ method, path: pathOf(request), status: reply.statusCode, elapsedMs }, "request");
    done();
  });
}

function addRoutes(app: Application, options: ApplicationOptions): void {
  let opened: Control | undefined;
  // A pool that does not open ends the daemon, which says why; here it only means that nothing is answered.
  options.control.then(
    (control) => (opened = control),
    () => {},
  );
  const api = { app, control: () => opened! };
  void app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Ropewalk",
        version: options.version,
        description:
          "Volumes, snapshots, clones and token copies of a storage pool, and replication of directory trees. Errors are {code, message}.",
      },
      components: { securitySchemes: { adminKey: { type: "http", scheme: "bearer" } } },
      security: [{ adminKey: [] }],
    },
    refResolver: { buildLocalReference: (json) => String(json["$id"]) },
  });
  void app.register((scope, _options, done) => {
    const inside = { ...api, app: scope as unknown as Application };
    addWorkRoutes(inside);
    addVolumeRoutes(inside);
    addSnapshotRoutes(inside);
    addTokenRoutes(inside, options);
    addCopyRoutes(inside);
    addFilesyncRoutes(inside);
    addFilesyncTargetRoutes(inside);
    addPoolRoutes(inside);
    addOpenRoutes(inside, options);
    scope.get("/api/openapi.json", { schema: { hide: true } }, () => app.swagger());
    done();
  });
}

function pathOf(request: FastifyRequest): string {
  return request.url.split("?", 1)[0]!;
}
