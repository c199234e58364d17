import type { ChatMessage, WorkflowTask } from "./task.js";
import type { WorkflowOutput } from "./workflow.js";

export interface Judgement {
  /** Finite. */
  reward: number;
  isSuccess: boolean;
  /** Why, for the token log. */
  reason?: string;
  /** What the reward is made of, by name: finite numbers, for the token log. */
  parts?: Readonly<Record<string, number>>;
}

/** One LLM call of an episode, as the server answered it. */
export interface JudgedCall {
  /** The request's. */
  messages: readonly ChatMessage[];
  /** Of the model: text, and the tool calls that were read out of it. What is no valid tool call stays in the text. */
  reply: ChatMessage;
  finishReason: "stop" | "length" | "tool_calls" | "cancelled";
}

/** What a tool gave back, as the model was shown it. */
export interface ToolResult {
  toolCallId: string;
  /** Of the tool, where the call is among the episode's. */
  name?: string;
  content: string;
}

/** What was said in an episode. */
export interface EpisodeTrace {
  /** Shorter prompts first: a conversation's turns in their order. */
  calls: readonly JudgedCall[];
  toolResults: readonly ToolResult[];
}

/** A finished episode. */
export interface JudgedEpisode extends EpisodeTrace {
  workflowTask: WorkflowTask;
  output: WorkflowOutput;
}

/** A question to the LLM of `task_judge.alien_llm_model`. */
export interface LlmQuestion {
  messages: readonly { role: "system" | "user" | "assistant"; content: string }[];
  /** Asks anew where the cache has an answer, and replaces it: for answers that were of no use. */
  refresh?: boolean;
}

/** The LLM that judges may ask. The limit on parallel calls, the retries and the cache are the whole run's. */
export interface JudgeLlm {
  /** The answer's text. Rejects when it cannot be had; throwing that on drops the episode. */
  ask(question: LlmQuestion): Promise<string>;
}

/** What a judge can use. */
export interface JudgeContext {
  llm: JudgeLlm;
  /** From 1: a judge that throws is run again, `task_judge.max_attempts` times in all. The episode is not. */
  attempt: number;
  /** Aborts at `task_judge.timeout_s`. */
  signal: AbortSignal;
}

/** Scores finished episodes. */
export abstract class Judge {
  /** `task_judge.judge_args` of the YAML, a copy for each instance. Set once the constructor has returned. */
  readonly args: Readonly<Record<string, unknown>> = {};

  /** Called before the run starts, once per worker thread: the place to refuse settings that cannot work, by throwing. */
  prepare?(): void | Promise<void>;

  /** Scores one episode. Throwing, or a reward that is not finite, drops it. */
  abstract computeReward(
    workflowTask: WorkflowTask,
    output: WorkflowOutput,
    context: EpisodeTrace & JudgeContext,
  ): Judgement | Promise<Judgement>;

  /**
   * Scores a task's episodes together, one judgement each, in their order. Where a judge has this method, it is called
   * instead of `computeReward`, with those of the group's episodes that did not fail; there may be just one.
   */
  computeGroupRewards?(
    episodes: readonly JudgedEpisode[],
    context: JudgeContext,
  ): readonly Judgement[] | Promise<readonly Judgement[]>;
}
