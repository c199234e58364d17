/** Entry of the process that runs ONNX models: see scorer-process.ts. It ends when its parent closes the channel. */
import { ConfigError } from "../../native/errors.js";
import { type ScorerOptions, TextScorer } from "./text-scorer.js";

/** Without texts: only load the model. */
export interface ScoreRequest {
  id: number;
  options: ScorerOptions;
  texts?: { text: string; pair: string | undefined };
}

export type ScoreAnswer = { id: number } & ({ score: number } | { error: string; isConfig: boolean });

async function answer({ id, options, texts }: ScoreRequest): Promise<ScoreAnswer> {
  try {
    const scorer = await TextScorer.load(options);
    return { id, score: texts ? await scorer.score(texts.text, texts.pair) : 0 };
  } catch (error) {
    return { id, error: (error as Error).message, isConfig: error instanceof ConfigError };
  }
}

process.on("message", async (request: ScoreRequest) => {
  const message = await answer(request);
  if (process.connected) process.send?.(message);
});
