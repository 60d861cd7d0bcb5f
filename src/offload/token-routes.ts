/**
 * Ways to what a token was made of: URIs under which the daemon serves it (T13).
 * Always holds: only what has a name that clients can open has routes; a member within a stack has none.
 */
import { POOL_PROVIDER } from "./pool-origin.ts";
import type { TokenInfo } from "./token-service.ts";

/**
 * `templates` with the source's name: `{source}` is VOLUME or VOLUME@SNAPSHOT, `{volume}` stands in those for volumes,
 * and `{volume}` with `{snapshot}` in those for snapshots.
 */
export function routesTo(
  templates: readonly string[],
  { provider, source }: Pick<TokenInfo, "provider" | "source">,
): string[] {
  // A stack's own provider has the stack's name, one of its members another.
  if (source === "" || (provider !== POOL_PROVIDER && provider !== source)) return [];
  const [volume, snapshot] = source.split("@") as [string, string | undefined];
  return templates
    .filter((template) => {
      if (template.includes("{snapshot}")) return snapshot !== undefined;
      return template.includes("{source}") || snapshot === undefined;
    })
    .map((template) =>
      template
        .replace("{source}", source)
        .replace("{volume}", volume)
        .replace("{snapshot}", snapshot ?? ""),
    );
}
