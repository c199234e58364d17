import type { GymEnv } from "./gym-env.js";

/** A chat message as it crosses the OpenAI API. */
export interface ChatMessage {
  role: "system" | "developer" | "user" | "assistant" | "tool";
  content?: string | { type: "text"; text: string }[] | null;
  name?: string;
  tool_calls?: ToolCall[];
  tool_call_id?: string;
}

/** A function call of an assistant's message. `arguments` is a JSON text. */
export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

/** One problem. */
export interface Task {
  /** Unique within its reader. */
  taskId: string;
  /** The question. */
  mainQuery: string;
  /** Messages to start from, when the data set has them. */
  initMessages: ChatMessage[];
  envType: string;
  /** Everything else of the record; a math problem's reference lies under `answer`. */
  metadata: Record<string, unknown>;
}

/** A task on its way through one episode. */
export interface WorkflowTask {
  task: Task;
  /** Unique per episode of a run. */
  episodeUuid: string;
  /** Which of the task's `num_repeat` episodes this is, from 0. */
  sample: number;
  /** Training step, from 1; 0 in evaluations before training. */
  step: number;
  mode: "train" | "eval";
  /** The episode's environment, where `task_reader.type` is env_service. */
  gymEnv?: GymEnv;
}
