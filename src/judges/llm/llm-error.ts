import { AjetError } from "../../native/errors.js";

/** The judge's LLM gave no answer, after all retries: judging again would not help. */
export class LlmError extends AjetError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_AJET_JUDGE_LLM", message, options);
  }
}
