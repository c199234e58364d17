import type { JudgeLlm } from "../agent/judge.js";
import type { PythonResult } from "../agent/tools.js";
import type { EpisodeExecutor, EpisodeJob, EpisodeOutcome, GroupJob, GroupOutcome, JobFailure } from "./episode.js";
import { inEnvironment } from "./episode-environment.js";
import { EpisodeError, failureOf } from "./episode-error.js";
import { EpisodeTuner } from "./episode-tuner.js";
import { NotingLlm } from "./noting-llm.js";
import { judgeGroup } from "./run-judge.js";
import { runWorkflow, type UserClasses } from "./run-workflow.js";
import { loadUserClasses } from "./user-classes.js";
import type { UserClass } from "./user-code.js";
import { loaderModule } from "./worker-entry.js";

export interface InProcessOptions {
  workflow: UserClass;
  judge: UserClass | null;
  config: Record<string, unknown>;
  runPython: (code: string, timeoutMs?: number) => Promise<PythonResult>;
  /** Whom judges ask. */
  llm: JudgeLlm;
}

/** Runs episodes on this thread, so that breakpoints work. What user code does here, it does to the run. */
export class InProcessExecutor implements EpisodeExecutor {
  private classes: UserClasses | undefined;

  constructor(private readonly options: InProcessOptions) {}

  async start(): Promise<void> {
    await import(loaderModule().href);
    const { workflow, judge, config } = this.options;
    this.classes = await loadUserClasses(workflow, judge, config);
  }

  async execute(job: EpisodeJob, signal: AbortSignal): Promise<EpisodeOutcome> {
    if (!this.classes) await this.start();
    job.onStart?.();
    const { config, runPython, llm } = this.options;
    const controller = new AbortController();
    const { baseUrl, apiKey, routes } = job;
    const tuner = new EpisodeTuner(config, { baseUrl, apiKey, routes }, runPython, controller.signal);
    const { unrepeatable } = tuner;
    const begin = async () => job.beginJudging?.() ?? { calls: [], toolResults: [] };
    const judging = { config, llm: new NotingLlm(llm, unrepeatable), begin };
    return this.limited(signal, controller, unrepeatable, async () => {
      const classes = this.classes as UserClasses;
      const end = await inEnvironment(tuner.config, job.workflowTask, controller.signal, (task) =>
        runWorkflow(classes, task, tuner, controller.signal, judging),
      );
      return { ...end, unrepeatable };
    });
  }

  async judgeGroup({ episodes, onStart }: GroupJob, signal: AbortSignal): Promise<GroupOutcome> {
    onStart?.();
    const { config, llm } = this.options;
    const { judge } = this.classes ?? {};
    const controller = new AbortController();
    const unrepeatable: string[] = [];
    return this.limited(signal, controller, unrepeatable, async () => {
      if (!judge) throw new EpisodeError("judge", "There is no judge");
      const setup = { config, llm: new NotingLlm(llm, unrepeatable) };
      const judgements = await judgeGroup(judge, episodes, setup, controller.signal);
      return { kind: "judged" as const, judgements, unrepeatable };
    });
  }

  async dispose(): Promise<void> {}

  /** Runs user code until it ends or `signal` aborts. */
  private async limited<T>(
    signal: AbortSignal,
    controller: AbortController,
    unrepeatable: string[],
    run: () => Promise<T>,
  ): Promise<T | JobFailure> {
    const aborted = new Promise<never>((_, reject) => {
      const onAbort = () => {
        const error = new EpisodeError("timeout", (signal.reason as Error).message);
        controller.abort(error);
        reject(error);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
    aborted.catch(() => {});
    try {
      return await Promise.race([run(), aborted]);
    } catch (error) {
      return { kind: "failed", failure: failureOf(error), unrepeatable };
    } finally {
      controller.abort(new EpisodeError("workflow", "The episode has ended"));
    }
  }
}
