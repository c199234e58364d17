import { type CallLine, ENTROPY_UNIT, type EpisodeLine, NO_ENTROPY } from "./group-encoding.js";
import { messageAt } from "./message-pool.js";
import type { RecordParts } from "./record.js";
import { pathIds } from "./sequence-tree.js";
import { toolCallsOf } from "./tool-calls.js";
import type { EpisodeHeader, LoggedCall, LoggedEpisode, TokenTreeNode } from "./types.js";
import type { TokenVocabulary } from "./vocabulary.js";

/** What the episodes of a group share. */
export interface DecodedGroup {
  nodes: TokenTreeNode[];
  messages: readonly unknown[];
}

/** Reads a group's record. @throws RangeError where a node stands before its parent: paths must come to an end. */
export function decodeGroup(record: RecordParts): DecodedGroup {
  const { nodes: columns, messages } = record.json as {
    nodes: { parent: number[]; length: number[]; samples: number[][]; sampled: number[]; in_loss: number[] };
    messages: unknown[];
  };
  const nodes: TokenTreeNode[] = [];
  for (const [i, parent] of columns.parent.entries()) {
    const before = nodes[parent];
    if (before === undefined && parent !== -1) throw new RangeError(`Node ${i} has no parent ${parent} before it`);
    nodes.push({
      parent,
      start: before === undefined ? 0 : before.start + before.ids.length,
      ids: record.int32(columns.length[i] as number),
      samples: columns.samples[i] as number[],
      isSampled: columns.sampled[i] === 1,
      inLoss: columns.in_loss[i] === 1,
    });
  }
  return { nodes, messages };
}

/** Reads an episode's record. @throws TypeError where a list of it is none. */
export function decodeEpisode(
  record: RecordParts,
  header: EpisodeHeader,
  group: DecodedGroup,
  vocabulary: TokenVocabulary,
): LoggedEpisode {
  const { episode, messages } = record.json as { episode: EpisodeLine; messages: unknown[] };
  for (const list of [episode.calls, episode.retried, episode.forks, episode.unrepeatable]) {
    if (!Array.isArray(list) || list.some((item) => item === null))
      throw new TypeError("Expected the lists of an episode");
  }
  const message = (place: number) => messageAt(place, messages, group.messages);
  const calls = episode.calls.map((line) => decodeCall(line, record, group.nodes, message));
  return {
    header,
    uuid: episode.uuid,
    reason: episode.reason,
    rewardParts: episode.rewardParts,
    metadata: episode.metadata,
    logMetrics: episode.logMetrics,
    madness: episode.madness,
    failure: episode.failure,
    retried: episode.retried,
    unrepeatable: episode.unrepeatable,
    forks: episode.forks,
    calls,
    toolCalls: toolCallsOf(calls),
    vocabulary,
  };
}

function decodeCall(
  line: CallLine,
  record: RecordParts,
  nodes: readonly TokenTreeNode[],
  message: (place: number) => unknown,
): LoggedCall {
  const { sampled, node } = line;
  const last = nodes[node];
  const length = last === undefined ? 0 : last.start + last.ids.length;
  if (line.prompt + sampled !== length)
    throw new RangeError(`A call of ${line.prompt} + ${sampled} tokens has ${length}`);
  const ids = pathIds(nodes, node, length);
  const logprobs = record.float32(sampled);
  const entropies = new Float32Array(sampled).fill(Number.NaN);
  if (line.has_entropies) {
    for (const [i, units] of record.uint16(sampled).entries()) {
      if (units !== NO_ENTROPY) entropies[i] = units * ENTROPY_UNIT;
    }
  }
  return {
    callId: line.id,
    choice: line.choice,
    agent: line.agent,
    verdict: line.verdict,
    finishReason: line.finish,
    temperature: line.temperature,
    firstVersion: line.versions[0],
    lastVersion: line.versions[1],
    repetition: line.repetition,
    node,
    promptIds: ids.subarray(0, line.prompt),
    sampledIds: ids.subarray(line.prompt),
    logprobs,
    entropies,
    inLoss: new Uint8Array(sampled).fill(line.in_loss ? 1 : 0),
    advantage: line.advantage,
    messages: line.messages.map(message),
    reply: message(line.reply),
    startMs: line.start_ms,
    endMs: line.end_ms,
  };
}
