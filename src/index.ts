/** What `import … from "ajet"` gives: the agent's types, and the native core for embedding. */
export * from "./agent/judge.js";
export * from "./agent/task.js";
export * from "./agent/task-reader.js";
export * from "./agent/tools.js";
export * from "./agent/tuner.js";
export * from "./agent/workflow.js";
export { MathAnswerAndLlmAsJudge } from "./judges/llm/math-answer-and-llm.js";
export { RankByLlmAsJudge } from "./judges/llm/rank-by-llm.js";
export { answersEqual, lastBoxed, MathAnswerAsJudge } from "./judges/math-answer.js";
export { OnnxAsJudge } from "./judges/onnx/onnx-judge.js";
export { Engine } from "./native/engine.js";
export * from "./native/errors.js";
export * from "./native/info.js";
export * from "./native/losses.js";
export { createModel, createModelFromConfig, loadModel, Model } from "./native/model.js";
export { Trainer } from "./native/trainer.js";
export * from "./native/types.js";
export { JsonlTaskReader } from "./tasks/jsonl-reader.js";
