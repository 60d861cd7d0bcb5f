/**
 * Puts the daemon together: front ends, pool, tokens, stacks, each with what the host gives it.
 *
 * Always holds: it binds its addresses and looks at its data directory before it makes anything; it stops its front
 * ends before its pool. What it serves with is loaded when it starts.
 */
import { hostname } from "node:os";
import { resolve } from "node:path";
import { RopewalkError } from "./base/errors.ts";
import { formatSize } from "./base/size-text.ts";
import type {
  Address,
  Control,
  FilesyncService,
  IscsiRules,
  OpenedPool,
  Settings,
  Stack,
  StackedVolumes,
  TlsFileNames,
} from "./control/mod.ts";
import type { HttpServer } from "./frontend/http/mod.ts";
import type { IscsiPortal, IscsiServer } from "./frontend/iscsi/mod.ts";
import type { NbdServer, TlsMode } from "./frontend/nbd/mod.ts";
import {
  DaemonDirectory,
  filesyncMachine,
  hostClock,
  hostRandom,
  isInFolder,
  LoopMeter,
  openAdminKey,
  openFileDevice,
  openNbdClientDevice,
  openPageThreads,
  openSshStream,
  openTokenKey,
  type ProcessLog,
  readConfiguredFile,
  SocketNetwork,
} from "./host/mod.ts";
import type { TokenRoom } from "./offload/mod.ts";
import type { Listener, StreamAddress, TlsFiles } from "./ports/mod.ts";

/** Clients get this long to take what they are owed; then the pool closes in what is left of ten seconds. */
const CLIENT_GRACE_MS = 3_000;

export class Daemon {
  readonly #settings: Settings;
  readonly #version: string;
  readonly #log: ProcessLog;
  readonly #network: SocketNetwork;
  readonly #opened = Promise.withResolvers<Control>();
  readonly #listeners: Listener[] = [];
  readonly #loop = new LoopMeter(hostClock);
  readonly #pageThreads: ReturnType<typeof openPageThreads>;
  #directory: DaemonDirectory | undefined;
  #nbd: NbdServer | undefined;
  #iscsi: IscsiServer | undefined;
  #http: HttpServer | undefined;
  #control: Control | undefined;
  #stacks: StackedVolumes | undefined;
  #filesync: FilesyncService | undefined;
  #tokens: TokenRoom | undefined;
  #pool: OpenedPool["pool"] | undefined;
  #nbdAddresses: string[] = [];
  readonly #portals: IscsiPortal[] = [];
  #url = "";
  #iscsiNamePrefix = "";
  #isAnnounced = false;

  constructor({ settings, log, version }: { settings: Settings; log: ProcessLog; version: string }) {
    this.#settings = settings;
    this.#version = version;
    this.#pageThreads = openPageThreads(settings.pool.pageThreads);
    this.#network = new SocketNetwork({
      pollUs: settings.nbd.pollUs,
      onTurn: (lengthMs) => this.#loop.note(lengthMs),
    });
    this.#log = log;
    this.#opened.promise.catch(() => {});
  }

  async start(firstVolume: { name: string; sizeBytes: number } | undefined): Promise<void> {
    const { buildLayerStacks } = await import("./control/mod.ts");
    const print = (line: string) => this.#log.info({ layer: "trace" }, line);
    const stack = buildLayerStacks(this.#settings.layers, { clock: hostClock, print });
    this.#directory = await DaemonDirectory.look(this.#settings.data, { pageThreads: this.#pageThreads });
    const key = Promise.withResolvers<string>();
    const httpAddresses = await this.#listenHttp(key.promise);
    const tls = await this.#readNbdTls();
    for (const address of this.#settings.nbd.addresses)
      this.#nbdAddresses.push(await this.#listenNbd({ kind: "tcp", ...address }, tls));
    const iscsiRules = await this.#listenIscsi();
    const peerAddress = await this.#listenPeers();

    await this.#openPool(stack, firstVolume);
    await this.#openIscsi(iscsiRules);
    const adminKey = await this.#readAdminKey();
    key.resolve(adminKey);
    await this.#listenNbd({ kind: "unix", path: this.#directory.nbdSocket }, tls);
    this.#opened.resolve(this.#control!);
    await this.#http?.warmUp(adminKey);
    await this.#directory.writeEndpoints({
      pid: process.pid,
      nbd: this.#nbdAddresses,
      iscsi: this.#portals.map(({ address }) => address),
      http: httpAddresses,
      peer: [peerAddress],
      url: this.#url,
    });
    this.#isAnnounced = true;
    this.#loop.reset();
    for (const address of [...this.#nbdAddresses, this.#directory.nbdSocket])
      this.#log.info({ frontEnd: "nbd", address }, `NBD listens on ${address}`);
    for (const { address } of this.#portals)
      this.#log.info({ frontEnd: "iscsi", address }, `iSCSI listens on ${address}`);
    this.#log.info({ frontEnd: "peer", address: peerAddress }, `peers come to ${peerAddress}`);
    this.#log.info({ frontEnd: "http", address: this.#url }, `HTTP listens on ${this.#url}`);
  }

  /** Accepts no more, finishes what is in work, flushes, checkpoints. Works on a start that failed, too. */
  async stop(): Promise<void> {
    this.#opened.reject(new RopewalkError("SHUTTING_DOWN", "The daemon stops before it served anything."));
    await Promise.all([
      ...this.#listeners.map((listener) => listener.close()),
      this.#nbd?.close({ graceMs: CLIENT_GRACE_MS }),
      this.#iscsi?.close({ graceMs: CLIENT_GRACE_MS }),
      this.#http?.close(CLIENT_GRACE_MS),
      this.#filesync?.close(),
      this.#control?.stop(),
    ]);
    // From the outside in: stacks hold openings of volumes, tokens hold pins of the pool.
    await this.#stacks?.close();
    await this.#tokens?.close();
    await this.#pool?.close();
    await this.#pageThreads?.close();
    if (this.#isAnnounced) await this.#directory?.removeEndpoints();
  }

  /** Where everything is, and what to try next. */
  describe(): string {
    const { path, nbdSocket, adminKeyFile } = this.#directory!;
    const { pool } = this.#control!.status.now();
    const volume = this.#control!.volumes.list()[0]?.name;
    const command = process.argv[1]?.endsWith("/src/main.ts") ? "bin/ropewalk" : "ropewalk";
    const data = path === resolve("ropewalk-data") ? "" : ` --data ${path}`;
    const next =
      volume === undefined ? `volume create disk --size 10GiB${data}` : `volume show ${volume}${data}`;
    const scheme = this.#settings.nbd.tls?.isRequired ? "nbds" : "nbd";
    return [
      `Ropewalk ${this.#version} serves ${path}`,
      `  pool   ${formatSize(pool.usedBytes)} of ${formatSize(pool.sizeBytes)} used, ${pool.volumes} volume${pool.volumes === 1 ? "" : "s"}`,
      ...this.#nbdAddresses.map((address) => `  NBD    ${scheme}://${address}/${volume ?? "VOLUME"}`),
      `  NBD    nbd+unix:///${volume ?? "VOLUME"}?socket=${nbdSocket}`,
      ...this.#portals.map(
        ({ address }) => `  iSCSI  iscsi://${address}/${this.#iscsiNamePrefix}${volume ?? "VOLUME"}/0`,
      ),
      `  HTTP   ${this.#url}/api/v1`,
      `  key    ${this.#settings.adminKeyFile ?? adminKeyFile}`,
      `Try next: ${command} ${next}`,
      "",
    ].join("\n");
  }

  async #listenHttp(key: Promise<string>): Promise<string[]> {
    const { BearerKey, HTTP_LIMITS_DEFAULT, HttpServer } = await import("./frontend/http/mod.ts");
    const { address, tls, connectionsMax, requestTimeoutMs } = this.#settings.http;
    const bearerKey = key.then((text) => new BearerKey(text));
    const files = tls && (await readTlsFiles("http", tls));
    // Refuses with INVALID_CONFIG what the HTTPS server would only throw an error of its library for.
    if (files) this.#network.tlsIdentity(files);
    this.#http = new HttpServer({
      control: this.#opened.promise,
      key: bearerKey,
      version: this.#version,
      log: this.#log,
      connections: () => ({
        nbd: this.#nbd?.counters.connections ?? 0,
        iscsi: this.#iscsi?.counters.connections ?? 0,
        peer: this.#filesync?.connections ?? 0,
      }),
      iscsi: () => this.#iscsi?.counters,
      limits: {
        ...HTTP_LIMITS_DEFAULT,
        ...(connectionsMax === undefined ? {} : { connectionsMax }),
        ...(requestTimeoutMs === undefined ? {} : { requestTimeoutMs }),
      },
      tls: files,
      clock: hostClock,
    });
    const addresses = await this.#http.listen(address);
    this.#url = `${files ? "https" : "http"}://${addresses[0]}`;
    return addresses;
  }

  async #readNbdTls(): Promise<TlsMode> {
    const { tls } = this.#settings.nbd;
    if (!tls) return { mode: "none" };
    const identity = this.#network.tlsIdentity(await readTlsFiles("nbd", tls));
    return { mode: tls.isRequired ? "forced" : "optional", identity };
  }

  /** Clients that come before the pool is open are sent away; by then the address is taken. */
  async #listenNbd(address: StreamAddress, tls: TlsMode): Promise<string> {
    const isLocal = address.kind === "unix";
    const mode = isLocal && tls.mode === "forced" ? { ...tls, mode: "optional" as const } : tls;
    const listener = await this.#network.listen(address, (peer) => this.#nbd?.accept(peer, mode));
    this.#listeners.push(listener);
    if (listener.address.kind === "unix") return listener.address.path;
    const { formatAddress } = await import("./control/mod.ts");
    return formatAddress(listener.address as Address);
  }

  /** As with NBD: initiators that come before the pool is open are sent away. */
  async #listenIscsi(): Promise<IscsiRules> {
    const { formatAddress, IscsiRules } = await import("./control/mod.ts");
    const rules = await IscsiRules.read(this.#settings.iscsi, (path) =>
      readConfiguredFile("CHAP secret", path),
    );
    for (const { portalGroupTag, ...address } of this.#settings.iscsi.portals) {
      // Filled in when the address is known, which is before anybody can have come.
      const portal = { address: "", portalGroupTag, relativePort: portalGroupTag };
      const listener = await this.#network.listen({ kind: "tcp", ...address }, (peer) =>
        this.#iscsi?.accept(peer, portal),
      );
      this.#listeners.push(listener);
      portal.address = formatAddress(listener.address as Address);
      this.#portals.push(portal);
    }
    return rules;
  }

  /** As with NBD. */
  async #listenPeers(): Promise<string> {
    const { formatAddress } = await import("./control/mod.ts");
    const { address } = this.#settings.peer;
    const listener = await this.#network.listen({ kind: "tcp", ...address }, (peer) =>
      this.#filesync?.accept(peer),
    );
    this.#listeners.push(listener);
    return formatAddress(listener.address as Address);
  }

  async #openIscsi(rules: IscsiRules): Promise<void> {
    if (this.#portals.length === 0) return;
    const { ISCSI_NAME_PREFIX, IscsiTargets } = await import("./control/mod.ts");
    const { IscsiServer, UnitTargets } = await import("./frontend/iscsi/mod.ts");
    const { volumes, exports } = this.#control!;
    const { reservations } = this.#directory!;
    const uuids = new Set(volumes.list().map(({ uuid }) => uuid));
    for (const uuid of await reservations.list()) if (!uuids.has(uuid)) await reservations.remove(uuid);
    const targets = new UnitTargets({
      targets: new IscsiTargets({ volumes, exports, rules }),
      portals: this.#portals,
      reservations: (uuid) => ({
        load: () => reservations.read(uuid),
        save: (text) => reservations.write(uuid, text),
      }),
      clock: hostClock,
      tokens: this.#tokens,
      tokenSecondsMax: Math.floor(this.#tokens!.settings.ttlMsMax / 1000),
    });
    const { connectionsMax } = this.#settings.iscsi;
    this.#iscsiNamePrefix = ISCSI_NAME_PREFIX;
    this.#iscsi = new IscsiServer({
      targets,
      portals: this.#portals,
      clock: hostClock,
      random: hostRandom,
      pageThreads: this.#pageThreads,
      limits: connectionsMax === undefined ? {} : { connectionsMax },
      report: (peer, sentence) => this.#log.info({ frontEnd: "iscsi", peer }, sentence),
    });
  }

  async #openPool(stack: Stack, firstVolume: { name: string; sizeBytes: number } | undefined): Promise<void> {
    const { Control, NbdExportTable, openPool } = await import("./control/mod.ts");
    const { NbdServer } = await import("./frontend/nbd/mod.ts");
    const { Pool } = await import("./pool/mod.ts");
    const { pool, isNew } = await openPool(this.#directory!, {
      maker: Pool,
      clock: hostClock,
      random: hostRandom,
      pageThreads: this.#pageThreads,
      settings: this.#settings.pool,
    });
    this.#pool = pool;
    const loop = this.#loop;
    const machine = {
      version: this.#version,
      rssBytes: () => process.memoryUsage.rss(),
      longestTurnMs: () => loop.longestTurnMs(),
      longestDelayMs: () => loop.longestDelayMs(),
    };
    const tokens = await this.#openTokens(pool);
    const stacks = await this.#makeStacks(pool);
    const filesync = await this.#makeFilesync();
    this.#control = new Control({
      pool,
      clock: hostClock,
      machine,
      stack,
      tokens,
      stacks,
      filesyncs: filesync.filesyncs,
      filesyncTargets: filesync.targets,
    });
    await stacks.load();
    await filesync.load();
    if (isNew && firstVolume) await this.#control.volumes.create(firstVolume);
    const { connectionsMax } = this.#settings.nbd;
    this.#nbd = new NbdServer({
      exports: new NbdExportTable(this.#control.exports),
      clock: hostClock,
      pageThreads: this.#pageThreads,
      limits: connectionsMax === undefined ? {} : { connectionsMax },
      report: (peer, sentence) => this.#log.info({ frontEnd: "nbd", peer }, sentence),
    });
  }

  async #openTokens(pool: OpenedPool["pool"]): Promise<TokenRoom> {
    const { ChecksumFiles, DEFAULT_TOKEN_SETTINGS, TokenRoom } = await import("./offload/mod.ts");
    const path = this.#directory!.tokenKeyFile;
    const { key, isExposed } = await openTokenKey(path, hostRandom);
    if (isExposed) this.#log.warn({ path }, `${path} can be read by others; chmod 600 it`);
    const { tokens } = this.#settings;
    // Who only lowers the maximum means the default, too.
    const ttlMs = tokens.ttlMs ?? Math.min(DEFAULT_TOKEN_SETTINGS.ttlMs, tokens.ttlMsMax ?? Infinity);
    const report = (sentence: string) => this.#log.info({ room: "tokens" }, sentence);
    const checksumFiles = await ChecksumFiles.open({ disk: await this.#directory!.openChecksums(), report });
    this.#tokens = await TokenRoom.open({
      pool,
      clock: hostClock,
      random: hostRandom,
      key,
      settings: { ...tokens, ttlMs },
      checksumFiles,
      report,
    });
    return this.#tokens;
  }

  async #makeStacks(pool: OpenedPool["pool"]): Promise<StackedVolumes> {
    const { makeStackBuilder, StackedVolumes } = await import("./control/mod.ts");
    const { path, stacks } = this.#directory!;
    const builder = makeStackBuilder({
      exports: () => this.#control!.exports,
      members: {
        openFile: (file) => openFileDevice(file),
        openNbd: (uri) => openNbdClientDevice(uri),
        isOwnFile: (file) => isInFolder(file, path),
      },
      tokens: this.#tokens,
      world: { clock: hostClock, print: (line) => this.#log.info({ layer: "trace" }, line) },
    });
    this.#stacks = new StackedVolumes({
      texts: stacks,
      builder,
      clock: hostClock,
      random: hostRandom,
      poolHas: (volume) => pool.volumes().some(({ name }) => name === volume),
      report: (stack, err) =>
        this.#log.error({ stack, err }, `the stack ${stack} cannot be put together: ${err.message}`),
    });
    return this.#stacks;
  }

  async #makeFilesync(): Promise<FilesyncService> {
    const { FilesyncService } = await import("./control/mod.ts");
    const directory = this.#directory!;
    this.#filesync = new FilesyncService({
      definitions: directory.filesyncs,
      targetDefinitions: directory.filesyncTargets,
      machine: filesyncMachine({ journalFile: (name) => directory.journalFile(name) }),
      network: this.#network,
      openSshStream,
      clock: hostClock,
      random: hostRandom,
      hostName: hostname(),
      dataDirectory: directory.path,
      connectionsMax: this.#settings.peer.connectionsMax,
      report: (sentence, filesync) => this.#log.info({ room: "filesync", filesync }, sentence),
    });
    return this.#filesync;
  }

  async #readAdminKey(): Promise<string> {
    const path = this.#settings.adminKeyFile ?? this.#directory!.adminKeyFile;
    const { key, isExposed } = await openAdminKey(path, hostRandom);
    if (isExposed) this.#log.warn({ path }, `${path} can be read by others; chmod 600 it`);
    return key;
  }
}

async function readTlsFiles(frontEnd: string, names: TlsFileNames): Promise<TlsFiles> {
  const read = (what: string, path: string) => readConfiguredFile(`${what} of ${frontEnd}.tls`, path);
  return {
    certificate: await read("certificate", names.certificate),
    key: await read("key", names.key),
    ...(names.clientAuthority === undefined
      ? {}
      : { clientAuthority: await read("client authority", names.clientAuthority) }),
  };
}
