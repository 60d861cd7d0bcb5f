/**
 * What each iSCSI target asks of initiators, with the secrets read from their files.
 * Always holds: every secret has 12 to 255 bytes, and a target's own differs from those of its users (RFC 7143, 12.1.3).
 * Errors: INVALID_CONFIG.
 */
import { RopewalkError } from "../base/errors.ts";
import { quoted } from "../base/object-name.ts";
import {
  checkSecret,
  type GivenCredentials,
  type GivenTargetRules,
  type IscsiSettings,
} from "./settings/iscsi-settings.ts";

export interface ChapCredentials {
  readonly user: string;
  readonly secret: string;
}

export interface IscsiTargetRules {
  /** Users that may log in; empty lets everybody. */
  readonly users: readonly ChapCredentials[];
  /** Who the target is to initiators that ask. */
  readonly mutual: ChapCredentials | undefined;
  /** Names of initiators that may log in, in lower case; empty lets any. */
  readonly initiators: readonly string[];
  readonly blockBytes: number;
}

export class IscsiRules {
  readonly #rules: IscsiTargetRules;
  readonly #targets: ReadonlyMap<string, IscsiTargetRules>;

  private constructor(rules: IscsiTargetRules, targets: ReadonlyMap<string, IscsiTargetRules>) {
    this.#rules = rules;
    this.#targets = targets;
  }

  /** `readSecret` reads a file that the settings name. */
  static async read(
    { rules, targets }: Pick<IscsiSettings, "rules" | "targets">,
    readSecret: (path: string) => Promise<string>,
  ): Promise<IscsiRules> {
    const own = new Map<string, IscsiTargetRules>();
    for (const [volume, given] of targets) own.set(volume, await withSecrets(given, readSecret));
    return new IscsiRules(await withSecrets(rules, readSecret), own);
  }

  of(volume: string): IscsiTargetRules {
    return this.#targets.get(volume) ?? this.#rules;
  }
}

async function withSecrets(
  { chap, mutual, initiators, blockBytes }: GivenTargetRules,
  readSecret: (path: string) => Promise<string>,
): Promise<IscsiTargetRules> {
  const users: ChapCredentials[] = [];
  for (const given of chap) users.push(await credentials(given, readSecret));
  const own = mutual && (await credentials(mutual, readSecret));
  if (own && users.some(({ secret }) => secret === own.secret))
    throw new RopewalkError(
      "INVALID_CONFIG",
      `The target's own secret (mutual, user ${quoted(own.user)}) is also a user's; give it another one, or whoever knows it could answer for both.`,
    );
  return { users, mutual: own, initiators, blockBytes };
}

async function credentials(
  { user, secret, secretFile }: GivenCredentials,
  readSecret: (path: string) => Promise<string>,
): Promise<ChapCredentials> {
  if (secretFile === undefined) return { user, secret: secret! };
  const text = (await readSecret(secretFile)).trimEnd();
  return { user, secret: checkSecret(`user ${quoted(user)} in ${secretFile}`, text) };
}
