/**
 * Whether a cursor follows the log, and what its reader hears when it does not: PIN_DROPPED, BASE_LOST,
 * CURSOR_NOT_FOUND. Always holds: a record of any turn may change a cursor's state, so whoever waited asks again.
 */
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";
import type { Catalogue, CursorObject } from "../volume/catalogue.ts";

/** Whether the cursor is still there and in a state. */
export function isStill(catalogue: Catalogue, cursor: CursorObject, state: CursorObject["state"]): boolean {
  return catalogue.objects.get(cursor.id) === cursor && cursor.state === state;
}

/** The cursor of a name, if it follows the log. */
export function followingCursor(catalogue: Catalogue, name: string): CursorObject {
  const cursor = catalogue.cursor(name);
  if (cursor.state === "following") return cursor;
  if (cursor.state === "dropped")
    throw new RopewalkError(
      "PIN_DROPPED",
      `the log that cursor ${quoted(name)} needs was given up to stay within its budget; restart it and read the difference`,
    );
  throw new RopewalkError(
    "BASE_LOST",
    `cursor ${quoted(name)} lost its frozen map as well; restart it and copy the volume whole`,
  );
}

/** Throws unless the cursor that is being read still follows the log. */
export function checkStillFollowing(catalogue: Catalogue, cursor: CursorObject): void {
  if (isStill(catalogue, cursor, "following")) return;
  followingCursor(catalogue, cursor.name);
  throw new RopewalkError("CURSOR_NOT_FOUND", `cursor ${quoted(cursor.name)} was deleted while it was read`);
}
