// An NBD client for tests, written from the protocol's text alone: it shares no code with src/wire, so that an
// error there cannot hide in both. It does what it is told, also what no client should do, and checks whatever
// it receives: magics, lengths, cookies, that chunks do not overlap and cover the read.
import { connect, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";

const IHAVEOPT = Buffer.from("IHAVEOPT");
const OPTION_REPLY_MAGIC = "0003e889045565a9";

export type ClientMode = "simple" | "structured" | "extended";

export interface OptionAnswer {
  /** Name of the last reply's type, e.g. `ACK`, `ERR_UNSUP`. */
  readonly outcome: string;
  readonly replies: readonly { readonly type: number; readonly data: Buffer }[];
}

export interface Request {
  readonly type: number;
  readonly flags?: number;
  readonly offset?: number | bigint;
  readonly length?: number | bigint;
  readonly payload?: Uint8Array;
  readonly cookie?: bigint;
}

export interface ReplyChunk {
  readonly type: number;
  readonly flags: number;
  readonly content: Buffer;
  readonly offset: bigint | undefined;
}

export interface Reply {
  readonly cookie: bigint;
  /** 0 is success. */
  readonly errno: number;
  /** Empty in the simple format. */
  readonly chunks: readonly ReplyChunk[];
  /** A simple read's bytes. */
  readonly data: Buffer;
}

const OUTCOMES: Record<number, string> = {
  1: "ACK",
  2147483649: "ERR_UNSUP",
  2147483650: "ERR_POLICY",
  2147483651: "ERR_INVALID",
  2147483652: "ERR_PLATFORM",
  2147483653: "ERR_TLS_REQD",
  2147483654: "ERR_UNKNOWN",
  2147483655: "ERR_SHUTDOWN",
  2147483656: "ERR_BLOCK_SIZE_REQD",
  2147483657: "ERR_TOO_BIG",
  2147483658: "ERR_EXT_HEADER_REQD",
};

export class NbdClient implements Disposable {
  socket: Socket;
  mode: ClientMode = "simple";
  size = 0n;
  transmissionFlags = 0;
  #arrived: Buffer[] = [];
  #arrivedBytes = 0;
  #waiting: (() => void) | undefined;
  #over = false;
  #cookie = 0x0102_0304_0506_0000n;
  /** Lengths of simple reads that are still to be answered, by cookie. */
  readonly #reads = new Map<bigint, number>();

  constructor(socket: Socket) {
    this.socket = socket;
    this.#listen(socket);
  }

  static async connect(where: string | { port: number }): Promise<NbdClient> {
    const socket = typeof where === "string" ? connect(where) : connect(where.port, "127.0.0.1");
    const client = new NbdClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return client;
  }

  /** Connects, greets, goes to the export in the given mode. */
  static async open(where: string | { port: number }, name: string, mode: ClientMode): Promise<NbdClient> {
    const client = await NbdClient.connect(where);
    await client.greet();
    await client.negotiate(mode);
    const outcome = await client.go(name);
    if (outcome !== "ACK") throw new Error(`GO ${name}: ${outcome}`);
    return client;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  get closed(): boolean {
    return this.#over;
  }

  async untilClosed(): Promise<void> {
    while (!this.#over) await new Promise<void>((resolve) => (this.#waiting = resolve));
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The next `length` bytes; rejects when the connection ends before. */
  async bytes(length: number): Promise<Buffer> {
    while (this.#arrivedBytes < length) {
      if (this.#over) throw new Error(`the connection ended; ${this.#arrivedBytes} of ${length} bytes came`);
      await new Promise<void>((resolve) => (this.#waiting = resolve));
    }
    const all = this.#arrived.length === 1 ? this.#arrived[0]! : Buffer.concat(this.#arrived);
    this.#arrived = [all.subarray(length)];
    this.#arrivedBytes -= length;
    return all.subarray(0, length);
  }

  get unreadBytes(): number {
    return this.#arrivedBytes;
  }

  /** Reads the greeting and answers it; default flags: fixed newstyle and no zeroes. */
  async greet(flags = 3): Promise<number> {
    const greeting = await this.bytes(18);
    equal(greeting.subarray(0, 16).toString(), "NBDMAGICIHAVEOPT", "the greeting");
    this.send(u32(flags));
    return greeting.readUInt16BE(16);
  }

  async negotiate(mode: ClientMode): Promise<void> {
    if (mode !== "simple") {
      const { outcome } = await this.option(mode === "structured" ? 8 : 11);
      equal(outcome, "ACK", mode);
    }
    this.mode = mode;
  }

  sendOption(number: number, data: Uint8Array = Buffer.alloc(0)): void {
    this.send(Buffer.concat([IHAVEOPT, u32(number), u32(data.length), data]));
  }

  async option(number: number, data?: Uint8Array): Promise<OptionAnswer> {
    this.sendOption(number, data);
    return await this.answer(number);
  }

  /** All replies to an option that was sent. */
  async answer(number: number): Promise<OptionAnswer> {
    const replies: { type: number; data: Buffer }[] = [];
    for (;;) {
      const header = await this.bytes(20);
      equal(header.subarray(0, 8).toString("hex"), OPTION_REPLY_MAGIC, "an option reply's magic");
      equal(header.readUInt32BE(8), number, "the option that is answered");
      const type = header.readUInt32BE(12);
      const data = Buffer.from(await this.bytes(header.readUInt32BE(16)));
      replies.push({ type, data });
      if (type === 1 || type >= 0x80000000)
        return { outcome: OUTCOMES[type] ?? `0x${type.toString(16)}`, replies };
    }
  }

  /** GO; on success size and flags are kept. */
  async go(name: string, infos: readonly number[] = [3]): Promise<string> {
    const { outcome, replies } = await this.option(7, goData(name, infos));
    for (const { type, data } of replies) {
      if (type !== 3 || data.readUInt16BE(0) !== 0) continue;
      equal(data.length, 12, "the length of INFO_EXPORT");
      this.size = data.readBigUInt64BE(2);
      this.transmissionFlags = data.readUInt16BE(10);
    }
    return outcome;
  }

  /** SET_META_CONTEXT: names and numbers of what was granted. */
  async setContexts(name: string, queries: readonly string[]): Promise<Map<string, number>> {
    const { outcome, replies } = await this.option(10, contextData(name, queries));
    equal(outcome, "ACK", "SET_META_CONTEXT");
    return contextsOf(replies);
  }

  /** LIST_META_CONTEXT: names in the order of the replies. */
  async listContexts(name: string, queries: readonly string[]): Promise<string[]> {
    const { outcome, replies } = await this.option(9, contextData(name, queries));
    equal(outcome, "ACK", "LIST_META_CONTEXT");
    return [...contextsOf(replies).keys()];
  }

  /** Sends a request and returns its cookie. */
  request(request: Request): bigint {
    const cookie = request.cookie ?? this.#cookie++;
    const length = BigInt(request.length ?? request.payload?.length ?? 0);
    if (request.type === 0 && this.mode === "simple") this.#reads.set(cookie, Number(length));
    this.send(encodeRequest(this.mode, { ...request, cookie, length }));
    if (request.payload) this.send(request.payload);
    return cookie;
  }

  /** The next whole reply. Chunks of one reply are expected together, as this server sends them. */
  async reply(): Promise<Reply> {
    const chunks: ReplyChunk[] = [];
    for (;;) {
      const magic = (await this.bytes(4)).readUInt32BE(0);
      if (magic === 0x67446698) {
        if (this.mode === "extended") throw new Error("a simple reply in extended mode");
        const rest = await this.bytes(12);
        const cookie = rest.readBigUInt64BE(4);
        const errno = rest.readUInt32BE(0);
        const length = errno === 0 ? (this.#reads.get(cookie) ?? 0) : 0;
        this.#reads.delete(cookie);
        return { cookie, errno, chunks, data: Buffer.from(await this.bytes(length)) };
      }
      equal(magic, this.mode === "extended" ? 0x6e8a278c : 0x668e33ef, "a chunk's magic");
      const header = await this.bytes(this.mode === "extended" ? 28 : 16);
      const flags = header.readUInt16BE(0);
      const type = header.readUInt16BE(2);
      const cookie = header.readBigUInt64BE(4);
      const offset = this.mode === "extended" ? header.readBigUInt64BE(12) : undefined;
      const length = this.mode === "extended" ? Number(header.readBigUInt64BE(20)) : header.readUInt32BE(12);
      const content = Buffer.from(await this.bytes(length));
      chunks.push({ type, flags, content, offset });
      if ((flags & 1) === 0) continue;
      const failure = chunks.find((chunk) => chunk.type >= 0x8000);
      return { cookie, errno: failure?.content.readUInt32BE(0) ?? 0, chunks, data: Buffer.alloc(0) };
    }
  }

  /** Sends a request and waits for its reply, which must be the next. */
  async ask(request: Request): Promise<Reply> {
    const cookie = this.request(request);
    const reply = await this.reply();
    equal(reply.cookie, cookie, "the cookie");
    if (this.mode === "extended")
      for (const chunk of reply.chunks) equal(chunk.offset, BigInt(request.offset ?? 0), "the echoed offset");
    return reply;
  }

  async read(offset: number, length: number, flags = 0): Promise<Buffer> {
    const reply = await this.ask({ type: 0, offset, length, flags });
    equal(reply.errno, 0, `errno of reading ${offset}+${length}`);
    return this.mode === "simple" ? reply.data : assemble(reply, offset, length);
  }

  /** Returns the errno. */
  async write(offset: number, payload: Uint8Array, flags = 0): Promise<number> {
    const payloadFlag = this.mode === "extended" ? 32 : 0;
    return (await this.ask({ type: 1, offset, payload, flags: flags | payloadFlag })).errno;
  }

  /** Turns the connection into TLS after STARTTLS was granted. */
  async secure(options: ConnectionOptions): Promise<void> {
    this.socket.removeAllListeners();
    const secure = connectTls({ ...options, socket: this.socket });
    this.socket = secure;
    this.#listen(secure);
    await new Promise<void>((resolve, reject) => {
      secure.once("secureConnect", resolve);
      secure.once("error", reject);
      secure.once("close", () => reject(new Error("closed during the TLS handshake")));
    });
  }

  #listen(socket: Socket): void {
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      this.#arrived.push(bytes);
      this.#arrivedBytes += bytes.length;
      this.#wake();
    });
    const over = () => {
      this.#over = true;
      this.#wake();
    };
    socket.on("end", over);
    socket.on("close", over);
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }
}

/** The bytes of a chunked read; the chunks must cover it without overlap. */
export function assemble(reply: Reply, offset: number, length: number): Buffer {
  const data = Buffer.alloc(length, 0xee);
  const covered = new Uint8Array(length);
  for (const { type, content } of reply.chunks) {
    if (type === 0) continue;
    const start = Number(content.readBigUInt64BE(0)) - offset;
    const bytes = type === 2 ? content.readUInt32BE(8) : content.length - 8;
    if (start < 0 || start + bytes > length || bytes === 0) throw new Error("a chunk outside the read");
    for (let at = start; at < start + bytes; at++) {
      if (covered[at]) throw new Error("chunks overlap");
      covered[at] = 1;
    }
    if (type === 1) content.copy(data, start, 8);
    else if (type === 2) data.fill(0, start, start + bytes);
    else throw new Error(`a chunk of type ${type} in a read`);
  }
  if (covered.includes(0)) throw new Error("the chunks leave out a part of the read");
  return data;
}

export interface StatusExtent {
  readonly length: bigint;
  readonly flags: bigint;
}

/** The extents of a BLOCK_STATUS reply by context number. */
export function statusOf(reply: Reply): Map<number, StatusExtent[]> {
  const byContext = new Map<number, StatusExtent[]>();
  for (const { type, content } of reply.chunks) {
    const extents: StatusExtent[] = [];
    if (type === 5) {
      for (let at = 4; at < content.length; at += 8)
        extents.push({
          length: BigInt(content.readUInt32BE(at)),
          flags: BigInt(content.readUInt32BE(at + 4)),
        });
    } else if (type === 6) {
      equal(content.length, 8 + 16 * content.readUInt32BE(4), "the count of extents");
      for (let at = 8; at < content.length; at += 16)
        extents.push({ length: content.readBigUInt64BE(at), flags: content.readBigUInt64BE(at + 8) });
    } else throw new Error(`a chunk of type ${type} in a block status`);
    byContext.set(content.readUInt32BE(0), extents);
  }
  return byContext;
}

export function encodeRequest(mode: ClientMode, request: Request): Buffer {
  const bytes = Buffer.alloc(mode === "extended" ? 32 : 28);
  bytes.writeUInt32BE(mode === "extended" ? 0x21e41c71 : 0x25609513, 0);
  bytes.writeUInt16BE(request.flags ?? 0, 4);
  bytes.writeUInt16BE(request.type, 6);
  bytes.writeBigUInt64BE(request.cookie ?? 0n, 8);
  bytes.writeBigUInt64BE(BigInt(request.offset ?? 0), 16);
  if (mode === "extended") bytes.writeBigUInt64BE(BigInt(request.length ?? 0), 24);
  else bytes.writeUInt32BE(Number(request.length ?? 0), 24);
  return bytes;
}

export function goData(name: string, infos: readonly number[]): Buffer {
  const text = Buffer.from(name);
  return Buffer.concat([u32(text.length), text, u16(infos.length), ...infos.map(u16)]);
}

export function contextData(name: string, queries: readonly string[]): Buffer {
  const strings = [name, ...queries].map((text) => Buffer.from(text));
  const parts = strings.map((text) => Buffer.concat([u32(text.length), text]));
  return Buffer.concat([parts[0]!, u32(queries.length), ...parts.slice(1)]);
}

function contextsOf(replies: OptionAnswer["replies"]): Map<string, number> {
  const contexts = new Map<string, number>();
  for (const { type, data } of replies)
    if (type === 4) contexts.set(data.subarray(4).toString(), data.readUInt32BE(0));
  return contexts;
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function equal(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)}, expected ${String(expected)}`);
}
