import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ConfigError } from "../../native/errors.js";

/** What is used of onnxruntime-node, which is an optional package. */
export interface OnnxRuntime {
  InferenceSession: { create(file: string, options: object): Promise<OnnxSession> };
  Tensor: new (type: string, data: BigInt64Array | Int32Array, dims: readonly number[]) => OnnxTensor;
}

export interface OnnxSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata?: readonly { name: string; type?: string }[];
  run(feeds: Record<string, OnnxTensor>): Promise<Record<string, OnnxTensor>>;
}

export interface OnnxTensor {
  readonly data: ArrayLike<number | bigint>;
  readonly dims: readonly number[];
}

const PACKAGE = "onnxruntime-node";

/** Loads the package, from ajet's place or from the current folder. @throws ConfigError that says how to install it. */
export async function loadOnnxRuntime(): Promise<OnnxRuntime> {
  for (const from of [import.meta.url, pathToFileURL(join(process.cwd(), "package.json")).href]) {
    let file: string;
    try {
      file = createRequire(from).resolve(PACKAGE);
    } catch {
      continue;
    }
    const { default: wrapped, ...names } = (await import(pathToFileURL(file).href)) as { default?: OnnxRuntime };
    return wrapped ?? (names as unknown as OnnxRuntime);
  }
  throw new ConfigError(
    `OnnxAsJudge needs the package ${PACKAGE}, which is not installed: npm install ${PACKAGE} ` +
      "(with ONNXRUNTIME_NODE_INSTALL=skip in the environment it fetches no CUDA libraries, which are not needed)",
  );
}
