import type { TokenTreeNode } from "./types.js";

interface BuildNode {
  ids: Int32Array;
  start: number;
  parent: BuildNode | undefined;
  /** By the first of their tokens. */
  children: Map<number, BuildNode>;
  samples: Set<number>;
  isSampled: boolean;
  inLoss: boolean;
  /** Numbers of the sequences that end with it. */
  ends: number[];
}

/** A call's tokens. */
export interface Sequence {
  prompt: Int32Array;
  sampled: Int32Array;
  /** Whose call it is. */
  sample: number;
  /** Its sampled tokens are. */
  inLoss: boolean;
}

/** The token sequences of a group, with their common beginnings once. */
export class SequenceTree {
  readonly #root: BuildNode = node(new Int32Array(0), 0, undefined);
  #sequences = 0;

  /** Adds a call's tokens. Returns its number, counted from 0. */
  add({ prompt, sampled, sample, inLoss }: Sequence): number {
    const number = this.#sequences++;
    const before = extend(this.#root, prompt);
    const end = extend(before, sampled);
    for (let up = end; up !== before; up = up.parent as BuildNode) {
      up.isSampled = true;
      up.inLoss ||= inLoss;
    }
    for (let up: BuildNode | undefined = end; up && !up.samples.has(sample); up = up.parent) up.samples.add(sample);
    end.ends.push(number);
    return number;
  }

  /** The nodes in depth-first order, and for each sequence the node of its last token (-1 where it has none). */
  finish(): { nodes: TokenTreeNode[]; ends: number[] } {
    const nodes: TokenTreeNode[] = [];
    const ends: number[] = new Array(this.#sequences).fill(-1);
    const open: { from: BuildNode; parent: number }[] = [...this.#root.children.values()]
      .reverse()
      .map((from) => ({ from, parent: -1 }));
    for (let next = open.pop(); next; next = open.pop()) {
      const { from, parent } = next;
      const index = nodes.length;
      const samples = [...from.samples].sort((a, b) => a - b);
      const { start, ids, isSampled, inLoss } = from;
      nodes.push({ parent, start, ids, samples, isSampled, inLoss });
      for (const sequence of from.ends) ends[sequence] = index;
      for (const child of [...from.children.values()].reverse()) open.push({ from: child, parent: index });
    }
    return { nodes, ends };
  }
}

/** The first `length` tokens on the path to a node. */
export function pathIds(nodes: readonly TokenTreeNode[], end: number, length: number): Int32Array {
  const ids = new Int32Array(length);
  for (let index = end; index >= 0; ) {
    const { parent, start, ids: part } = nodes[index] as TokenTreeNode;
    if (start < length) ids.set(part.subarray(0, length - start), start);
    index = parent;
  }
  return ids;
}

function node(ids: Int32Array, start: number, parent: BuildNode | undefined): BuildNode {
  return { ids, start, parent, children: new Map(), samples: new Set(), isSampled: false, inLoss: false, ends: [] };
}

/** Goes down from the end of a node along `ids`, which it adds where they are new. The node that ends with them. */
function extend(from: BuildNode, ids: Int32Array): BuildNode {
  let at = from;
  for (let i = 0; i < ids.length; ) {
    const child = at.children.get(ids[i] as number);
    if (child === undefined) return append(at, ids.subarray(i));
    const same = commonLength(child.ids, ids.subarray(i));
    at = same < child.ids.length ? split(child, same) : child;
    i += same;
  }
  return at;
}

function append(parent: BuildNode, ids: Int32Array): BuildNode {
  const child = node(ids, parent.start + parent.ids.length, parent);
  parent.children.set(ids[0] as number, child);
  return child;
}

/** Cuts a node in two; returns the upper part. */
function split(lower: BuildNode, length: number): BuildNode {
  const parent = lower.parent as BuildNode;
  const upper = node(lower.ids.subarray(0, length), lower.start, parent);
  parent.children.set(upper.ids[0] as number, upper);
  for (const sample of lower.samples) upper.samples.add(sample);
  upper.isSampled = lower.isSampled;
  upper.inLoss = lower.inLoss;
  lower.ids = lower.ids.subarray(length);
  lower.start += length;
  lower.parent = upper;
  upper.children.set(lower.ids[0] as number, lower);
  return upper;
}

function commonLength(a: Int32Array, b: Int32Array): number {
  const most = Math.min(a.length, b.length);
  let same = 0;
  while (same < most && a[same] === b[same]) same++;
  return same;
}
