/**
 * An inner node in memory: 512 children, each a node id, CHILD_HOLE or CHILD_ZERO.
 * Always holds: children of a node of level n are of level n − 1; level 0 are leaves.
 */
import { FANOUT, NODE_INDEX_FIRST } from "../format/layout.ts";

export class InnerNode {
  readonly id: number;
  readonly level: number;
  readonly children = new Float64Array(FANOUT);
  dirty = false;
  frozen = false;
  recent = true;
  ring = -1;
  readonly memoryBytes = FANOUT * 8 + 300;

  constructor(id: number, level: number) {
    this.id = id;
    this.level = level;
  }

  release(): void {
    // Nothing outside the garbage collector's sight.
  }
}

/** Whether a child is a node, rather than a hole or zeros. */
export function isNode(child: number): boolean {
  return child >= NODE_INDEX_FIRST;
}
