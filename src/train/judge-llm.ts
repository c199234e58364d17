import type { JudgeLlm } from "../agent/judge.js";
import type { AjetConfig } from "../config/schema.js";
import { llmSettings } from "../judges/llm/llm-settings.js";
import { RunLlm } from "../judges/llm/run-llm.js";

/** The run's LLM for judges, opened at the first question: most runs have a judge that asks none, and need no key. */
export function openJudgeLlm(config: AjetConfig, onProblem: (message: string) => void): JudgeLlm & { close(): void } {
  let llm: RunLlm | undefined;
  return {
    ask: async (question) => {
      llm ??= new RunLlm(llmSettings(config), onProblem);
      return llm.ask(question);
    },
    close: () => llm?.close(),
  };
}
