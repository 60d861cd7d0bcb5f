/** The part of the token room that the use cases need: its service, what it counts, and its settings. */
import type { TokenRoom, TokenService } from "../offload/mod.ts";

export type ControlledTokens = TokenService & Pick<TokenRoom, "counters" | "settings">;
