import type { JudgeLlm, LlmQuestion } from "../agent/judge.js";
import type { PythonResult } from "../agent/tools.js";
import { LlmError } from "../judges/llm/llm-error.js";
import type { ServiceAnswer, ServiceCall } from "./worker-protocol.js";

type Waiting = (answer: ServiceAnswer) => void;

/** What a worker thread has the main thread do, where limits and caches hold for the run. */
export class MainThread implements JudgeLlm {
  private readonly waiting = new Map<number, Waiting>();
  private nextCall = 1;

  /** @param send Takes a call to the main thread, which answers through {@link MainThread.settle}. */
  constructor(private readonly send: (call: number, service: ServiceCall) => void) {}

  async runPython(code: string, timeoutMs?: number): Promise<PythonResult> {
    const answer = await this.call({ name: "python", code, timeoutMs });
    if ("error" in answer) throw new Error(answer.error);
    return answer.value as PythonResult;
  }

  async ask(question: LlmQuestion): Promise<string> {
    const answer = await this.call({ name: "llm", question });
    if ("error" in answer) throw new LlmError(answer.error);
    return answer.value as string;
  }

  settle(call: number, answer: ServiceAnswer): void {
    this.waiting.get(call)?.(answer);
    this.waiting.delete(call);
  }

  private call(service: ServiceCall): Promise<ServiceAnswer> {
    return new Promise((resolve) => {
      const call = this.nextCall++;
      this.waiting.set(call, resolve);
      this.send(call, service);
    });
  }
}
