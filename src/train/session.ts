import type { AjetConfig } from "../config/schema.js";
import type { Engine } from "../native/engine.js";
import { loadModel, type Model } from "../native/model.js";
import type { EpisodeExecutor } from "../rollout/episode.js";
import { EpisodeRunner, type UntrainedAgents } from "../rollout/episode-runner.js";
import type { RunningServer } from "../serve/contract.js";
import { startServer } from "../serve/server.js";
import { loadTextModel } from "../serve/text-model.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { createPythonSandbox, type PythonSandbox } from "../tools/python-sandbox.js";
import { episodeServerOptions, writeEpisodeAccess } from "./episode-access.js";
import { createExecutor } from "./executor.js";
import { GuardedRunner } from "./guarded-runner.js";
import { openJudgeLlm } from "./judge-llm.js";
import { planRun } from "./memory-plan.js";
import { engineOptions, placeOf } from "./native-options.js";
import { type PathRoots, resolvePath } from "./resolve-path.js";
import { openUntrainedAgents } from "./untrained-agents.js";

/** What a session is opened with. */
export interface SessionOptions extends PathRoots {
  config: AjetConfig;
  /** Weights of this folder instead of `model.path` (a checkpoint). Texts still come from `model.path`. */
  weightsFolder?: string;
  /** A trainer comes as well: what it needs is left out of a KV cache that fills the device. */
  trains?: boolean;
  /** The Python tool runs without isolation where none works. */
  unsafeTools?: boolean;
  /** User code on the main thread, without time limits. */
  debug?: boolean;
  /** What workflows and judges print, and what they throw after their episode's end. */
  onUserOutput?: (text: string) => void;
}

/** Everything that runs episodes: the model, its server, the sandbox and the workers. */
export class Session implements AsyncDisposable {
  private constructor(
    readonly model: Model,
    readonly engine: Engine,
    readonly server: RunningServer,
    readonly sandbox: PythonSandbox,
    readonly runner: GuardedRunner,
    readonly tokenizer: Tokenizer,
    /** The folder of `model.path`, with tokenizer and chat template. */
    readonly modelFolder: string,
    private readonly episodeApiKey: string | undefined,
    private readonly owned: Closers,
  ) {}

  static async open(options: SessionOptions): Promise<Session> {
    const { config } = options;
    const modelFolder = resolvePath("model.path", config.model.path, options);
    const owned = new Closers();
    try {
      const sandbox = await createPythonSandbox({ unsafe: options.unsafeTools ?? false });
      owned.defer(() => sandbox.dispose());
      const model = owned.use(await loadModel(options.weightsFolder ?? modelFolder, placeOf(config)));
      const { plan } = planRun(config, modelFolder, { trainer: options.trains ?? false });
      const engine = owned.use(await model.createEngine(engineOptions(config, plan)));
      let runner: GuardedRunner | undefined;
      const text = await loadTextModel(modelFolder, model, engine);
      const outside = episodeServerOptions(config);
      const server = await startServer({ ...text, ...outside, onError: (error) => runner?.onServerError(error) });
      owned.defer(() => server.stop());
      const untrained = await openUntrainedAgents(config, modelFolder);
      owned.defer(async () => untrained?.close());
      const llm = openJudgeLlm(config, (problem) => options.onUserOutput?.(`${problem}\n`));
      owned.defer(async () => llm.close());
      const executor = createExecutor(options, sandbox, llm);
      owned.defer(() => executor.dispose());
      await executor.start();
      runner = new GuardedRunner(createRunner(options, server, executor, untrained?.agents));
      return new Session(
        model,
        engine,
        server,
        sandbox,
        runner,
        text.tokenizer,
        modelFolder,
        outside.episodeApiKey,
        owned,
      );
    } catch (error) {
      await owned.close();
      throw error;
    }
  }

  /** Tells agents outside, by a file in the run's folder, where to take episodes; undefined where none may. */
  publishEpisodeApi(folder: string): string | undefined {
    const { baseUrl } = this.server;
    const apiKey = this.episodeApiKey;
    return apiKey === undefined ? undefined : writeEpisodeAccess(folder, { baseUrl, apiKey });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.owned.close();
  }
}

/** What to close, in reverse order of opening. (Node 20 has no AsyncDisposableStack.) */
class Closers {
  readonly #closers: (() => Promise<void>)[] = [];

  use<T extends AsyncDisposable>(value: T): T {
    this.defer(async () => value[Symbol.asyncDispose]());
    return value;
  }

  defer(close: () => Promise<void>): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

function createRunner(
  { config, debug }: SessionOptions,
  server: RunningServer,
  executor: EpisodeExecutor,
  untrained: UntrainedAgents | undefined,
): EpisodeRunner {
  const { max_env_worker, episode_timeout_s, max_attempts, episode_api } = config.rollout;
  return new EpisodeRunner({
    server,
    executor,
    runSeed: config.trainer_common.seed,
    maxParallel: debug ? config.debug.debug_max_parallel : max_env_worker,
    timeoutMs: debug ? Number.POSITIVE_INFINITY : episode_timeout_s * 1000,
    judgeTimeoutMs: debug ? Number.POSITIVE_INFINITY : config.task_judge.timeout_s * 1000,
    maxAttempts: max_attempts,
    madness: {
      checks: config.rollout.compute_madness_checklist,
      terminate: config.rollout.agent_madness_termination,
      reward: config.rollout.agent_madness_reward,
    },
    agentWaitMs: episode_api.wait_s * 1000,
    ...(untrained ? { untrained } : {}),
  });
}
