import { MessagePool } from "./message-pool.js";
import { packRecord, toJson } from "./record.js";
import { SequenceTree } from "./sequence-tree.js";
import { toolCallsOf } from "./tool-calls.js";
import type { EpisodeHeader, TokenTreeNode } from "./types.js";
import type { CallToWrite, EpisodeToWrite, GroupToWrite } from "./written.js";

/** Entropies are kept as multiples of this: ln of the largest vocabulary is below 16. */
export const ENTROPY_UNIT = 1 / 4096;
/** Not a number. */
export const NO_ENTROPY = 0xffff;

/** A group's record, and those of its episodes with their headers. */
export interface EncodedGroup {
  record: Buffer;
  episodes: { record: Buffer; header: EpisodeHeader }[];
  nodes: readonly TokenTreeNode[];
}

/** @param firstIndex Of its episodes in the step. */
export function encodeGroup(
  { taskId, episodes }: GroupToWrite,
  step: number,
  group: number,
  firstIndex: number,
): EncodedGroup {
  const tree = new SequenceTree();
  const pool = new MessagePool();
  const noted = episodes.map(({ header, calls }, i) =>
    calls.map(({ promptIds: prompt, sampledIds: sampled, inLoss, messages, reply }) => ({
      sequence: tree.add({ prompt, sampled, sample: header.sample, inLoss }),
      messages: messages.map((message) => pool.note(message, i)),
      reply: pool.note(reply, i),
    })),
  );
  const { nodes, ends } = tree.finish();
  return {
    record: encodeTree(nodes, pool.shared()),
    episodes: episodes.map((episode, i) => {
      const own: string[] = [];
      const calls = (noted[i] ?? []).map(({ sequence, messages, reply }) => ({
        node: ends[sequence] as number,
        messages: messages.map((json) => pool.place(json, own)),
        reply: pool.place(reply, own),
      }));
      const header = headerOf(episode, taskId, step, group, firstIndex + i);
      return { record: encodeEpisode(episode, calls, own), header };
    }),
    nodes,
  };
}

function encodeTree(nodes: readonly TokenTreeNode[], messages: readonly string[]): Buffer {
  const columns = toJson({
    parent: nodes.map(({ parent }) => parent),
    length: nodes.map(({ ids }) => ids.length),
    samples: nodes.map(({ samples }) => samples),
    sampled: nodes.map(({ isSampled }) => Number(isSampled)),
    in_loss: nodes.map(({ inLoss }) => Number(inLoss)),
  });
  const ids = nodes.map((node) => node.ids);
  return packRecord(`{"nodes":${columns},"messages":[${messages.join(",")}]}`, ids);
}

function headerOf(
  { header, calls, forks }: EpisodeToWrite,
  taskId: string,
  step: number,
  group: number,
  index: number,
): EpisodeHeader {
  const tools = toolCallsOf(calls);
  const toolErrors = tools.filter(({ isError }) => isError).length;
  const isCutOff = calls.some(({ finishReason }) => finishReason === "length");
  const sampled = (of: readonly CallToWrite[]) => of.reduce((sum, { sampledIds }) => sum + sampledIds.length, 0);
  return {
    ...header,
    key: `${step}.${index}`,
    step,
    index,
    group,
    taskId,
    marks: [
      ...header.marks,
      ...(toolErrors > 0 ? (["tool_error"] as const) : []),
      ...(isCutOff ? (["cut_off"] as const) : []),
    ],
    calls: calls.length,
    callsTrained: calls.filter(({ verdict }) => verdict.fate !== "dropped").length,
    length: calls.reduce((most, call) => Math.max(most, call.promptIds.length + call.sampledIds.length), 0),
    sampledTokens: sampled(calls),
    lossTokens: sampled(calls.filter(({ inLoss }) => inLoss)),
    toolCalls: tools.length,
    toolErrors,
    forks: forks.length,
    version: calls[0]?.firstVersion ?? -1,
  };
}

/** A call in an episode's record: its numbers stand behind the JSON, its messages in the pools. */
export interface CallLine {
  id: string;
  choice: number;
  agent?: string | undefined;
  verdict: CallToWrite["verdict"];
  finish: CallToWrite["finishReason"];
  temperature: number;
  versions: [first: number, last: number];
  repetition: number;
  node: number;
  prompt: number;
  sampled: number;
  has_entropies: boolean;
  in_loss: boolean;
  advantage: number | null;
  messages: number[];
  reply: number;
  start_ms?: number | undefined;
  end_ms?: number | undefined;
}

/** An episode's record but for its messages and numbers. */
export type EpisodeLine = Omit<EpisodeToWrite, "header" | "calls"> & { calls: CallLine[] };

function encodeEpisode(
  { header: _, calls, ...rest }: EpisodeToWrite,
  places: readonly Pick<CallLine, "node" | "messages" | "reply">[],
  own: readonly string[],
): Buffer {
  const lines = calls.map((call, i) => ({ ...callLine(call), ...places[i] }));
  const numbers = calls.flatMap(({ logprobs, entropies }) =>
    entropies.length === 0 ? [logprobs] : [logprobs, inUnits(entropies)],
  );
  return packRecord(`{"episode":${toJson({ ...rest, calls: lines })},"messages":[${own.join(",")}]}`, numbers);
}

function callLine(call: CallToWrite): Omit<CallLine, "node" | "messages" | "reply"> {
  return {
    id: call.callId,
    choice: call.choice,
    agent: call.agent,
    verdict: call.verdict,
    finish: call.finishReason,
    temperature: call.temperature,
    versions: [call.firstVersion, call.lastVersion],
    repetition: call.repetition,
    prompt: call.promptIds.length,
    sampled: call.sampledIds.length,
    has_entropies: call.entropies.length > 0,
    in_loss: call.inLoss,
    advantage: call.advantage,
    start_ms: call.startMs,
    end_ms: call.endMs,
  };
}

function inUnits(entropies: Float32Array): Uint16Array {
  const units = new Uint16Array(entropies.length);
  for (let i = 0; i < units.length; i++) {
    const rounded = Math.round((entropies[i] as number) / ENTROPY_UNIT);
    units[i] = Number.isFinite(rounded) ? Math.min(Math.max(rounded, 0), NO_ENTROPY - 1) : NO_ENTROPY;
  }
  return units;
}
