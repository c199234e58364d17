import { describe, expect, it } from "vitest";
import { random } from "../../../bench/campaigns/generated-steps.mjs";
import { pathIds, SequenceTree } from "../../../src/report/token-log/sequence-tree.js";

type Given = [prompt: number[], sampled: number[], sample: number, inLoss?: boolean];

function tree(sequences: readonly Given[]) {
  const built = new SequenceTree();
  for (const [prompt, sampled, sample, inLoss = true] of sequences) {
    built.add({ prompt: Int32Array.from(prompt), sampled: Int32Array.from(sampled), sample, inLoss });
  }
  return built.finish();
}

describe("SequenceTree", () => {
  it("holds what sequences have in common once, with the samples that pass through", () => {
    const { nodes, ends } = tree([
      [[1, 2, 3], [4, 4], 0],
      [[1, 2, 3, 4, 4, 5], [6], 0],
      [[1, 2], [7], 1, false],
    ]);
    expect(nodes.map(({ ids, ...node }) => ({ ...node, ids: [...ids] }))).toEqual([
      { parent: -1, start: 0, ids: [1, 2], samples: [0, 1], isSampled: false, inLoss: false },
      { parent: 0, start: 2, ids: [3], samples: [0], isSampled: false, inLoss: false },
      { parent: 1, start: 3, ids: [4, 4], samples: [0], isSampled: true, inLoss: true },
      { parent: 2, start: 5, ids: [5], samples: [0], isSampled: false, inLoss: false },
      { parent: 3, start: 6, ids: [6], samples: [0], isSampled: true, inLoss: true },
      { parent: 0, start: 2, ids: [7], samples: [1], isSampled: true, inLoss: false },
    ]);
    expect(ends).toEqual([2, 4, 5]);
  });

  it("ends a node where a prompt or a reply ends, also within one that was there before", () => {
    const { nodes, ends } = tree([
      [[1, 2, 3, 4], [], 0],
      [[1], [2], 1],
      [[], [], 2],
    ]);
    expect(nodes.map(({ ids, samples, isSampled }) => [[...ids], samples, isSampled])).toEqual([
      [[1], [0, 1], false],
      [[2], [0, 1], true],
      [[3, 4], [0], false],
    ]);
    expect(ends).toEqual([2, 1, -1]);
  });

  it("gives every sequence back, stores no token twice, and names the samples of each node, for random sequences", () => {
    for (let seed = 1; seed <= 60; seed++) {
      const next = random(seed);
      const ids = (most: number) => Array.from({ length: Math.floor(next() * most) }, () => Math.floor(next() * 3));
      const sequences = Array.from({ length: 12 }, (_, i): Given => [ids(9), ids(4), i % 4]);
      const { nodes, ends } = tree(sequences);
      const prefixes = new Map<string, Set<number>>();
      for (const [i, [prompt, sampled, sample]] of sequences.entries()) {
        const whole = [...prompt, ...sampled];
        expect([...pathIds(nodes, ends[i] as number, whole.length)]).toEqual(whole);
        for (let length = 1; length <= whole.length; length++) {
          const prefix = whole.slice(0, length).join();
          prefixes.set(prefix, (prefixes.get(prefix) ?? new Set()).add(sample));
        }
      }
      expect(nodes.reduce((sum, node) => sum + node.ids.length, 0)).toBe(prefixes.size);
      for (const [index, node] of nodes.entries()) {
        const prefix = pathIds(nodes, index, node.start + node.ids.length).join();
        expect(node.samples).toEqual([...(prefixes.get(prefix) ?? [])].sort());
        expect(node.parent).toBeLessThan(index);
      }
    }
  });
});
