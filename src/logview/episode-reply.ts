import type { EpisodeHeader, LoggedCall, LoggedEpisode, TokenTree } from "../report/token-log/types.js";
import type { CallInfo, EpisodeReply, TreeReply } from "./api-types.js";
import { timelines } from "./timelines.js";

/** A whole episode for the pages. */
export function episodeReply(episode: LoggedEpisode): EpisodeReply {
  const { failure, retried } = episode;
  return {
    header: episode.header,
    reason: episode.reason ?? null,
    rewardParts: episode.rewardParts,
    metadata: episode.metadata,
    logMetrics: episode.logMetrics,
    madness: episode.madness ?? null,
    failures: [...retried, ...(failure ? [failure] : [])].map(({ kind, message }) => `${kind}: ${message}`),
    unrepeatable: episode.unrepeatable,
    forks: episode.forks.map(({ messageIndex, field }) => ({ messageIndex, field })),
    calls: episode.calls.map(callInfo),
    toolCalls: episode.toolCalls,
    timelines: timelines(episode),
  };
}

function callInfo(call: LoggedCall): CallInfo {
  const { callId, choice, verdict, finishReason, temperature, promptIds, sampledIds, messages, reply } = call;
  return {
    callId,
    choice,
    agent: call.agent ?? null,
    verdict,
    finishReason,
    temperature,
    promptTokens: promptIds.length,
    sampledTokens: sampledIds.length,
    startMs: call.startMs ?? null,
    endMs: call.endMs ?? null,
    messages,
    reply,
  };
}

/** A group's token tree for the pages. */
export function treeReply(
  { step, group, taskId, nodes, vocabulary }: TokenTree,
  episodes: readonly EpisodeHeader[],
): TreeReply {
  return {
    step,
    group,
    taskId,
    episodes,
    nodes: nodes.map(({ parent, start, ids, samples }) => ({
      parent,
      start,
      ids: [...ids],
      texts: vocabulary.texts(ids),
      samples,
    })),
  };
}
