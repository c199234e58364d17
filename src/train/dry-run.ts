import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../native/errors.js";
import { TaskOrder } from "../tasks/task-order.js";
import { loadChatTemplate } from "../text/chat-template.js";
import { loadTokenizer } from "../text/tokenizer.js";
import { createPythonSandbox } from "../tools/python-sandbox.js";
import { createExecutor } from "./executor.js";
import { openJudgeLlm } from "./judge-llm.js";
import { lossOptions } from "./loss-options.js";
import { fittingSetting } from "./memory-advice.js";
import { type PlanOptions, planRun, type RunMemory } from "./memory-plan.js";
import { resolvePath } from "./resolve-path.js";
import type { SessionOptions } from "./session.js";
import { evaluationTasks, trainingTasks } from "./task-splits.js";

/** What a run would be. */
export interface DryRun {
  trainingTasks: number;
  validationTasks: number;
  unseenTasks: number;
  totalSteps: number;
  /** Of the Python tool. */
  isolation: string;
  memory: RunMemory;
  /** `key=value` with which a run that does not fit would; undefined where none was found, or none is needed. */
  fittingSetting: string | undefined;
}

/**
 * Opens everything that a run needs, but for the weights: configuration, texts of the model, tasks, workflow and judge. Makes
 * no folder.
 * @throws ConfigError, or another error of the run's own start.
 */
export async function dryRun(options: SessionOptions, plan: PlanOptions = {}): Promise<DryRun> {
  const { config } = options;
  lossOptions(config);
  const modelFolder = resolvePath("model.path", config.model.path, options);
  const memory = planRun(config, modelFolder, plan);
  await checkModelFolder(modelFolder);
  const tasks = await trainingTasks(options);
  const { validation, unseen } = await evaluationTasks(options);
  const { train_batch_size } = config.data;
  const { seed, total_training_steps, total_epochs } = config.trainer_common;
  const order = new TaskOrder(tasks.length, train_batch_size, seed);
  return {
    trainingTasks: tasks.length,
    validationTasks: validation.length,
    unseenTasks: unseen.length,
    totalSteps: total_training_steps ?? total_epochs * order.stepsPerEpoch,
    isolation: await loadUserCode(options),
    memory,
    fittingSetting: memory.fits ? undefined : fittingSetting(config, modelFolder, memory, plan),
  };
}

async function checkModelFolder(folder: string): Promise<void> {
  const weights = ["model.safetensors", "model.safetensors.index.json"];
  if (!weights.some((file) => existsSync(join(folder, file))))
    throw new ConfigError(`\`model.path\` names ${folder}, which has neither ${weights.join(" nor ")}`);
  await loadChatTemplate(folder, await loadTokenizer(folder));
}

/** Has a worker load workflow and judge, as a run does before its first episode. */
async function loadUserCode(options: SessionOptions): Promise<string> {
  const sandbox = await createPythonSandbox({ unsafe: options.unsafeTools ?? false });
  const llm = openJudgeLlm(options.config, (problem) => options.onUserOutput?.(`${problem}\n`));
  try {
    const executor = createExecutor(options, sandbox, llm);
    try {
      await executor.start();
    } finally {
      await executor.dispose();
    }
    return sandbox.description;
  } finally {
    llm.close();
    await sandbox.dispose();
  }
}
