import type { GymEnv, GymStep } from "../agent/gym-env.js";
import type { ChatMessage } from "../agent/task.js";
import { EnvServiceClient, type EnvServiceSettings } from "./env-service-client.js";

/** One instance of an environment service, for one episode. */
export class EpisodeEnv implements GymEnv {
  private constructor(
    private readonly client: EnvServiceClient,
    readonly instanceId: string,
    readonly messages: readonly ChatMessage[],
    private readonly signal: AbortSignal,
  ) {}

  /** @param instanceId Unique; the service's name for the instance. @param signal Ends requests with the episode. */
  static async create(
    settings: EnvServiceSettings,
    taskId: string,
    instanceId: string,
    signal: AbortSignal,
  ): Promise<EpisodeEnv> {
    const client = new EnvServiceClient(settings);
    const { messages } = await client.create(taskId, instanceId, signal);
    return new EpisodeEnv(client, instanceId, messages, signal);
  }

  step({ content, role = "assistant" }: { content: string; role?: string }): Promise<GymStep> {
    return this.client.step(this.instanceId, { content, role }, this.signal);
  }

  evaluate(params: object = {}): Promise<number> {
    return this.client.evaluate(this.instanceId, params, this.signal);
  }

  /** A service that cannot release ends the instance itself after a while: the episode stands. */
  async release(): Promise<void> {
    await this.client.release(this.instanceId).catch(() => {});
  }
}
