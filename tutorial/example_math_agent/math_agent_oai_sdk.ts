import { type Tuner, Workflow, type WorkflowOutput, type WorkflowTask } from "ajet";
import type OpenAI from "openai";
import { runToolCall, SYSTEM_PROMPT, TOOLS } from "./python-tool.js";

/** The math agent on the official OpenAI client: one round of tools, then the answer. */
export class ExampleMathLearn extends Workflow {
  async execute(workflowTask: WorkflowTask, tuner: Tuner, signal: AbortSignal): Promise<WorkflowOutput> {
    const client = tuner.asRawOpenaiSdkClient();
    const messages: OpenAI.ChatCompletionMessageParam[] = [
      { role: "system", content: SYSTEM_PROMPT },
      { role: "user", content: workflowTask.task.mainQuery },
    ];
    const ask = async () => {
      const completion = await client.chat.completions.create({ model: "ajet", messages, tools: TOOLS }, { signal });
      const message = completion.choices[0]?.message;
      if (!message) throw new Error("The completion has no choice.");
      return message;
    };

    let reply = await ask();
    if (reply.tool_calls?.length) {
      // The whole message goes back, tool calls included: without them the model cannot know that it has called a tool.
      messages.push(reply);
      for (const call of reply.tool_calls) {
        if (call.type !== "function") continue;
        messages.push({ role: "tool", tool_call_id: call.id, content: await runToolCall(tuner, call) });
      }
      reply = await ask();
    }
    // `reward: null` leaves the score to the judge; it finds the answer in the metadata.
    return { reward: null, metadata: { final_answer: reply.content ?? "" } };
  }
}
