import { type Tuner, Workflow, type WorkflowOutput, type WorkflowTask } from "ajet";

/** A solver and a critic who both get to see the same question; `args.via` says how they call. */
export class TwoAgents extends Workflow {
  async execute({ task }: WorkflowTask, tuner: Tuner, signal: AbortSignal): Promise<WorkflowOutput> {
    const messages = [{ role: "user" as const, content: task.mainQuery }];
    const texts: Record<string, string> = {};
    for (const agentName of ["solver", "critic"]) {
      if (this.args["via"] === "fetch") {
        const { baseUrl, apiKey, model } = tuner.asOaiBaseurlApikey({ agentName });
        const response = await fetch(`${baseUrl}/chat/completions`, {
          method: "POST",
          headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
          body: JSON.stringify({ model, messages, max_tokens: 8 }),
          signal,
        });
        const { choices } = (await response.json()) as { choices: { message: { content: string } }[] };
        texts[agentName] = choices[0]?.message.content ?? "";
        continue;
      }
      const client = tuner.asRawOpenaiSdkClient({ agentName, targetTag: `${agentName}-tag` });
      const reply = await client.chat.completions.create({ model: "whatever", messages, max_tokens: 8 });
      texts[agentName] = reply.choices[0]?.message.content ?? "";
    }
    return { reward: 1, metadata: texts };
  }
}

/** Does not say which agent it is. */
export class Nameless extends Workflow {
  async execute(_task: WorkflowTask, tuner: Tuner): Promise<WorkflowOutput> {
    tuner.asRawOpenaiSdkClient();
    return { reward: 1, metadata: {} };
  }
}
