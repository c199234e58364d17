import type OpenAI from "openai";
import type { ChatMessage } from "../agent/task.js";
import type { ToolDefinition } from "./toolkit.js";

/** One request of an agent to its model. */
export interface ChatModelRequest {
  messages: readonly ChatMessage[];
  tools?: readonly ToolDefinition[];
  /** "none": the tools stay in the prompt, but calls of them are left as text. */
  toolChoice?: "auto" | "none";
  signal?: AbortSignal | undefined;
}

/** The model behind a {@link ReActAgent}: `tuner.asAgentscopeModel()`, or one of your own. */
export interface ChatModel {
  /** The assistant's message, with the tool calls in it. */
  complete(request: ChatModelRequest): Promise<ChatMessage>;
}

/** A model behind an OpenAI client. */
export class OpenAIChatModel implements ChatModel {
  /** @param modelName Which model of the endpoint; the trainer's answers to any. */
  constructor(
    private readonly client: OpenAI,
    private readonly modelName = "ajet",
  ) {}

  async complete({ messages, tools = [], toolChoice = "auto", signal }: ChatModelRequest): Promise<ChatMessage> {
    const completion = await this.client.chat.completions.create(
      {
        model: this.modelName,
        messages: messages as OpenAI.ChatCompletionMessageParam[],
        ...(tools.length === 0 ? {} : { tools: tools as OpenAI.ChatCompletionTool[] }),
        ...(toolChoice === "none" ? { tool_choice: toolChoice } : {}),
      },
      signal === undefined ? {} : { signal },
    );
    const message = completion.choices[0]?.message;
    if (message === undefined) throw new Error("The completion has no choice");
    const calls = message.tool_calls?.filter((call) => call.type === "function") ?? [];
    return { role: "assistant", content: message.content, ...(calls.length === 0 ? {} : { tool_calls: calls }) };
  }
}
