import { type ToolCall, type Tuner, Workflow, type WorkflowOutput, type WorkflowTask } from "ajet";
import { runToolCall, SYSTEM_PROMPT, TOOLS } from "./python-tool.js";

/** Steps of the agent's graph: model, tools, model, and one round more. */
const MAX_STEPS = 6;

/** The math agent on LangChain.js: `createAgent` with a chat model of `@langchain/openai`. */
export class ExampleMathLearn extends Workflow {
  async execute(workflowTask: WorkflowTask, tuner: Tuner, signal: AbortSignal): Promise<WorkflowOutput> {
    const { createAgent, tool, ChatOpenAI } = await loadLangchain();
    const { baseUrl, apiKey, model } = tuner.asOaiBaseurlApikey();
    const llm = new ChatOpenAI({
      model,
      apiKey,
      maxRetries: 0, // a call that was retried would be recorded twice
      configuration: { baseURL: baseUrl, fetch: tuner.fetch },
    });
    const tools = TOOLS.map(({ function: { name, description, parameters } }) =>
      tool(
        (args: unknown) => {
          const call: ToolCall = { id: "", type: "function", function: { name, arguments: JSON.stringify(args) } };
          return runToolCall(tuner, call);
        },
        { name, description, schema: parameters },
      ),
    );
    const agent = createAgent({ model: llm, tools, systemPrompt: SYSTEM_PROMPT });
    const question = { messages: [{ role: "user" as const, content: workflowTask.task.mainQuery }] };
    try {
      const { messages } = await agent.invoke(question, { signal, recursionLimit: MAX_STEPS });
      return { reward: null, metadata: { final_answer: messages.at(-1)?.text ?? "" } };
    } catch (error) {
      // An agent that goes on calling tools is wrong, not broken: it is scored like the others.
      if ((error as { lc_error_code?: string }).lc_error_code !== "GRAPH_RECURSION_LIMIT") throw error;
      return { reward: null, metadata: { final_answer: "" } };
    }
  }
}

/** ajet does not bring LangChain along: who uses it installs it. */
async function loadLangchain() {
  try {
    const [{ createAgent, tool }, { ChatOpenAI }] = await Promise.all([
      import("langchain"),
      import("@langchain/openai"),
    ]);
    return { createAgent, tool, ChatOpenAI };
  } catch (error) {
    if ((error as { code?: string }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new Error(
      "This workflow needs LangChain.js, which is not installed: npm install langchain @langchain/core @langchain/openai@1.5.8",
      { cause: error },
    );
  }
}
