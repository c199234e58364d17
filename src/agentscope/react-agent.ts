import type { ChatMessage } from "../agent/task.js";
import type { ChatModel } from "./chat-model.js";
import { InMemoryMemory, type Memory } from "./memory.js";
import { Msg } from "./message.js";
import { Toolkit } from "./toolkit.js";

/** What makes a ReAct agent. */
export interface ReActAgentOptions {
  name: string;
  model: ChatModel;
  /** First message of every request. Empty: none. */
  sysPrompt?: string;
  /** Default: no tools. */
  toolkit?: Toolkit;
  /** Default: a new {@link InMemoryMemory}. */
  memory?: Memory;
  /** Rounds of asking the model and running its tools, default 10. After the last, it is asked once more to answer. */
  maxIters?: number;
}

/** Asks its model, runs the tools that the model calls, and asks again, until the model answers without a call. */
export class ReActAgent {
  readonly name: string;
  readonly memory: Memory;
  private readonly toolkit: Toolkit;
  private readonly maxIters: number;

  constructor(private readonly options: ReActAgentOptions) {
    const { maxIters = 10 } = options;
    if (!Number.isInteger(maxIters) || maxIters < 1) {
      throw new RangeError(`Expected a whole number of at least 1 for \`maxIters\` but received ${maxIters}`);
    }
    this.name = options.name;
    this.memory = options.memory ?? new InMemoryMemory();
    this.toolkit = options.toolkit ?? new Toolkit();
    this.maxIters = maxIters;
  }

  /** Takes note of a message without answering it. */
  observe(message: Msg | string): void {
    const { role, content } = typeof message === "string" ? { role: "user" as const, content: message } : message;
    // What other agents say is input to this one, whatever they are to themselves.
    this.memory.add({ role: role === "assistant" ? "user" : role, content });
  }

  /** Answers a message; without one, what it has observed. */
  async reply(message?: Msg | string, { signal }: { signal?: AbortSignal } = {}): Promise<Msg> {
    if (message !== undefined) this.observe(message);
    for (let round = 0; round < this.maxIters; round++) {
      const reply = await this.ask("auto", signal);
      if (!reply.tool_calls?.length) return this.say(reply);
      for (const call of reply.tool_calls) {
        const content = await this.toolkit.run(call, signal);
        this.memory.add({ role: "tool", tool_call_id: call.id, content });
      }
    }
    return this.say(await this.ask("none", signal));
  }

  private async ask(toolChoice: "auto" | "none", signal: AbortSignal | undefined): Promise<ChatMessage> {
    signal?.throwIfAborted();
    const { sysPrompt = "", model } = this.options;
    const system: ChatMessage[] = sysPrompt === "" ? [] : [{ role: "system", content: sysPrompt }];
    const messages = [...system, ...this.memory.messages()];
    const reply = await model.complete({ messages, tools: this.toolkit.definitions, toolChoice, signal });
    this.memory.add(reply);
    return reply;
  }

  private say({ content }: ChatMessage): Msg {
    return new Msg(this.name, typeof content === "string" ? content : "", "assistant");
  }
}
