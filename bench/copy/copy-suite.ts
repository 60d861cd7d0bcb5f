// Suite `copy`: copies that move no data, by the command, by tokens over iSCSI and by the token of zeros, beside the
// programs that move it; and what tokens themselves cost.
import { measureGroups, type SuiteContext, type SuiteResult } from "../suite.ts";
import { copySizes, sizeText } from "./copy-sizes.ts";
import { liveTokens } from "./live-tokens.ts";
import { thinCopies } from "./thin-copies.ts";
import { tokenCopies } from "./token-copies.ts";
import { wholeCopy } from "./whole-copy.ts";

export async function copySuite(context: SuiteContext): Promise<SuiteResult> {
  const { volumeBytes, pieceBytes, thinShare } = copySizes(context);
  const groups = [wholeCopy(context), tokenCopies(context), thinCopies(context), liveTokens(context)];
  return {
    rows: await measureGroups(groups, context),
    method: [
      `A volume of ${sizeText(volumeBytes)}, each page of it written once at random places; medians of ${context.rounds} rounds, ours and the peers in`,
      `rotating order, dirty pages written back first. Tokens over iSCSI in pieces of ${sizeText(pieceBytes)}, one command at a`,
      `time on one session. Thin volumes hold ${thinShare * 100} % of their size in 4 KiB writes at random places.`,
    ],
  };
}
