/**
 * The login of a connection: security, then operational negotiation, then a session (RFC 7143, 6.2 and 6.3).
 *
 * Always holds: one request is in work at a time; a target that was opened is closed again unless the login handed
 * it to a session; a refused login is answered with its status, and nothing follows.
 */
import { AssertionFailed } from "../../base/assert.ts";
import { asRopewalkError, type RopewalkError } from "../../base/errors.ts";
import type { Random } from "../../ports/mod.ts";
import {
  encodeText,
  ISCSI_VERSION,
  iscsiName,
  type LoginRequestPdu,
  LoginStage,
  LoginStatus,
  loginResponsePdu,
  serialPlus,
  TextCollector,
  type TextPair,
} from "../../wire/iscsi/mod.ts";
import { ChapExchange } from "./chap.ts";
import type { IscsiLimits } from "./limits.ts";
import { OperationalNegotiation, type SessionParameters, type SessionType } from "./operational-keys.ts";
import type { PduWriter } from "./pdu-writer.ts";
import {
  checkAuthentication,
  type IscsiPortal,
  type IscsiTargetTable,
  type OpenedTarget,
} from "./target-table.ts";

/** Whom a login is for, once it is complete. */
export interface LoggedIn {
  readonly type: SessionType;
  readonly initiator: string;
  readonly isid: Uint8Array;
  readonly connectionId: number;
  readonly targetName: string | undefined;
  readonly target: OpenedTarget | undefined;
  readonly parameters: SessionParameters;
  /** CmdSN of the session's first request. */
  readonly commandNumber: number;
  /** StatSN of the connection's next answer. */
  readonly statusNumber: number;
}

export interface LoginWorld {
  readonly targets: IscsiTargetTable;
  readonly random: Random;
  readonly limits: IscsiLimits;
  readonly portal: IscsiPortal;
  readonly writer: PduWriter;
  /** Ends the sessions that a complete login replaces, and gives its own a TSIH; 0: there is no room. */
  readonly admit: (loggedIn: LoggedIn) => Promise<number>;
  /** A login for a session that exists: that session's connection is given up if it is the same. False: no such session. */
  readonly recover: (sessionHandle: number, request: LoginRequestPdu) => boolean;
  readonly complete: (loggedIn: LoggedIn, sessionHandle: number) => void;
  /** No answer follows any more: the connection ends once what is queued was sent. */
  readonly refused: (status: number, sentence: string) => void;
  /** A request was answered: the next may be taken. */
  readonly progressed: () => void;
}

class LoginRefused extends Error {
  readonly status: number;

  constructor(status: number, sentence: string) {
    super(sentence);
    this.status = status;
  }
}

const IDENTITY_KEYS: ReadonlySet<string> = new Set([
  "InitiatorName",
  "InitiatorAlias",
  "SessionType",
  "TargetName",
]);

export class Login {
  readonly #world: LoginWorld;
  readonly #text: TextCollector;
  readonly #negotiation: OperationalNegotiation;
  readonly #seen = new Set<string>();
  #first: LoginRequestPdu | undefined;
  #stage: number = LoginStage.security;
  #requests = 0;
  #statusNumber = 0;
  #type: SessionType = "normal";
  #initiator = "";
  #targetName: string | undefined;
  #target: OpenedTarget | undefined;
  #isIdentified = false;
  #isAuthenticated = false;
  #hasDeclaredSegment = false;
  #chap: ChapExchange | undefined;
  #isOver = false;
  /** A request is in work. */
  isBusy = false;

  constructor(world: LoginWorld) {
    this.#world = world;
    this.#text = new TextCollector({
      bytesMax: world.limits.textBytesMax,
      pairsMax: world.limits.textPairsMax,
    });
    this.#negotiation = new OperationalNegotiation(world.limits);
  }

  /** Takes a login request with its text; `isBusy` until it is answered. Throws PROTOCOL_ERROR. */
  take(request: LoginRequestPdu, text: Uint8Array): void {
    this.#text.add(text);
    this.isBusy = true;
    this.#answer(request)
      .catch((error: unknown) => this.#refuse(request, error))
      .finally(() => {
        this.isBusy = false;
        this.#world.progressed();
      });
  }

  /** The connection is gone, or refused. Resolves when nothing is held any more. */
  async close(): Promise<void> {
    this.#isOver = true;
    const target = this.#target;
    this.#target = undefined;
    await target?.close();
  }

  async #answer(request: LoginRequestPdu): Promise<void> {
    this.#check(request);
    if (request.continues) {
      if (request.transit)
        throw new LoginRefused(LoginStatus.initiatorError, "a request both goes on and ends");
      this.#respond(request, { pairs: [], transit: false, sessionHandle: 0 });
      return;
    }
    const given = this.#text.finish();
    const keys = new Map(given);
    this.#checkKeys(given);
    const answers: TextPair[] = [];
    if (!this.#isIdentified) await this.#identify(keys, answers);
    for (const key of IDENTITY_KEYS) keys.delete(key);
    if (this.#stage === LoginStage.security) this.#secure(keys, answers, request.transit);
    else this.#negotiate(keys, answers);
    const transit = request.transit && (this.#stage !== LoginStage.security || this.#isAuthenticated);
    if (transit && request.nextStage === LoginStage.fullFeature) {
      await this.#complete(request, answers);
      return;
    }
    this.#respond(request, { pairs: answers, transit, sessionHandle: 0 });
    if (transit) this.#stage = request.nextStage;
  }

  /** What all requests of a login have in common (11.12). */
  #check(request: LoginRequestPdu): void {
    const first = this.#first;
    if (++this.#requests > this.#world.limits.loginRequestsMax)
      throw new LoginRefused(LoginStatus.initiatorError, "the login has too many requests");
    if (first === undefined) {
      this.#first = request;
      this.#statusNumber = request.expectedStatusNumber;
      this.#stage = request.currentStage;
      if (request.versionMin > ISCSI_VERSION)
        throw new LoginRefused(LoginStatus.unsupportedVersion, "the initiator wants a newer version");
      this.#checkSession(request);
    } else if (
      request.initiatorTaskTag !== first.initiatorTaskTag ||
      request.connectionId !== first.connectionId ||
      request.sessionHandle !== first.sessionHandle ||
      Buffer.compare(request.isid, first.isid) !== 0
    ) {
      throw new LoginRefused(LoginStatus.initiatorError, "a login request belongs to another login");
    }
    const { currentStage, nextStage, transit } = request;
    const isStage = currentStage === LoginStage.security || currentStage === LoginStage.operational;
    if (!isStage || currentStage !== this.#stage)
      throw new LoginRefused(LoginStatus.initiatorError, "a login request is of another stage");
    if (transit && (nextStage <= currentStage || nextStage === 2))
      throw new LoginRefused(LoginStatus.initiatorError, "a login cannot go on to that stage");
  }

  #checkSession(request: LoginRequestPdu): void {
    if (request.sessionHandle === 0) return;
    if (this.#world.recover(request.sessionHandle, request))
      throw new LoginRefused(LoginStatus.tooManyConnections, "sessions have one connection");
    throw new LoginRefused(LoginStatus.sessionDoesNotExist, "there is no such session");
  }

  #checkKeys(given: readonly TextPair[]): void {
    for (const [key] of given) {
      if (this.#seen.has(key)) throw new LoginRefused(LoginStatus.initiatorError, `${key} is given twice`);
      this.#seen.add(key);
    }
  }

  async #identify(keys: ReadonlyMap<string, string>, answers: TextPair[]): Promise<void> {
    const type = keys.get("SessionType") ?? "Normal";
    if (type !== "Normal" && type !== "Discovery")
      throw new LoginRefused(LoginStatus.sessionTypeNotSupported, "the session is of an unknown type");
    this.#type = type === "Normal" ? "normal" : "discovery";
    const given = keys.get("InitiatorName");
    if (given === undefined) throw new LoginRefused(LoginStatus.missingParameter, "InitiatorName is missing");
    const initiator = iscsiName(given);
    if (initiator === undefined)
      throw new LoginRefused(LoginStatus.initiatorError, "InitiatorName is no iSCSI name");
    this.#initiator = initiator;
    if (this.#type === "normal") await this.#open(keys.get("TargetName"), answers);
    else this.#isAuthenticated = true;
    this.#isIdentified = true;
    const mayBegin = this.#stage === LoginStage.security || this.#isAuthenticated;
    if (!mayBegin)
      throw new LoginRefused(LoginStatus.authenticationFailure, "the initiator must prove itself");
  }

  async #open(given: string | undefined, answers: TextPair[]): Promise<void> {
    if (given === undefined) throw new LoginRefused(LoginStatus.missingParameter, "TargetName is missing");
    const name = iscsiName(given);
    if (name === undefined) throw new LoginRefused(LoginStatus.notFound, "TargetName is no iSCSI name");
    const target = await this.#world.targets.open(name, this.#initiator);
    if (this.#isOver) {
      await target.close();
      throw new LoginRefused(LoginStatus.targetError, "the connection is gone");
    }
    this.#target = target;
    this.#targetName = name;
    checkAuthentication(target.auth);
    this.#isAuthenticated = target.auth === "none";
    answers.push(["TargetPortalGroupTag", String(this.#world.portal.portalGroupTag)]);
    const alias = this.#world.targets.list().find((entry) => entry.name === name)?.alias;
    if (alias !== undefined) answers.push(["TargetAlias", alias]);
  }

  #secure(keys: ReadonlyMap<string, string>, answers: TextPair[], transit: boolean): void {
    const methods = keys.get("AuthMethod");
    const chapKeys = new Map<string, string>();
    for (const [key, value] of keys) {
      if (key.startsWith("CHAP_")) chapKeys.set(key, value);
      else if (key !== "AuthMethod") answers.push([key, this.#lateKey(key, value)]);
    }
    if (methods !== undefined) this.#choose(methods.split(","), answers);
    if (chapKeys.size === 0) {
      if (transit && !this.#isAuthenticated && this.#chap === undefined)
        throw new LoginRefused(LoginStatus.authenticationFailure, "the initiator must prove itself");
      return;
    }
    const answer = methods === undefined && !this.#isAuthenticated ? this.#chap?.take(chapKeys) : undefined;
    if (answer === undefined || answer.kind === "failed")
      throw new LoginRefused(LoginStatus.authenticationFailure, "CHAP failed");
    answers.push(...answer.pairs);
    if (answer.kind === "done") this.#isAuthenticated = true;
  }

  /** Keys that have no business in the security stage. */
  #lateKey(key: string, value: string): string {
    const answer = new OperationalNegotiation(this.#world.limits).take(key, value, this.#type);
    return answer === "NotUnderstood" ? answer : "Reject";
  }

  #choose(methods: readonly string[], answers: TextPair[]): void {
    const auth = this.#target?.auth ?? "none";
    const wanted = auth === "none" ? "None" : "CHAP";
    if (!methods.includes(wanted))
      throw new LoginRefused(LoginStatus.authenticationFailure, `the target takes AuthMethod ${wanted} only`);
    if (auth !== "none") this.#chap = new ChapExchange(auth, this.#world.random);
    answers.push(["AuthMethod", wanted]);
  }

  #negotiate(keys: ReadonlyMap<string, string>, answers: TextPair[]): void {
    for (const [key, value] of keys) {
      if (key === "AuthMethod" || key.startsWith("CHAP_"))
        throw new LoginRefused(LoginStatus.initiatorError, `${key} belongs to the security stage`);
      const answer = this.#negotiation.take(key, value, this.#type);
      if (answer !== undefined) answers.push([key, answer]);
    }
    if (this.#hasDeclaredSegment) return;
    this.#hasDeclaredSegment = true;
    answers.push(["MaxRecvDataSegmentLength", String(this.#world.limits.dataSegmentBytesMax)]);
  }

  async #complete(request: LoginRequestPdu, answers: readonly TextPair[]): Promise<void> {
    const parameters = this.#negotiation.settle();
    if (parameters === undefined)
      throw new LoginRefused(LoginStatus.initiatorError, "FirstBurstLength is above MaxBurstLength");
    const loggedIn: LoggedIn = {
      type: this.#type,
      initiator: this.#initiator,
      isid: request.isid,
      connectionId: request.connectionId,
      targetName: this.#targetName,
      target: this.#target,
      parameters,
      commandNumber: this.#first!.commandNumber,
      statusNumber: serialPlus(this.#statusNumber, 1),
    };
    const sessionHandle = await this.#world.admit(loggedIn);
    if (sessionHandle === 0)
      throw new LoginRefused(LoginStatus.outOfResources, "there are too many sessions");
    if (this.#isOver) return;
    this.#respond(request, { pairs: answers, transit: true, sessionHandle });
    this.#target = undefined;
    this.#world.complete(loggedIn, sessionHandle);
  }

  #respond(
    request: LoginRequestPdu,
    answer: {
      readonly pairs: readonly TextPair[];
      readonly transit: boolean;
      readonly sessionHandle: number;
    },
  ): void {
    if (this.#isOver) return;
    const { currentStage, nextStage, isid, initiatorTaskTag, commandNumber } = request;
    const { pairs, transit, sessionHandle } = answer;
    this.#world.writer.add(
      loginResponsePdu,
      {
        transit,
        currentStage,
        nextStage: transit ? nextStage : 0,
        isid,
        sessionHandle,
        initiatorTaskTag,
        statusNumber: this.#statusNumber,
        expectedCommandNumber: commandNumber,
        commandNumberMax: serialPlus(commandNumber, this.#world.limits.commandsMax - 1),
        status: LoginStatus.success,
      },
      encodeText(pairs),
    );
    this.#statusNumber = serialPlus(this.#statusNumber, 1);
  }

  #refuse(request: LoginRequestPdu, cause: unknown): void {
    if (cause instanceof AssertionFailed) throw cause;
    if (this.#isOver) return;
    this.#isOver = true;
    const status = cause instanceof LoginRefused ? cause.status : statusOf(asRopewalkError(cause));
    const { currentStage, isid, initiatorTaskTag, sessionHandle, commandNumber } = request;
    this.#world.writer.add(loginResponsePdu, {
      currentStage,
      isid,
      sessionHandle,
      initiatorTaskTag,
      statusNumber: this.#statusNumber,
      expectedCommandNumber: commandNumber,
      commandNumberMax: commandNumber,
      status,
    });
    this.#world.refused(status, cause instanceof Error ? cause.message : String(cause));
  }
}

function statusOf(error: RopewalkError): number {
  switch (error.code) {
    case "NOT_FOUND":
    case "VOLUME_NOT_FOUND":
    case "SNAPSHOT_NOT_FOUND":
    case "INVALID_NAME":
      return LoginStatus.notFound;
    case "UNAUTHORIZED":
      return LoginStatus.authorizationFailure;
    case "TOO_MANY":
      return LoginStatus.outOfResources;
    case "PROTOCOL_ERROR":
      return LoginStatus.initiatorError;
    case "INTERNAL":
    case "INVALID_CONFIG":
      return LoginStatus.targetError;
    default:
      return LoginStatus.serviceUnavailable;
  }
}
