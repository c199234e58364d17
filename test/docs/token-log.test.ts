import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, inflateRawSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generatedStep, tokenBytes } from "../../bench/campaigns/generated-steps.mjs";
import { TokenLogReader } from "../../src/report/token-log/reader.js";
import { TokenLogWriter } from "../../src/report/token-log/writer.js";
import { ROOT } from "../cli/ajet.js";

const page = readFileSync(join(ROOT, "docs/token-log.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "ajet-token-log-page-"));
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(async () => {
  const writer = await TokenLogWriter.open(folder, { lastStep: 0, tokenBytes });
  const shape = { groups: 2, episodes: 12, turns: 2, prompt: 20, sampled: 9, observed: 3 };
  for (const step of [1, 2]) writer.append(step, generatedStep(step, shape));
  writer.close();
});

/** A frame's parts, by the page. */
function frameAt(bytes: Buffer, offset: number) {
  const length = bytes.readUInt32LE(offset + 4);
  const stored = bytes.subarray(offset + 16, offset + 16 + length);
  expect(bytes.readUInt16LE(offset + 2)).toBe(0xa7e7);
  expect(bytes.readUInt32LE(offset + 12)).toBe(crc32(Buffer.concat([bytes.subarray(offset, offset + 12), stored])));
  const payload = bytes[offset + 1] === 1 ? inflateRawSync(stored) : stored;
  expect(payload).toHaveLength(bytes.readUInt32LE(offset + 8));
  return { type: bytes[offset], length: 16 + length, payload };
}

/** A record's parts. */
function recordAt(payload: Buffer, offset: number) {
  const text = payload.readUInt32LE(offset);
  const json = JSON.parse(payload.toString("utf8", offset + 4, offset + 4 + text));
  return { json, numbers: payload.subarray(offset + 4 + text) };
}

describe("docs/token-log.md", () => {
  it("names methods that the reader has", () => {
    const table = page.slice(page.indexOf("| `TokenLogReader.open"), page.indexOf("Every field is described"));
    const names = [...table.matchAll(/`(?:TokenLogReader\.)?(\w+)(?:\([^)]*\))?`/g)].map(([, name]) => name as string);
    expect(names.length).toBeGreaterThan(8);
    const known = ["FileError", ...Object.getOwnPropertyNames(TokenLogReader.prototype), "open"];
    expect(names.filter((name) => !known.includes(name) && !/^node|key$/.test(name))).toEqual([]);
  });

  it("has an example that runs", () => {
    const example = /^```ts\n([\s\S]*?)^```$/m.exec(page)?.[1] as string;
    const file = join(folder, "example.mjs");
    const code = example.replace('"ajet"', JSON.stringify(join(ROOT, "dist/report/token-log/reader.js")));
    writeFileSync(file, code.replace('"saved_experiments/my_run/tokens"', JSON.stringify(folder)));
    const lines = execFileSync(process.execPath, [file], { encoding: "utf8" }).trimEnd().split("\n");
    expect(lines[0]).toMatch(/^[12]\.\d+ [12] task-\d+ \d+ 0$/);
    expect(lines.at(-1)).toMatch(/^ \w+ -\d\S* -0\.5$/);
  });

  it("describes the format well enough to read it without ajet", async () => {
    const [name = ""] = readdirSync(folder).filter((entry) => entry.endsWith(".ajetlog"));
    expect(name).toBe("steps-00000001.ajetlog");
    const bytes = readFileSync(join(folder, name));
    expect(bytes.toString("utf8", 0, 8)).toBe("ajettoks");
    expect([bytes.readUInt32LE(8), bytes.readUInt32LE(12)]).toEqual([2, crc32(bytes.subarray(0, 12))]);
    const reader = await TokenLogReader.open(folder);
    let end = bytes.length;
    for (const step of [2, 1]) {
      const trailer = bytes.subarray(end - 24, end);
      expect(trailer.toString("utf8", 0, 4)).toBe("STEP");
      const indexAt = end - 24 - trailer.readUInt32LE(4);
      const start = end - trailer.readUInt32LE(8);
      expect(trailer.readUInt32LE(12)).toBe(bytes.readUInt32LE(indexAt + 12));
      expect(trailer.readUInt32LE(20)).toBe(crc32(trailer.subarray(0, 20)));
      const indexFrame = frameAt(bytes, indexAt);
      const { json: index } = recordAt(indexFrame.payload, 0);
      expect([indexFrame.type, index.step]).toEqual([2, step]);
      expect(trailer.readUInt32LE(16)).toBe(index.episodes.sample.length);
      const blocks = index.blocks.at.map((at: number, i: number) => {
        const { type, length, payload } = frameAt(bytes, start + at);
        expect([type, length]).toEqual([1, index.blocks.bytes[i]]);
        return payload;
      });
      const { group: groupOf, block, offset: offsets, sample } = index.episodes;
      for (const i of [0, 11, 12, sample.length - 1]) {
        const group = recordAt(blocks[index.groups.block[groupOf[i]]], index.groups.offset[groupOf[i]]);
        const { json, numbers } = recordAt(blocks[block[i]], offsets[i]);
        const { calls } = await reader.episode(`${step}.${i}`);
        let offset = 0;
        for (const [c, call] of json.episode.calls.entries()) {
          const read = calls[c];
          expect(pathTo(group, call.node).slice(0, call.prompt)).toEqual([...(read?.promptIds ?? [])]);
          expect(pathTo(group, call.node).slice(call.prompt)).toEqual([...(read?.sampledIds ?? [])]);
          for (const logprob of read?.logprobs ?? []) {
            expect(numbers.readFloatLE(offset)).toBe(logprob);
            offset += 4;
          }
          expect(call.has_entropies).toBe(true);
          for (const entropy of read?.entropies ?? []) {
            expect(numbers.readUInt16LE(offset) / 4096).toBe(entropy);
            offset += 2;
          }
          const messages = call.messages.map((n: number) => (n < 0 ? group.json.messages[-1 - n] : json.messages[n]));
          expect(messages).toEqual(read?.messages);
        }
        const isLast = offsets[i + 1] === undefined || block[i + 1] !== block[i];
        if (isLast) expect(offset).toBe(numbers.length);
      }
      end = start;
    }
    expect(end).toBe(16);
  });
});

/** The tokens on the path to a node of a group's frame. */
function pathTo(
  { json, numbers }: { json: { nodes: { parent: number[]; length: number[] } }; numbers: Buffer },
  node: number,
): number[] {
  const { parent, length } = json.nodes;
  const before = parent[node] === -1 ? [] : pathTo({ json, numbers }, parent[node] as number);
  const start = length.slice(0, node).reduce((sum, count) => sum + count, 0);
  const own = Array.from({ length: length[node] as number }, (_, i) => numbers.readInt32LE(4 * (start + i)));
  return [...before, ...own];
}
