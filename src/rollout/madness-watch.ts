import type { CallRecord } from "./call-record.js";
import type { EpisodeOutcome } from "./episode.js";
import { findMadness, type MadnessCheck } from "./madness.js";

/** `rollout.compute_madness_checklist` and what follows from a finding. */
export interface MadnessOptions {
  checks: readonly MadnessCheck[];
  /** The episode gets no further replies. */
  terminate: boolean;
  /** Of the episode, in place of the workflow's or the judge's. */
  reward: number;
}

/** Watches the calls of one episode. */
export class MadnessWatch {
  private found: { check: MadnessCheck; what: string } | undefined;
  private byClock = false;

  /**
   * @param end Ends the episode's session; gives how many calls of it were under way.
   */
  constructor(
    private readonly options: MadnessOptions | undefined,
    private readonly end: () => number,
  ) {}

  onCall(call: CallRecord): void {
    if (this.found === undefined && this.options) this.note(findMadness(call, this.options.checks), 1);
  }

  /** A request was refused: its messages fill the context. */
  onContextOverflow(): void {
    if (this.found !== undefined || !this.options?.checks.includes("context_overflow")) return;
    this.note({ check: "context_overflow", what: "the messages do not fit into the model's context" }, 0);
  }

  /** The episode's outcome as it counts. */
  judge(outcome: EpisodeOutcome): EpisodeOutcome {
    if (this.found === undefined || this.options === undefined || outcome.kind === "interrupted") return outcome;
    const { terminate, reward } = this.options;
    if (outcome.kind === "failed" && !isExplained(outcome.failure.kind, terminate)) return outcome;
    const { check, what } = this.found;
    const end = outcome.kind === "scored" ? outcome.score : outcome.kind === "unjudged" ? outcome.output : undefined;
    const { metadata = {}, logMetrics = {} } = end ?? {};
    const score = { reward, isSuccess: false, metadata, logMetrics, reason: `${check}: ${what}`, madness: check };
    const clock = this.byClock ? ["An episode was ended while other calls of it were under way"] : [];
    return { kind: "scored", score, unrepeatable: [...outcome.unrepeatable, ...clock] };
  }

  /** @param own How many of the calls under way are the one that was found. */
  private note(found: { check: MadnessCheck; what: string } | undefined, own: number): void {
    this.found = found;
    if (found !== undefined && this.options?.terminate) this.byClock = this.end() > own;
  }
}

/** True for failures that follow from a refused call. A loop or a crash is the workflow's own. */
function isExplained(kind: string, terminated: boolean): boolean {
  return kind === "workflow" || kind === "judge" || (kind === "timeout" && terminated);
}
