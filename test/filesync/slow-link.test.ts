import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.ts";
import { NETWORK_LINK_NEEDS } from "../support/network-link.ts";
import { slowLinkRun } from "./slow-link-run.ts";

test(
  "over a slow link that is cut and that swallows everything for a moment, all of it TLS, a changing tree is equal in the end",
  needs(...NETWORK_LINK_NEEDS, "rsync", "getfattr"),
  async () => {
    const said: string[] = [];
    const problems = await slowLinkRun({
      megabytes: 2,
      troubles: "short",
      seed: 1,
      say: (line) => said.push(line),
    });
    assert.deepEqual(problems, [], said.join("\n"));
  },
);
