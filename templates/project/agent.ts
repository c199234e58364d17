import { type ToolCall, type Tuner, Workflow, type WorkflowOutput, type WorkflowTask } from "ajet";
import type OpenAI from "openai";

const SYSTEM_PROMPT =
  "You are an agent that solves math problems with tools. Solve the problem that the user gives you. " +
  "You can write and execute Python code to calculate or to verify your answer. " +
  "Return your final answer within \\boxed{}.";

const TOOLS: OpenAI.ChatCompletionTool[] = [
  {
    type: "function",
    function: {
      name: "execute_python_code",
      description: "Run Python code and return what it prints.",
      parameters: {
        type: "object",
        properties: { code: { type: "string", description: "The code to run." } },
        required: ["code"],
      },
    },
  },
];

/** Rounds of tool calls before the answer has to come. */
const MAX_ROUNDS = 2;

/** Solves a task with a Python tool. Each episode gets an instance of its own. */
export class Agent extends Workflow {
  async execute({ task }: WorkflowTask, tuner: Tuner, signal: AbortSignal): Promise<WorkflowOutput> {
    const client = tuner.asRawOpenaiSdkClient(); // the official client, on the model that is being trained
    const messages: OpenAI.ChatCompletionMessageParam[] = [
      { role: "system", content: SYSTEM_PROMPT },
      { role: "user", content: task.mainQuery },
    ];
    for (let round = 0; ; round++) {
      const completion = await client.chat.completions.create({ model: "any", messages, tools: TOOLS }, { signal });
      const reply = completion.choices[0]?.message;
      if (!reply?.tool_calls?.length || round === MAX_ROUNDS) {
        return { reward: null, metadata: { final_answer: reply?.content ?? "" }, logMetrics: { rounds: round } };
      }
      messages.push(reply); // as it came: the recorded tokens go on, nothing is tokenised again
      for (const call of reply.tool_calls) {
        if (call.type !== "function") continue;
        messages.push({ role: "tool", tool_call_id: call.id, content: await runTool(call, tuner) });
      }
    }
  }
}

async function runTool(call: ToolCall, tuner: Tuner): Promise<string> {
  if (call.function.name !== "execute_python_code") return JSON.stringify({ stderr: "no such tool", returncode: 1 });
  const { code } = JSON.parse(call.function.arguments) as { code?: unknown };
  const { stdout, stderr, exitCode } = await tuner.executePython(typeof code === "string" ? code : "");
  const error = stderr.trimEnd().split("\n").at(-1);
  return JSON.stringify({ stdout, ...(error ? { stderr: error } : {}), returncode: exitCode });
}
