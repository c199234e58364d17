import type { ChatMessage } from "./task.js";

/** What an action led to. */
export interface GymStep {
  /** What the agent reads next: one message, or the answers of several tool calls. */
  messages: ChatMessage[];
  reward: number;
  /** The environment takes no further action. */
  isTerminated: boolean;
  info: Record<string, unknown>;
}

/** The environment of one episode, behind an environment service. */
export interface GymEnv {
  /** What the environment tells at the start; also the task's `initMessages`. */
  readonly messages: readonly ChatMessage[];
  readonly instanceId: string;
  /** Sends what the assistant said. */
  step(message: { content: string; role?: string }): Promise<GymStep>;
  /** The environment's score so far. */
  evaluate(params?: object): Promise<number>;
}
