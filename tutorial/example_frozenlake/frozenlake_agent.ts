import { type ChatMessage, type Tuner, Workflow, type WorkflowOutput, type WorkflowTask } from "ajet";
import type OpenAI from "openai";

/** Walks over a lake: the model says a step and the environment answers, until the walk is over. */
export class FrozenLakeAgent extends Workflow {
  async execute({ task, gymEnv }: WorkflowTask, tuner: Tuner, signal: AbortSignal): Promise<WorkflowOutput> {
    if (gymEnv === undefined) throw new Error("There is no environment: set `task_reader.type` to env_service");
    const client = tuner.asRawOpenaiSdkClient();
    const messages: ChatMessage[] = [...task.initMessages];
    let steps = 0;
    for (let isOver = false; !isOver; steps++) {
      const request = { model: "ajet", messages: messages as OpenAI.ChatCompletionMessageParam[] };
      const { choices } = await client.chat.completions.create(request, { signal });
      const content = choices[0]?.message.content ?? "";
      messages.push({ role: "assistant", content });
      const step = await gymEnv.step({ content });
      messages.push(...step.messages);
      isOver = step.isTerminated;
    }
    // The judge asks the environment.
    return { reward: null, metadata: { steps }, logMetrics: { walk_steps: steps } };
  }
}
