import type { TreeNodeReply, TreeReply } from "../../src/logview/api-types.js";

/** A node as it is drawn: below its parent, indented. */
export interface DrawnNode {
  index: number;
  node: TreeNodeReply;
  /** Branchings above it. */
  depth: number;
  /** Tokens that would have been computed without sharing it. */
  saved: number;
}

/** The nodes in the order in which they are read: each branch to its end before the next. */
export function drawnNodes(tree: Pick<TreeReply, "nodes">): DrawnNode[] {
  const children = new Map<number, number[]>();
  for (const [index, { parent }] of tree.nodes.entries()) {
    const list = children.get(parent);
    if (list) list.push(index);
    else children.set(parent, [index]);
  }
  const drawn: DrawnNode[] = [];
  const stack = [...(children.get(-1) ?? [])].reverse().map((index) => ({ index, depth: 0 }));
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { index, depth } = next;
    const node = tree.nodes[index] as TreeNodeReply;
    drawn.push({ index, node, depth, saved: node.ids.length * Math.max(0, node.samples.length - 1) });
    const below = children.get(index) ?? [];
    // What goes on alone stays in its column.
    const step = below.length > 1 ? 1 : 0;
    stack.push(...[...below].reverse().map((child) => ({ index: child, depth: depth + step })));
  }
  return drawn;
}
