import type { Model } from "../../src/native/model.js";
import type { TrainCall } from "../../src/native/types.js";
import { chatTemplate, saying, tokenizer } from "./harness.js";

/** A conversation and the reply that a tiny model is to learn for it. */
export function lesson(episode: number, messages: object[], reply: string, tools?: object[]): TrainCall {
  const options = tools === undefined ? {} : { tools: tools as never };
  const prompt = Int32Array.from(tokenizer.encode(chatTemplate.render(messages as never, options)));
  return { episode, prompt, sampled: Int32Array.from(saying(reply)), logprobs: new Float32Array(0), temperature: 1 };
}

/** With the current log-probs and advantage 1 the policy gradient is that of supervised training. */
export async function learn(model: Model, calls: TrainCall[]): Promise<void> {
  const trainer = await model.createTrainer({ learningRate: 5e-3, weightDecay: 0 });
  const ones = Float64Array.from(calls, () => 1);
  const groups = Int32Array.from(calls, (_, index) => index);
  for (let step = 0; step < 300; step++) {
    const { logprobs } = await trainer.score(calls);
    if (logprobs.every((values) => values.every((value) => value > -0.05))) return;
    const scored = calls.map((call, i) => ({ ...call, logprobs: logprobs[i] as Float32Array }));
    await trainer.step({ calls: scored, rewards: ones, advantages: ones, groups }, { preset: "trl-dapo" });
  }
  throw new Error("The tiny model did not learn its lessons");
}
