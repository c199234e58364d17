import { Msg, ReActAgent, Toolkit, type Tuner, Workflow, type WorkflowOutput, type WorkflowTask } from "ajet";
import { runToolCall, SYSTEM_PROMPT, TOOLS } from "./python-tool.js";

/** The math agent in AgentScope's style: a ReAct agent with a toolkit and a memory. */
export class ExampleMathLearn extends Workflow {
  async execute(workflowTask: WorkflowTask, tuner: Tuner, signal: AbortSignal): Promise<WorkflowOutput> {
    const toolkit = new Toolkit();
    for (const tool of TOOLS) toolkit.registerToolFunction(tool, (_args, { call }) => runToolCall(tuner, call));
    const agent = new ReActAgent({
      name: "math_react_agent",
      sysPrompt: SYSTEM_PROMPT,
      model: tuner.asAgentscopeModel(),
      toolkit,
      maxIters: 2,
    });
    const reply = await agent.reply(new Msg("user", workflowTask.task.mainQuery, "user"), { signal });
    // `reward: null` leaves the score to the judge; it finds the answer in the metadata.
    return { reward: null, metadata: { final_answer: reply.content } };
  }
}
