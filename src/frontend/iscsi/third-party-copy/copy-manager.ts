/**
 * The copy manager of a daemon: third-party copy for all its logical units (T29).
 *
 * Always holds: whatever the bytes are, a command ends with a reply or a CheckCondition; a copy whose command was not
 * answered at once stops when its task is aborted; parameters are checked before anything is copied or answered.
 * Errors: CheckConditions.
 */

import type { Clock } from "../../../ports/mod.ts";
import type { SupportedCommand } from "../../../wire/iscsi/scsi/mod.ts";
import { CheckCondition, invalidCdbField } from "../../../wire/iscsi/scsi/mod.ts";
import {
  COPY_COMMANDS,
  type CopyCommand,
  type CopyFeatures,
  CopyIn,
  CopyOut,
  type ExtendedCopyParameters,
  encodeCopyStatusLid1,
  encodeCopyStatusLid4,
  encodeFailedSegmentDetails,
  encodeOperatingParameters,
  encodeRodManagementTokens,
  encodeRodTokenInformation,
  encodeVpdPage8F,
  OperationStatus,
  parseCopyCommand,
  parseExtendedCopyLid1,
  parseExtendedCopyLid4,
  parsePopulateToken,
  parseWriteUsingToken,
  type RangeLimits,
  THIRD_PARTY_COPY_IN,
  THIRD_PARTY_COPY_OUT,
} from "../../../wire/iscsi/third-party-copy/mod.ts";
import { type ScsiCommand, type ScsiNexus, type ScsiReply, ScsiStatus } from "../scsi-target.ts";
import type { CopyUnit, ThirdPartyCopy } from "../unit/third-party-copy.ts";
import { COPY_LIMITS, type CopyLimits, PARAMETER_LIST_BYTES_MAX, STATUS_DELAY_MS } from "./copy-limits.ts";
import { CopyOperation } from "./copy-operation.ts";
import { CopyOperations } from "./copy-operations.ts";
import { type CopyStep, copySense } from "./copy-sense.ts";
import { type CopyTokens, isOwnToken, tokenCreator } from "./copy-tokens.ts";
import { extendedCopy, type FindUnit } from "./extended-copy.ts";
import { checkPopulateToken, populateToken, rodTypeOf } from "./populate-token.ts";
import { writeUsingToken } from "./write-using-token.ts";

export interface CopyManagerOptions {
  readonly clock: Clock;
  readonly tokens: CopyTokens;
  readonly findUnit: FindUnit;
  readonly limits?: Partial<CopyLimits>;
}

const GOOD: ScsiReply = { status: ScsiStatus.good };
/** As many copies run as may; the initiator tries again when one of its own has ended. */
const FULL: ScsiReply = { status: ScsiStatus.taskSetFull };
const SERVICE_ACTION_AT = { byte: 1, bit: 4 };

export class CopyManager implements ThirdPartyCopy {
  readonly supportedCommands: readonly SupportedCommand[] = COPY_COMMANDS;
  readonly #clock: Clock;
  readonly #tokens: CopyTokens;
  readonly #findUnit: FindUnit;
  readonly #limits: CopyLimits;
  readonly #features: CopyFeatures;
  readonly #operations: CopyOperations;

  constructor(options: CopyManagerOptions) {
    this.#clock = options.clock;
    this.#tokens = options.tokens;
    this.#findUnit = options.findUnit;
    this.#limits = { ...COPY_LIMITS, ...options.limits };
    this.#features = { ...this.#limits, commands: actionsByOpcode() };
    this.#operations = new CopyOperations(this.#clock, this.#limits);
  }

  dataOutBytes(cdb: Uint8Array): number {
    const { opcode, serviceAction, lengthBytes } = parseCopyCommand(cdb);
    const takesList = opcode === THIRD_PARTY_COPY_OUT && LIST_ACTIONS.has(serviceAction);
    return takesList ? Math.min(lengthBytes, PARAMETER_LIST_BYTES_MAX) : 0;
  }

  vpdPage8F(): Uint8Array {
    return encodeVpdPage8F(this.#features);
  }

  /** The session ended: its copies stop, its results are gone, its tokens end as the service is set. */
  closed(nexus: ScsiNexus): void {
    this.#operations.forget(nexus);
    this.#tokens.endCreator(tokenCreator(nexus));
  }

  /** A reset: copies of the unit, or all, stop. */
  reset(unit: CopyUnit | "all"): Promise<void> {
    return this.#operations.stop(unit);
  }

  execute(command: ScsiCommand, unit: CopyUnit): ScsiReply | Promise<ScsiReply> {
    const parsed = parseCopyCommand(command.cdb);
    if (parsed.opcode === THIRD_PARTY_COPY_OUT) return this.#executeOut(parsed, command, unit);
    if (parsed.opcode === THIRD_PARTY_COPY_IN) return answer(this.#executeIn(parsed, command), parsed);
    throw invalidCdbField(0);
  }

  #executeOut(parsed: CopyCommand, command: ScsiCommand, unit: CopyUnit): ScsiReply | Promise<ScsiReply> {
    if (parsed.serviceAction === CopyOut.copyOperationAbort) return this.#abort(parsed, command);
    if (!LIST_ACTIONS.has(parsed.serviceAction))
      throw invalidCdbField(SERVICE_ACTION_AT.byte, SERVICE_ACTION_AT.bit);
    if (parsed.lengthBytes === 0) return GOOD;
    if (this.#operations.isFull) return FULL;
    const list = command.dataOut.subarray(0, Math.min(parsed.lengthBytes, PARAMETER_LIST_BYTES_MAX));
    const operation = new CopyOperation(parsed.serviceAction, unit);
    switch (parsed.serviceAction) {
      case CopyOut.populateToken:
        return this.#populateToken(operation, parsed, command, list);
      case CopyOut.writeUsingToken:
        return this.#writeUsingToken(operation, parsed, command, list);
      case CopyOut.extendedCopyLid1:
        return this.#extendedCopy(operation, command, parseExtendedCopyLid1(list, this.#limits));
      default:
        return this.#extendedCopy(operation, command, parseExtendedCopyLid4(list, this.#limits));
    }
  }

  #rangeLimits(unit: CopyUnit): RangeLimits {
    const { rangesMax, tokenBlocksMax } = this.#limits;
    return { capacityBlocks: unit.capacityBlocks, rangesMax, totalBlocksMax: tokenBlocksMax };
  }

  #populateToken(operation: CopyOperation, parsed: CopyCommand, command: ScsiCommand, list: Uint8Array) {
    return this.#run({ operation, command, listId: parsed.listId, step: "populate" }, () => {
      const parameters = parsePopulateToken(list, this.#rangeLimits(operation.unit));
      checkPopulateToken(parameters, this.#limits);
      const context = { operation, nexus: command.nexus, limits: this.#limits, tokens: this.#tokens };
      return { immediate: parameters.immediate, work: () => populateToken(parameters, context) };
    });
  }

  #writeUsingToken(operation: CopyOperation, parsed: CopyCommand, command: ScsiCommand, list: Uint8Array) {
    return this.#run({ operation, command, listId: parsed.listId, step: "write" }, () => {
      const parameters = parseWriteUsingToken(list, this.#rangeLimits(operation.unit));
      operation.unit.checkWritable(command);
      const context = { operation, nexus: command.nexus, limits: this.#limits, tokens: this.#tokens };
      const { immediate } = parameters;
      const work = async () => {
        if (immediate) return await writeUsingToken(parameters, { ...context, deadline: undefined });
        const deadline = new AbortController();
        const timer = this.#clock.after(this.#limits.commandMsMax, () => deadline.abort());
        try {
          return await writeUsingToken(parameters, { ...context, deadline: deadline.signal });
        } finally {
          timer.cancel();
        }
      };
      return { immediate, work };
    });
  }

  #extendedCopy(operation: CopyOperation, command: ScsiCommand, parameters: ExtendedCopyParameters) {
    const { listId, immediate } = parameters;
    return this.#run({ operation, command, listId, step: "write" }, () => {
      const context = {
        operation,
        command,
        limits: this.#limits,
        tokens: this.#tokens,
        findUnit: this.#findUnit,
      };
      return { immediate, work: () => extendedCopy(parameters, context) };
    });
  }

  /** Runs a copy whose parameters `prepare` checks; answers at its end, or with IMMED at its beginning. */
  async #run(
    { operation, command, listId, step }: RunningCopy,
    prepare: () => { readonly immediate: boolean; readonly work: () => Promise<number> },
  ): Promise<ScsiReply> {
    this.#operations.begin(operation, command, listId);
    const fail = (error: unknown): CheckCondition => {
      const sense = copySense(error, step);
      operation.fail(sense, this.#clock.nowMs());
      return new CheckCondition(sense.key, sense.asc, sense.ascq, sense);
    };
    const stop = () => operation.stop();
    try {
      const { immediate, work } = prepare();
      const finish = async () => operation.end(await work(), this.#clock.nowMs());
      if (immediate) {
        operation.goBackground();
        void finish().catch(fail);
        return GOOD;
      }
      if (command.signal.aborted) stop();
      else command.signal.addEventListener("abort", stop, { once: true });
      await finish();
      return GOOD;
    } catch (error) {
      throw fail(error);
    } finally {
      command.signal.removeEventListener("abort", stop);
    }
  }

  async #abort(parsed: CopyCommand, command: ScsiCommand): Promise<ScsiReply> {
    const operation = this.#find(parsed, command);
    if (operation.isRunning) {
      operation.stop();
      await operation.ended;
    }
    return GOOD;
  }

  #find(parsed: CopyCommand, command: ScsiCommand): CopyOperation {
    const operation = this.#operations.find(command, parsed.listId);
    if (operation === undefined) throw invalidCdbField(2);
    return operation;
  }

  #executeIn(parsed: CopyCommand, command: ScsiCommand): Uint8Array {
    switch (parsed.serviceAction) {
      case CopyIn.receiveRodTokenInformation: {
        const operation = this.#find(parsed, command);
        if (parsed.lengthBytes === 0) this.#operations.discard(command, parsed.listId);
        return encodeRodTokenInformation(operation.status, operation.token, STATUS_DELAY_MS);
      }
      case CopyIn.receiveCopyStatusLid4:
        return encodeCopyStatusLid4(this.#find(parsed, command).status, STATUS_DELAY_MS);
      case CopyIn.receiveCopyStatusLid1:
        return encodeCopyStatusLid1(this.#find(parsed, command).status);
      case CopyIn.receiveFailedSegmentDetails:
        return this.#failedSegmentDetails(parsed, command);
      case CopyIn.receiveCopyOperatingParameters:
        return encodeOperatingParameters(this.#features);
      case CopyIn.reportAllRodTokens:
        return this.#allTokens(command.nexus);
      default:
        throw invalidCdbField(SERVICE_ACTION_AT.byte, SERVICE_ACTION_AT.bit);
    }
  }

  /** Only of a copy that failed there is something to tell, and it is told once (SPC-4, 6.24). */
  #failedSegmentDetails(parsed: CopyCommand, command: ScsiCommand): Uint8Array {
    const { status } = this.#find(parsed, command);
    if (status.status !== OperationStatus.error && status.status !== OperationStatus.terminated)
      throw invalidCdbField(2);
    this.#operations.discard(command, parsed.listId);
    return encodeFailedSegmentDetails(status);
  }

  /** Those that the initiator made itself: of others' it would learn when and how much they copy. */
  #allTokens(nexus: ScsiNexus): Uint8Array {
    const own = this.#tokens
      .list()
      .filter((token) => token.state === "valid" && token.kind === "data" && isOwnToken(token, nexus));
    return encodeRodManagementTokens(
      own.slice(0, this.#limits.reportedTokensMax).map(({ id, lengthBytes, policy, persistent }) => ({
        rodType: rodTypeOf(policy, persistent),
        id,
        lengthBytes,
      })),
    );
  }
}

interface RunningCopy {
  readonly operation: CopyOperation;
  readonly command: ScsiCommand;
  readonly listId: number | undefined;
  readonly step: CopyStep;
}

/** Service actions of opcode 83h that have a parameter list. */
const LIST_ACTIONS: ReadonlySet<number> = new Set([
  CopyOut.extendedCopyLid1,
  CopyOut.extendedCopyLid4,
  CopyOut.populateToken,
  CopyOut.writeUsingToken,
]);

function answer(bytes: Uint8Array, parsed: CopyCommand): ScsiReply {
  return { status: ScsiStatus.good, dataIn: bytes.subarray(0, parsed.lengthBytes) };
}

function actionsByOpcode(): Map<number, number[]> {
  const actions = new Map<number, number[]>();
  for (const { opcode, serviceAction } of COPY_COMMANDS) {
    const list = actions.get(opcode) ?? [];
    if (serviceAction !== undefined) list.push(serviceAction);
    actions.set(opcode, list);
  }
  return actions;
}
