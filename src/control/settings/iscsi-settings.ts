/**
 * The settings of the iSCSI front end: its portals, and what targets ask of initiators.
 *
 * Always holds: what is given for one target goes over what is given for all, key by key; every secret has 12 to 255
 * bytes (RFC 7143, 12.1.3, asks for 96 bits) unless it stands in a file, where it is checked when that is read.
 * Errors: INVALID_CONFIG with the place, INSECURE_ADDRESS.
 */
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";
import { type Address, formatAddress, isLoopbackHost, parseAddress } from "./address.ts";
import type { SettingsReader } from "./settings-reader.ts";

export interface IscsiPortal extends Address {
  readonly portalGroupTag: number;
}

/** Exactly one of `secret` and `secretFile` is given. */
export interface GivenCredentials {
  readonly user: string;
  readonly secret?: string;
  readonly secretFile?: string;
}

export interface GivenTargetRules {
  /** Users that may log in; empty lets everybody. */
  readonly chap: readonly GivenCredentials[];
  /** Who the target is to initiators that ask. */
  readonly mutual: GivenCredentials | undefined;
  /** Names of initiators that may log in, in lower case; empty lets any. */
  readonly initiators: readonly string[];
  readonly blockBytes: number;
}

export interface IscsiSettings {
  readonly portals: readonly IscsiPortal[];
  readonly connectionsMax: number | undefined;
  /** Of targets that are not named. */
  readonly rules: GivenTargetRules;
  readonly targets: ReadonlyMap<string, GivenTargetRules>;
}

export const SECRET_BYTES_MIN = 12;
export const SECRET_BYTES_MAX = 255;
export const ISCSI_PORTAL_DEFAULT = "127.0.0.1:3260";
const PORTAL_GROUP_TAG_MAX = 65_535;
const BLOCK_BYTES = [512, 4096];
/** RFC 7143, 4.2.7.1: the forms of names, at most 223 bytes. */
const ISCSI_NAME =
  /^(?:iqn\.\d{4}-\d{2}\.[a-z0-9.:-]+|eui\.[0-9a-f]{16}|naa\.(?:[0-9a-f]{16}|[0-9a-f]{32}))$/;
const ISCSI_NAME_BYTES_MAX = 223;

type GivenInFile = Partial<GivenTargetRules>;

export function readIscsiSettings(
  reader: SettingsReader,
  { insecure }: { insecure: boolean },
): IscsiSettings {
  const none: GivenTargetRules = { chap: [], mutual: undefined, initiators: [], blockBytes: BLOCK_BYTES[0]! };
  const portals = reader.texts("iscsi.addresses", parsePortal) ?? [parsePortal(ISCSI_PORTAL_DEFAULT)];
  const given: GivenInFile = withoutUndefined({
    chap: reader.value("iscsi.chap", (value) => (value as GivenCredentials[]).map(checkCredentials)),
    mutual: reader.value("iscsi.mutual", (value) => checkCredentials(value as GivenCredentials)),
    initiators: reader.texts("iscsi.initiators", parseInitiator),
    blockBytes: reader.value("iscsi.blockBytes", checkBlockBytes),
  });
  const rules = { ...none, ...given };
  const places = ["iscsi.chap", "iscsi.mutual"].map((key) => reader.placeOf(key));
  checkTogether(rules, places.find((place) => place !== undefined) ?? "iscsi");
  const targets =
    reader.value("iscsi.targets", (value, where) =>
      Object.entries(value as Record<string, GivenInFile>).map(
        ([volume, own]) => [volume, targetRules(rules, own, `${where}: iscsi.targets.${volume}`)] as const,
      ),
    ) ?? [];
  const settings = {
    portals,
    connectionsMax: reader.number("iscsi.connectionsMax", { minimum: 1, maximum: 65_536 }),
    rules,
    targets: new Map(targets),
  };
  if (!insecure) refuseOpenPortals(settings);
  return settings;
}

/** `HOST:PORT`, or `HOST:PORT,TAG`. INVALID_CONFIG */
export function parsePortal(text: string): IscsiPortal {
  const comma = text.indexOf(",");
  if (comma < 0) return { ...parseAddress(text), portalGroupTag: 1 };
  const tag = text.slice(comma + 1);
  if (/^\d{1,5}$/.test(tag) && Number(tag) >= 1 && Number(tag) <= PORTAL_GROUP_TAG_MAX)
    return { ...parseAddress(text.slice(0, comma)), portalGroupTag: Number(tag) };
  throw new Error(`${quoted(tag)} is no portal group tag; use 1 to ${PORTAL_GROUP_TAG_MAX}.`);
}

/** The secret's text itself. `what` stands in the sentence. INVALID_CONFIG */
export function checkSecret(what: string, secret: string): string {
  const bytes = Buffer.byteLength(secret);
  if (bytes >= SECRET_BYTES_MIN && bytes <= SECRET_BYTES_MAX) return secret;
  throw new RopewalkError(
    "INVALID_CONFIG",
    `The secret of ${what} has ${bytes} bytes; CHAP needs ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX}.`,
  );
}

function targetRules(rules: GivenTargetRules, own: GivenInFile, where: string): GivenTargetRules {
  try {
    const merged = {
      ...rules,
      ...withoutUndefined({
        chap: own.chap?.map(checkCredentials),
        mutual: own.mutual && checkCredentials(own.mutual),
        initiators: own.initiators?.map(parseInitiator),
        blockBytes: own.blockBytes,
      }),
    };
    // Without users there is nobody to be asked by, so an emptied list takes the target's own name with it.
    const isEmptied = own.chap?.length === 0 && own.mutual === undefined;
    const result = isEmptied ? { ...merged, mutual: undefined } : merged;
    checkTogether(result, where);
    return result;
  } catch (cause) {
    if (cause instanceof RopewalkError && cause.message.startsWith(where)) throw cause;
    throw new RopewalkError("INVALID_CONFIG", `${where}: ${(cause as Error).message}`, { cause });
  }
}

function checkCredentials(given: GivenCredentials): GivenCredentials {
  const { user, secret, secretFile } = given;
  if ((secret === undefined) === (secretFile === undefined))
    throw new Error(`user ${quoted(user)} needs either secret or secretFile.`);
  if (secret !== undefined) checkSecret(`user ${quoted(user)}`, secret);
  return given;
}

function checkTogether({ chap, mutual }: GivenTargetRules, where: string): void {
  const refuse = (sentence: string): never => {
    throw new RopewalkError("INVALID_CONFIG", `${where}: ${sentence}`);
  };
  const users = chap.map(({ user }) => user);
  const twice = users.find((user, index) => users.indexOf(user) !== index);
  if (twice !== undefined) refuse(`user ${quoted(twice)} is given twice.`);
  if (mutual && chap.length === 0) refuse("mutual needs chap: a target answers only those that it asks.");
}

function parseInitiator(text: string): string {
  const name = text.toLowerCase();
  if (name.length <= ISCSI_NAME_BYTES_MAX && ISCSI_NAME.test(name)) return name;
  throw new Error(
    `${quoted(text)} is no initiator's name; it looks like iqn.2004-10.com.example:host, eui.0123456789abcdef or naa.0123456789abcdef.`,
  );
}

function checkBlockBytes(value: unknown): number {
  if (BLOCK_BYTES.includes(value as number)) return value as number;
  throw new Error(`it must be one of ${BLOCK_BYTES.join(", ")}`);
}

/** iSCSI has no TLS (RFC 7143, 9): what there is are CHAP and the initiator's name. */
function refuseOpenPortals({ portals, rules, targets }: IscsiSettings): void {
  const open = portals.find(({ host }) => !isLoopbackHost(host));
  if (!open) return;
  const isGuarded = ({ chap, initiators }: GivenTargetRules) => chap.length > 0 || initiators.length > 0;
  const [bare] = [...targets].find(([, own]) => !isGuarded(own)) ?? [];
  if (isGuarded(rules) && bare === undefined) return;
  const [whose, key] = isGuarded(rules)
    ? [`the target of ${bare}`, `iscsi.targets.${bare}`]
    : ["every target", "iscsi"];
  throw new RopewalkError(
    "INSECURE_ADDRESS",
    `${formatAddress(open)} is not loopback: give ${whose} users (${key}.chap) or a list of initiators (${key}.initiators), or say --insecure.`,
  );
}

function withoutUndefined<Given extends object>(
  given: Given,
): { [Key in keyof Given]?: NonNullable<Given[Key]> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as never;
}
