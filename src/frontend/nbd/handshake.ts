/**
 * The handshake of one connection, on the server's side (fixed newstyle): from the client's flags to GO or EXPORT_NAME.
 *
 * Always holds: every option but EXPORT_NAME gets an answer that ends in ACK or an error, in order; an export
 * is opened only when an option names it, at most one at a time, and closed unless the transmission takes it;
 * nothing that was said before TLS is known after it; with forced TLS no export is touched before it.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { TlsIdentity } from "../../ports/mod.ts";
import {
  CLIENT_FLAGS_BYTES,
  type ClientFlags,
  type ClientOption,
  encodeExportNameReply,
  encodeGreeting,
  encodeInfoBlockSize,
  encodeInfoExport,
  encodeInfoText,
  encodeMetaContext,
  encodeOptionError,
  encodeOptionReply,
  encodeServerReply,
  Info,
  META_CONTEXTS_MAX,
  OPTION_DATA_BYTES_MAX,
  OPTION_HEADER_BYTES,
  OPTION_SKIP_BYTES_MAX,
  Option,
  OptionError,
  type OptionHeader,
  OptionReply,
  parseClientFlags,
  parseOptionData,
  parseOptionHeader,
} from "../../wire/nbd/mod.ts";
import type { ReceiveWindow, ReplyQueue } from "../stream/mod.ts";
import type { SelectedContext } from "./block-status.ts";
import { blockSizes, deviceError, exportFacts, type ReplyFormat } from "./export-facts.ts";
import type { NbdExports, OpenedExport } from "./exports.ts";
import { listedContexts, offeredContexts, selectedContexts } from "./meta-contexts.ts";
import type { TransmissionStart } from "./transmission.ts";

/** `optional`: clients may ask for it; `forced`: without it nothing else is answered. */
export type TlsMode =
  | { readonly mode: "none" }
  | { readonly mode: "optional" | "forced"; readonly identity: TlsIdentity };

/** How the handshake reaches its connection. */
export interface HandshakeWorld {
  readonly exports: NbdExports;
  readonly tls: TlsMode;
  readonly window: ReceiveWindow;
  readonly replies: ReplyQueue;
  readonly optionsMax: number;
  readonly replyBytesMax: number;
  /** The answer to STARTTLS has been queued and must go out in the clear; nothing is read until `secured`. */
  startTls(identity: TlsIdentity): void;
  /** Requests follow. */
  transmit(start: TransmissionStart): void;
  /** Sends what is queued and closes. */
  finish(): void;
  /** An answer that had to be waited for is there. */
  progressed(): void;
  fail(error: unknown): void;
}

/** The meta contexts that SET_META_CONTEXT chose, and for which export. */
interface Selection {
  readonly exportName: string;
  readonly names: readonly string[];
}

const NOTHING_SELECTED: Selection = { exportName: "", names: [] };

export class Handshake {
  readonly #world: HandshakeWorld;
  #flags: ClientFlags | undefined;
  #option: OptionHeader | undefined;
  #skipBytes = 0;
  #options = 0;
  #secure = false;
  #format: ReplyFormat = "simple";
  #selection = NOTHING_SELECTED;
  #opened: { readonly name: string; readonly export: OpenedExport } | undefined;
  /** An export is being opened; further options wait. */
  #opening: Promise<void> | undefined;
  #over = false;

  constructor(world: HandshakeWorld) {
    this.#world = world;
  }

  greet(): void {
    this.#world.replies.append(encodeGreeting());
  }

  /** Nothing can be taken although bytes may be there. */
  get waits(): boolean {
    return (
      this.#opening !== undefined || this.#over || this.#world.replies.queuedBytes > this.#world.replyBytesMax
    );
  }

  /** TLS stands: the client begins anew with its options. */
  secured(): void {
    this.#secure = true;
  }

  /** The connection is gone or passed on; closes what no transmission took. */
  async close(): Promise<void> {
    this.#over = true;
    await this.#opening;
    await this.#closeExport();
  }

  /** Works off what has arrived, as far as it goes. Throws PROTOCOL_ERROR. */
  advance(): void {
    const { window } = this.#world;
    if (this.#flags === undefined) {
      if (window.availableBytes < CLIENT_FLAGS_BYTES) {
        window.want(CLIENT_FLAGS_BYTES);
        return;
      }
      this.#flags = parseClientFlags(window.chunk.view, window.start);
      window.consume(CLIENT_FLAGS_BYTES);
    }
    while (!this.waits && this.#nextOption()) {}
  }

  /** Takes one option; false when its bytes are not all there. */
  #nextOption(): boolean {
    const { window, replies, optionsMax } = this.#world;
    if (this.#option === undefined) {
      this.#option = parseOptionHeader(window.chunk.view, window.start, window.end);
      if (this.#option === undefined) {
        window.want(OPTION_HEADER_BYTES);
        return false;
      }
      window.consume(OPTION_HEADER_BYTES);
      if (++this.#options > optionsMax)
        throw new RopewalkError("PROTOCOL_ERROR", `more than ${optionsMax} options`);
      const { option, lengthBytes } = this.#option;
      if (
        lengthBytes > OPTION_SKIP_BYTES_MAX ||
        (option === Option.exportName && lengthBytes > OPTION_DATA_BYTES_MAX)
      )
        throw new RopewalkError("PROTOCOL_ERROR", `option ${option} announces ${lengthBytes} bytes of data`);
      this.#skipBytes = lengthBytes > OPTION_DATA_BYTES_MAX ? lengthBytes : 0;
    }
    const { option, lengthBytes } = this.#option;
    if (this.#skipBytes > 0) {
      this.#skipBytes -= window.skip(this.#skipBytes);
      if (this.#skipBytes > 0) return false;
      this.#option = undefined;
      replies.append(encodeOptionError(option, OptionError.tooBig, "the option's data is too long"));
      return true;
    }
    if (window.availableBytes < lengthBytes) {
      window.want(lengthBytes);
      return false;
    }
    const value = parseOptionData(
      option,
      window.chunk.bytes.subarray(window.start, window.start + lengthBytes),
    );
    window.consume(lengthBytes);
    this.#option = undefined;
    this.#take(option, value);
    return true;
  }

  #take(option: number, value: ClientOption): void {
    const { replies, tls } = this.#world;
    const refuse = (type: number, sentence: string) =>
      replies.append(encodeOptionError(option, type, sentence));
    if (tls.mode === "forced" && !this.#secure && option !== Option.startTls && option !== Option.abort) {
      if (option === Option.exportName)
        throw new RopewalkError("PROTOCOL_ERROR", "the client begins without the TLS that is required");
      refuse(OptionError.tlsRequired, "start TLS first");
      return;
    }
    switch (value.kind) {
      case "exportName":
        if (this.#format === "extended")
          throw new RopewalkError("PROTOCOL_ERROR", "EXPORT_NAME after extended headers");
        this.#enter(option, value.name, undefined);
        return;
      case "abort":
        replies.append(encodeOptionReply(option, OptionReply.ack));
        this.#over = true;
        this.#world.finish();
        return;
      case "list":
        for (const { name, description } of this.#world.exports.list())
          replies.append(encodeServerReply(option, name, description));
        replies.append(encodeOptionReply(option, OptionReply.ack));
        return;
      case "startTls":
        this.#startTls(option);
        return;
      case "info":
      case "go":
        this.#enter(option, value.name, value.requests);
        return;
      case "structuredReply":
        if (this.#format === "extended") {
          refuse(OptionError.extendedHeadersRequired, "extended headers are in force");
          return;
        }
        this.#format = "structured";
        replies.append(encodeOptionReply(option, OptionReply.ack));
        return;
      case "extendedHeaders":
        this.#format = "extended";
        replies.append(encodeOptionReply(option, OptionReply.ack));
        return;
      case "listMetaContext":
      case "setMetaContext":
        this.#metaContexts(option, value);
        return;
      case "unknown":
        refuse(OptionError.unsupported, `option ${option} is not known`);
        return;
      case "malformed":
        if (option === Option.exportName) throw new RopewalkError("PROTOCOL_ERROR", value.sentence);
        if (option === Option.setMetaContext) this.#selection = NOTHING_SELECTED;
        refuse(OptionError.invalid, value.sentence);
        return;
    }
  }

  #startTls(option: number): void {
    const { replies, tls, window } = this.#world;
    if (tls.mode === "none") {
      replies.append(encodeOptionError(option, OptionError.unsupported, "this server has no TLS"));
      return;
    }
    if (this.#secure) {
      replies.append(encodeOptionError(option, OptionError.invalid, "TLS is in force already"));
      return;
    }
    // A client waits for the answer. Bytes that are here were put in by somebody on the way (CVE-2021-3716).
    if (window.availableBytes > 0)
      throw new RopewalkError("PROTOCOL_ERROR", "bytes follow STARTTLS before its answer");
    replies.append(encodeOptionReply(option, OptionReply.ack));
    this.#format = "simple";
    this.#selection = NOTHING_SELECTED;
    this.#options = 0;
    void this.#closeExport();
    this.#world.startTls(tls.identity);
  }

  /** INFO, GO and (without `requests`) EXPORT_NAME. */
  #enter(option: number, name: string, requests: readonly number[] | undefined): void {
    const { replies, fail } = this.#world;
    this.#withExport(
      name,
      (opened) => {
        const { device } = opened;
        const facts = exportFacts(device, this.#format);
        const sizesKnown = requests?.includes(Info.blockSize) ?? false;
        if (device.geometry.minimumBlockBytes > 1 && !sizesKnown) {
          const sentence = `requests must be multiples of ${device.geometry.minimumBlockBytes} bytes; ask for the block sizes`;
          if (requests === undefined) return fail(new RopewalkError("PROTOCOL_ERROR", sentence));
          return replies.append(encodeOptionError(option, OptionError.blockSizeRequired, sentence));
        }
        if (requests === undefined) {
          replies.append(encodeExportNameReply(facts, this.#flags!.noZeroes ? "no-zeroes" : "zeroes"));
          return this.#transmit(name, opened);
        }
        replies.append(encodeInfoExport(option, facts));
        if (requests.includes(Info.name)) replies.append(encodeInfoText(option, Info.name, name));
        if (requests.includes(Info.description) && opened.description !== "")
          replies.append(encodeInfoText(option, Info.description, opened.description));
        if (sizesKnown) replies.append(encodeInfoBlockSize(option, blockSizes(device)));
        replies.append(encodeOptionReply(option, OptionReply.ack));
        if (option === Option.go) this.#transmit(name, opened);
      },
      (error) => {
        if (requests === undefined) fail(error);
        else replies.append(encodeOptionError(option, optionError(error), error.message));
      },
    );
  }

  #transmit(name: string, opened: OpenedExport): void {
    const chosen = this.#selection.exportName === name ? this.#selection.names : [];
    const contexts: SelectedContext[] = [];
    const offered = offeredContexts(opened);
    // A context's number is its place in the selection, whether or not it exists any more.
    chosen.forEach((context, id) => {
      const found = offered.find((candidate) => candidate.name === context);
      if (found !== undefined) contexts.push({ id, source: found.source });
    });
    this.#over = true;
    this.#opened = undefined;
    this.#world.transmit({ device: opened.device, format: this.#format, contexts });
  }

  #metaContexts(option: number, value: { name: string; queries: readonly string[] }): void {
    const { replies } = this.#world;
    const sets = option === Option.setMetaContext;
    if (sets) this.#selection = NOTHING_SELECTED;
    if (this.#format === "simple") {
      replies.append(encodeOptionError(option, OptionError.invalid, "negotiate structured replies first"));
      return;
    }
    this.#withExport(
      value.name,
      (opened) => {
        const offered = offeredContexts(opened);
        const found = sets
          ? selectedContexts(offered, value.queries)
          : listedContexts(offered, value.queries);
        if (sets && found.length > META_CONTEXTS_MAX)
          return replies.append(
            encodeOptionError(option, OptionError.tooBig, `more than ${META_CONTEXTS_MAX} contexts`),
          );
        if (sets) this.#selection = { exportName: value.name, names: found.map(({ name }) => name) };
        found.forEach(({ name }, id) => {
          replies.append(encodeMetaContext(option, id, name));
        });
        replies.append(encodeOptionReply(option, OptionReply.ack));
      },
      (error) => replies.append(encodeOptionError(option, optionError(error), error.message)),
    );
  }

  /** Gives the named export to `use`, opened now or by the option before; errors of opening to `refuse`. */
  #withExport(
    name: string,
    use: (opened: OpenedExport) => void,
    refuse: (error: RopewalkError) => void,
  ): void {
    if (this.#opened?.name === name) {
      use(this.#opened.export);
      return;
    }
    const open = async () => {
      await this.#closeExport();
      this.#opened = { name, export: await this.#world.exports.open(name) };
      return this.#opened.export;
    };
    const proceed = (action: () => void) => {
      this.#opening = undefined;
      if (this.#over) return;
      action();
      this.#world.progressed();
    };
    this.#opening = open().then(
      (opened) => proceed(() => use(opened)),
      (error) => proceed(() => refuse(deviceError(error))),
    );
  }

  async #closeExport(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.export.device.close().catch((error: unknown) => void deviceError(error));
  }
}

function optionError(error: RopewalkError): number {
  switch (error.code) {
    case "SHUTTING_DOWN":
      return OptionError.shutdown;
    case "UNAUTHORIZED":
    case "IN_USE":
    case "TOO_MANY":
      return OptionError.policy;
    case "VOLUME_NOT_FOUND":
    case "SNAPSHOT_NOT_FOUND":
    case "NOT_FOUND":
    case "INVALID_NAME":
    case "INVALID_ARGUMENT":
      return OptionError.unknownExport;
    default:
      return OptionError.platform;
  }
}
