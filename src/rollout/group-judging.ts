import type { JudgedEpisode, Judgement } from "../agent/judge.js";
import { AbortError } from "../native/errors.js";
import type { EpisodeExecutor, EpisodeFailure, EpisodeRequest, EpisodeResult } from "./episode.js";
import { asJudgeFailure, JobLimit } from "./job-limit.js";

/** A result that lacks its score where `toJudge` is there. */
export interface FinishedEpisode {
  result: EpisodeResult;
  toJudge?: JudgedEpisode;
}

interface Group {
  /** Indices of its requests. */
  members: number[];
  open: number;
  unjudged: { index: number; result: EpisodeResult; toJudge: JudgedEpisode }[];
}

/** Holds episodes back until their group is complete, and has those that need it judged together. */
export class GroupJudging {
  private readonly groups: Group[];

  constructor(
    requests: readonly EpisodeRequest[],
    private readonly executor: EpisodeExecutor,
    private readonly timeoutMs: number,
  ) {
    this.groups = groupRequests(requests);
  }

  /** Takes an episode. Returns what is complete now: itself, or once the last of its group is in, those that were held. */
  async add(
    index: number,
    { result, toJudge }: FinishedEpisode,
    signal: AbortSignal | undefined,
  ): Promise<[index: number, result: EpisodeResult][]> {
    const group = this.groups.find(({ members }) => members.includes(index)) as Group;
    group.open--;
    if (toJudge) group.unjudged.push({ index, result, toJudge });
    const complete: [number, EpisodeResult][] = toJudge ? [] : [[index, result]];
    if (group.open > 0 || group.unjudged.length === 0) return complete;
    group.unjudged.sort((a, b) => a.index - b.index); // not by who was done first
    const { judgements, failure, unrepeatable } = await this.judge(group, signal);
    for (const [i, held] of group.unjudged.entries()) {
      held.result.unrepeatable.push(...unrepeatable);
      const judgement = judgements?.[i];
      complete.push([held.index, judgement ? { ...held.result, ...judgement } : dropped(held.result, failure)]);
    }
    return complete;
  }

  private async judge(group: Group, signal: AbortSignal | undefined) {
    const episodes = group.unjudged.map(({ toJudge }) => toJudge);
    for (let alone = false; ; ) {
      if (signal?.aborted) throw new AbortError("The rollout was cancelled", { cause: signal.reason });
      using limit = new JobLimit(signal);
      const onStart = () => limit.start("The judge", this.timeoutMs);
      const outcome = await this.executor.judgeGroup({ episodes, alone, onStart }, limit.signal);
      if (outcome.kind === "interrupted") alone ||= outcome.alone;
      else if (outcome.kind === "judged") {
        return { judgements: outcome.judgements as readonly Judgement[], unrepeatable: outcome.unrepeatable };
      } else {
        const { failure, unrepeatable } = asJudgeFailure(outcome);
        return { failure, unrepeatable };
      }
    }
  }
}

/** Requests that follow one another with one task, samples counting up. */
function groupRequests(requests: readonly EpisodeRequest[]): Group[] {
  const groups: Group[] = [];
  for (const [index, { task, sample }] of requests.entries()) {
    const last = requests[index - 1];
    const continues = last?.task === task && sample > last.sample;
    const group = continues ? groups.at(-1) : undefined;
    if (group) {
      group.members.push(index);
      group.open++;
    } else groups.push({ members: [index], open: 1, unjudged: [] });
  }
  return groups;
}

function dropped(result: EpisodeResult, failure: EpisodeFailure | undefined): EpisodeResult {
  const droppedCalls = result.calls.map((call) => ({ call, reason: "judge_failed" as const }));
  return {
    ...result,
    calls: [],
    droppedCalls: [...result.droppedCalls, ...droppedCalls],
    error: failure ?? { kind: "judge", message: "The judge gave no judgement" },
  };
}
