import { type ChatMessage, type Tuner, Workflow, type WorkflowOutput, type WorkflowTask } from "ajet";
import { runToolCall, SYSTEM_PROMPT, TOOLS } from "./python-tool.js";

/** The math agent without any client library: base URL, key and `fetch`. */
export class ExampleMathLearn extends Workflow {
  async execute(workflowTask: WorkflowTask, tuner: Tuner, signal: AbortSignal): Promise<WorkflowOutput> {
    const { baseUrl, apiKey, model } = tuner.asOaiBaseurlApikey();
    const messages: ChatMessage[] = [
      { role: "system", content: SYSTEM_PROMPT },
      { role: "user", content: workflowTask.task.mainQuery },
    ];
    const ask = async (): Promise<ChatMessage> => {
      const response = await fetch(`${baseUrl}/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
        body: JSON.stringify({ model, messages, tools: TOOLS }),
        signal,
      });
      if (!response.ok) throw new Error(`The endpoint answered ${response.status}: ${await response.text()}`);
      const completion = (await response.json()) as { choices: { message: ChatMessage }[] };
      const message = completion.choices[0]?.message;
      if (!message) throw new Error("The completion has no choice.");
      return message;
    };

    let reply = await ask();
    if (reply.tool_calls?.length) {
      messages.push(reply);
      for (const call of reply.tool_calls) {
        messages.push({ role: "tool", tool_call_id: call.id, content: await runToolCall(tuner, call) });
      }
      reply = await ask();
    }
    return { reward: null, metadata: { final_answer: reply.content ?? "" } };
  }
}
