/**
 * The handshake of an NBD client on a fresh socket: structured replies, `base:allocation`, GO.
 * Always holds: afterwards the socket is paused and has no listener, and what came behind the handshake is still in it.
 * Errors: IO_ERROR when the server is not there or goes away, NOT_FOUND for the export, UNSUPPORTED, PROTOCOL_ERROR.
 */
import type { Socket } from "node:net";
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";
import {
  encodeClientFlags,
  encodeGoData,
  encodeMetaContextData,
  encodeOption,
  GREETING_BYTES,
  Info,
  OPTION_REPLY_HEADER_BYTES,
  Option,
  OptionError,
  OptionReply,
  PAYLOAD_BYTES_MAX,
  parseExportInfo,
  parseGreeting,
  parseMetaContext,
  parseOptionReplyHeader,
} from "../../wire/nbd/mod.ts";

const ALLOCATION_CONTEXT = "base:allocation";
/** Replies to one option: infos and contexts, a few each. */
const REPLIES_MAX = 64;

export interface ExportFacts {
  readonly sizeBytes: number;
  /** TransmissionFlag. */
  readonly transmissionFlags: number;
  readonly minimumBlockBytes: number;
  readonly preferredBlockBytes: number;
  readonly maximumPayloadBytes: number;
  readonly isStructured: boolean;
  /** Undefined: the server tells no extents. */
  readonly allocationContextId: number | undefined;
}

interface OptionAnswer {
  /** ACK, or an OptionError. */
  readonly outcome: number;
  readonly replies: readonly { readonly type: number; readonly data: Buffer }[];
  /** What the server says to an error. */
  readonly sentence: string;
}

export async function shakeHands(socket: Socket, exportName: string): Promise<ExportFacts> {
  const input = new SocketInput(socket);
  try {
    const { noZeroes } = parseGreeting(await input.take(GREETING_BYTES));
    socket.write(encodeClientFlags({ noZeroes }));
    const structured = await ask(socket, input, Option.structuredReply);
    const isStructured = structured.outcome === OptionReply.ack;
    const allocationContextId = isStructured ? await setContext(socket, input, exportName) : undefined;
    const answer = await ask(socket, input, Option.go, encodeGoData(exportName, [Info.blockSize]));
    if (answer.outcome !== OptionReply.ack) throw refusal(exportName, answer);
    return { ...factsOf(answer), isStructured, allocationContextId };
  } finally {
    input.release();
  }
}

async function setContext(
  socket: Socket,
  input: SocketInput,
  exportName: string,
): Promise<number | undefined> {
  const data = encodeMetaContextData(exportName, [ALLOCATION_CONTEXT]);
  const { outcome, replies } = await ask(socket, input, Option.setMetaContext, data);
  if (outcome !== OptionReply.ack) return undefined;
  for (const { type, data: content } of replies) {
    if (type !== OptionReply.metaContext) continue;
    const { id, name } = parseMetaContext(content);
    if (name === ALLOCATION_CONTEXT) return id;
  }
  return undefined;
}

async function ask(
  socket: Socket,
  input: SocketInput,
  option: number,
  data?: Uint8Array,
): Promise<OptionAnswer> {
  socket.write(encodeOption(option, data));
  const replies: { type: number; data: Buffer }[] = [];
  while (replies.length < REPLIES_MAX) {
    const header = parseOptionReplyHeader(await input.take(OPTION_REPLY_HEADER_BYTES), option);
    const content = await input.take(header.lengthBytes);
    if (header.type === OptionReply.ack) return { outcome: header.type, replies, sentence: "" };
    if (header.type >= 0x8000_0000) return { outcome: header.type, replies, sentence: content.toString() };
    replies.push({ type: header.type, data: content });
  }
  throw new RopewalkError("PROTOCOL_ERROR", `The NBD server answers option ${option} without end.`);
}

function factsOf({ replies }: OptionAnswer): Omit<ExportFacts, "isStructured" | "allocationContextId"> {
  let blocks = { minimumBlockBytes: 1, preferredBlockBytes: 4096, maximumPayloadBytes: PAYLOAD_BYTES_MAX };
  let about: { sizeBytes: number; transmissionFlags: number } | undefined;
  for (const { type, data } of replies) {
    if (type !== OptionReply.info) continue;
    const info = parseExportInfo(data);
    if (info.kind === "export") about = info;
    if (info.kind === "blockSize") {
      blocks = {
        minimumBlockBytes: info.minimumBytes,
        preferredBlockBytes: info.preferredBytes,
        maximumPayloadBytes: info.maximumPayloadBytes,
      };
    }
  }
  if (about === undefined)
    throw new RopewalkError("PROTOCOL_ERROR", "The NBD server tells no size of the export.");
  return { sizeBytes: about.sizeBytes, transmissionFlags: about.transmissionFlags, ...blocks };
}

function refusal(exportName: string, { outcome, sentence }: OptionAnswer): RopewalkError {
  const said = sentence === "" ? "" : ` It says: ${quoted(sentence)}.`;
  const what = `The NBD server does not serve the export ${quoted(exportName)}`;
  if (outcome === OptionError.unknownExport)
    return new RopewalkError("NOT_FOUND", `${what}: it has none.${said}`);
  if (outcome === OptionError.tlsRequired)
    return new RopewalkError(
      "UNSUPPORTED",
      `${what} without TLS, which is not spoken to other servers.${said}`,
    );
  if (outcome === OptionError.unsupported)
    return new RopewalkError("UNSUPPORTED", `${what}: it does not know GO, so it is too old.${said}`);
  return new RopewalkError("IO_ERROR", `${what} (0x${outcome.toString(16)}).${said}`);
}

/** A socket's bytes, so many at a time. Nothing is asked for before something was sent, so little ever waits here. */
class SocketInput {
  readonly #socket: Socket;
  #arrived: Buffer = Buffer.alloc(0);
  #wanted = 0;
  #waiting: PromiseWithResolvers<Buffer> | undefined;
  #over: RopewalkError | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", this.#data);
    socket.on("error", this.#broke);
    socket.on("close", this.#closed);
  }

  take(bytes: number): Promise<Buffer> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    this.#wanted = bytes;
    this.#waiting = Promise.withResolvers<Buffer>();
    const { promise } = this.#waiting;
    this.#serve();
    return promise;
  }

  /** Gives the socket back, with what was not taken. */
  release(): void {
    this.#socket.pause();
    this.#socket.off("data", this.#data);
    this.#socket.off("error", this.#broke);
    this.#socket.off("close", this.#closed);
    if (this.#arrived.length > 0) this.#socket.unshift(this.#arrived);
  }

  readonly #data = (bytes: Buffer): void => {
    this.#arrived = Buffer.concat([this.#arrived, bytes]);
    this.#serve();
  };

  readonly #broke = (error: Error): void => this.#end(`cannot be reached: ${error.message}`, error);
  readonly #closed = (): void => this.#end("closed the connection during the handshake");

  #end(sentence: string, cause?: unknown): void {
    this.#over ??= new RopewalkError("IO_ERROR", `The NBD server ${sentence}.`, { cause });
    this.#waiting?.reject(this.#over);
    this.#waiting = undefined;
  }

  #serve(): void {
    if (this.#waiting === undefined || this.#arrived.length < this.#wanted) return;
    const taken = this.#arrived.subarray(0, this.#wanted);
    this.#arrived = this.#arrived.subarray(this.#wanted);
    const { resolve } = this.#waiting;
    this.#waiting = undefined;
    resolve(taken);
  }
}
