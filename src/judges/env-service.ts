import { z } from "zod";
import { Judge, type JudgeContext, type Judgement } from "../agent/judge.js";
import type { WorkflowTask } from "../agent/task.js";
import type { WorkflowOutput } from "../agent/workflow.js";
import { EnvServiceClient } from "../env/env-service-client.js";
import { envServiceOf } from "../env/env-service-settings.js";
import { ConfigError } from "../native/errors.js";
import { readArgs } from "./judge-args.js";

const NO_SETTINGS = z.strictObject({});
/** The score from which an environment's task is solved. */
const SOLVED = 1;

/** The environment's own score: 1 and half the score where the task is solved, else half the score. */
export class EnvServiceJudge extends Judge {
  readonly #client: EnvServiceClient;

  constructor(config: unknown) {
    super();
    const settings = envServiceOf(config);
    if (settings === undefined) {
      throw new ConfigError("EnvServiceJudge asks an environment service: set `task_reader.type` to env_service");
    }
    this.#client = new EnvServiceClient(settings);
  }

  override prepare(): void {
    readArgs(NO_SETTINGS, this.args);
  }

  override async computeReward(
    { episodeUuid }: WorkflowTask,
    _output?: WorkflowOutput,
    context?: JudgeContext,
  ): Promise<Judgement> {
    const score = await this.#client.evaluate(episodeUuid, { sparse: false }, context?.signal);
    const isSuccess = score >= SOLVED;
    return { reward: (isSuccess ? 1 : 0) + score / 2, isSuccess, reason: `the environment's score is ${score}` };
  }
}
