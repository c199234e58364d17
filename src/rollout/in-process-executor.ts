import type { Judge } from "../agent/judge.js";
import type { PythonResult } from "../agent/tools.js";
import type { Workflow } from "../agent/workflow.js";
import type { EpisodeExecutor, EpisodeJob, EpisodeOutcome } from "./episode.js";
import { EpisodeTuner } from "./episode-tuner.js";
import { EpisodeError, failureOf, runWorkflow, type UserClasses } from "./run-workflow.js";
import { loadUserClass, type UserClass } from "./user-code.js";
import { loaderModule } from "./worker-entry.js";

export interface InProcessOptions {
  workflow: UserClass;
  judge: UserClass | null;
  config: Record<string, unknown>;
  runPython: (code: string, timeoutMs?: number) => Promise<PythonResult>;
}

/** Runs episodes on this thread, so that breakpoints work. What user code does here, it does to the run. */
export class InProcessExecutor implements EpisodeExecutor {
  private classes: UserClasses | undefined;

  constructor(private readonly options: InProcessOptions) {}

  async start(): Promise<void> {
    await import(loaderModule().href);
    const { workflow, judge } = this.options;
    this.classes = {
      workflow: await loadUserClass<Workflow>(workflow, "execute"),
      ...(judge ? { judge: await loadUserClass<Judge>(judge, "computeReward") } : {}),
    };
  }

  async execute(job: EpisodeJob, signal: AbortSignal): Promise<EpisodeOutcome> {
    if (!this.classes) await this.start();
    const { config, runPython } = this.options;
    const controller = new AbortController();
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
    const tuner = new EpisodeTuner(config, { baseUrl: job.baseUrl, apiKey: job.apiKey }, runPython, controller.signal);
    const { unrepeatable } = tuner;
    try {
      const work = runWorkflow(this.classes as UserClasses, job.workflowTask, tuner, controller.signal);
      return { kind: "scored", score: await Promise.race([work, aborted]), unrepeatable };
    } catch (error) {
      return { kind: "failed", failure: failureOf(error), unrepeatable };
    } finally {
      controller.abort(new EpisodeError("workflow", "The episode has ended"));
    }
  }

  async dispose(): Promise<void> {}
}
