import type { JudgeLlm, LlmQuestion } from "../agent/judge.js";

/** Notes failures: another run may have better luck with the endpoint. */
export class NotingLlm implements JudgeLlm {
  constructor(
    private readonly llm: JudgeLlm,
    private readonly unrepeatable: string[],
  ) {}

  async ask(question: LlmQuestion): Promise<string> {
    try {
      return await this.llm.ask(question);
    } catch (error) {
      this.unrepeatable.push("the judge's LLM gave no answer");
      throw error;
    }
  }
}
