import { setTimeout as sleep } from "node:timers/promises";
import { type Tuner, Workflow, type WorkflowOutput, type WorkflowTask } from "ajet";
import type OpenAI from "openai";

/** A conversation of two turns with three equal calls beside it; then it behaves as the task says. */
export class Asking extends Workflow {
  async execute({ task, sample }: WorkflowTask, tuner: Tuner, signal: AbortSignal): Promise<WorkflowOutput> {
    const client = tuner.asRawOpenaiSdkClient();
    const ask = async (messages: OpenAI.ChatCompletionMessageParam[], maxTokens: number) => {
      const completion = await client.chat.completions.create({ model: "m", messages, max_tokens: maxTokens });
      return completion.choices[0]?.message as OpenAI.ChatCompletionMessage;
    };
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: task.mainQuery }];
    const texts: string[] = [];
    for (let turn = 0; turn < 2; turn++) {
      const beside = Array.from({ length: 3 }, () => ask([{ role: "user", content: `Beside ${turn}` }], 3));
      const reply = await ask(messages, 6);
      texts.push(reply.content ?? "", ...(await Promise.all(beside)).map((message) => message.content ?? ""));
      messages.push(reply, { role: "user", content: "Go on" });
    }
    const { behaviour, samples } = task.metadata as { behaviour?: string; samples?: number[] };
    const startLong = async () => {
      const stream = await client.chat.completions.create({
        model: "m",
        messages,
        max_tokens: 800,
        n: 128,
        stream: true,
      });
      await stream[Symbol.asyncIterator]().next();
    };
    if (samples === undefined || samples.includes(sample)) await behave(behaviour, startLong, signal);
    return { reward: texts.join("").length, metadata: { texts }, logMetrics: { texts: texts.length } };
  }
}

async function behave(
  behaviour: string | undefined,
  startLong: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  if (behaviour === "throw") throw new Error("as asked");
  if (behaviour === "loop") for (;;);
  if (behaviour === "exit") (process as unknown as { reallyExit(code: number): never }).reallyExit(1);
  if (behaviour === "hang") await sleep(60_000, undefined, { signal });
  if (behaviour === "leave") await Promise.race(Array.from({ length: 4 }, startLong));
}
