import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { ConfigError } from "../../native/errors.js";
import { loadOnnxRuntime, type OnnxRuntime, type OnnxSession, type OnnxTensor } from "./onnx-runtime.js";

/** Which model, and which of its numbers. */
export interface ScorerOptions {
  modelFile: string;
  /** With tokenizer.json; absent: the model's folder. */
  tokenizerFolder: string | undefined;
  /** Absent: the model's first. */
  output: string | undefined;
  /** Class whose probability is the score; negative counts from the last. */
  label: number;
  activation: "auto" | "none" | "sigmoid" | "softmax";
  /** In tokens. */
  maxLength: number;
}

const loaded = new Map<string, Promise<TextScorer>>();

/** A text classifier or regressor: ONNX model and tokenizer. */
export class TextScorer {
  /** One per model. @throws ConfigError where it cannot be loaded. */
  static load(options: ScorerOptions): Promise<TextScorer> {
    const key = JSON.stringify(options);
    const known = loaded.get(key);
    if (known) return known;
    const scorer = TextScorer.open(options);
    loaded.set(key, scorer);
    return scorer;
  }

  private static async open(options: ScorerOptions): Promise<TextScorer> {
    const { modelFile, output } = options;
    if (!existsSync(modelFile)) {
      throw new ConfigError(`\`task_judge.judge_args.model_path\` names ${modelFile}, which does not exist`);
    }
    const runtime = await loadOnnxRuntime();
    const tokenizer = readTokenizer(options.tokenizerFolder ?? dirname(modelFile));
    let session: OnnxSession;
    try {
      // One thread for each operator: episodes are what runs side by side.
      session = await runtime.InferenceSession.create(modelFile, { intraOpNumThreads: 1, logSeverityLevel: 3 });
    } catch (error) {
      throw new ConfigError(`${modelFile} is no model for onnxruntime: ${(error as Error).message}`, { cause: error });
    }
    if (output !== undefined && !session.outputNames.includes(output)) {
      const names = session.outputNames.join(", ");
      throw new ConfigError(`${modelFile} has no output \`${output}\`; its outputs are: ${names}`);
    }
    const unknown = session.inputNames.filter((name) => !(name in TOKEN_INPUTS));
    if (unknown.length > 0) {
      const known = Object.keys(TOKEN_INPUTS).join(", ");
      throw new ConfigError(`${modelFile} wants the input ${unknown.join(", ")}; a tokenizer gives: ${known}`);
    }
    return new TextScorer(runtime, session, tokenizer, options);
  }

  private constructor(
    private readonly runtime: OnnxRuntime,
    private readonly session: OnnxSession,
    private readonly tokenizer: Tokenizer,
    private readonly options: ScorerOptions,
  ) {}

  /** @param pair A second text, for models of text pairs. */
  async score(text: string, pair?: string): Promise<number> {
    const encoding = this.encode(text, pair);
    const feeds = this.session.inputNames.map((name) => {
      const values = (TOKEN_INPUTS[name] as TokenInput)(encoding);
      return [name, this.tensor(name, values)];
    });
    const outputs = await this.session.run(Object.fromEntries(feeds) as Record<string, OnnxTensor>);
    const name = this.options.output ?? (this.session.outputNames[0] as string);
    const { data } = outputs[name] as OnnxTensor;
    return this.pick(Array.from(data, Number));
  }

  private encode(text: string, pair: string | undefined): TokenEncoding {
    const { maxLength } = this.options;
    // The tokenizer takes an empty second text for none, and then leaves out the token that closes it.
    const options = { return_token_type_ids: true as const, ...(pair === undefined ? {} : { text_pair: pair || " " }) };
    const { ids, token_type_ids: types } = this.tokenizer.encode(text, options);
    // A text that is too long loses its end; the token that closes the sequence stays.
    const cut = (values: readonly number[]) =>
      values.length <= maxLength ? values : [...values.slice(0, maxLength - 1), values.at(-1) as number];
    return ids.length === 0 ? { ids: [0], types: [0] } : { ids: cut(ids), types: cut(types) };
  }

  private tensor(name: string, values: readonly number[]): OnnxTensor {
    const type = this.session.inputMetadata?.find((input) => input.name === name)?.type ?? "int64";
    const data = type === "int32" ? Int32Array.from(values) : BigInt64Array.from(values, BigInt);
    return new this.runtime.Tensor(type, data, [1, values.length]);
  }

  private pick(outputs: readonly number[]): number {
    const { label, activation, modelFile } = this.options;
    const index = outputs.length === 1 ? 0 : label < 0 ? outputs.length + label : label;
    const value = outputs[index];
    if (value === undefined) {
      throw new ConfigError(`\`task_judge.judge_args.label\` is ${label}; ${modelFile} has ${outputs.length} outputs`);
    }
    const kind = activation === "auto" ? (outputs.length === 1 ? "none" : "softmax") : activation;
    if (kind === "none") return value;
    if (kind === "sigmoid") return 1 / (1 + Math.exp(-value));
    return 1 / outputs.reduce((sum, other) => sum + Math.exp(other - value), 0);
  }
}

interface TokenEncoding {
  ids: readonly number[];
  types: readonly number[];
}

type TokenInput = (encoding: TokenEncoding) => readonly number[];

/** What models of texts take. */
const TOKEN_INPUTS: Readonly<Record<string, TokenInput>> = {
  input_ids: ({ ids }) => ids,
  attention_mask: ({ ids }) => ids.map(() => 1),
  token_type_ids: ({ types }) => types,
};

function readTokenizer(folder: string): Tokenizer {
  const file = join(folder, "tokenizer.json");
  const configFile = join(folder, "tokenizer_config.json");
  try {
    const json = JSON.parse(readFileSync(file, "utf8"));
    const config = existsSync(configFile) ? JSON.parse(readFileSync(configFile, "utf8")) : {};
    // Of word-level models it looks for the token of unknown words in the second file only.
    return new Tokenizer(json, { unk_token: json.model?.unk_token, ...config });
  } catch (error) {
    throw new ConfigError(
      `${file} is no tokenizer for the judge: ${(error as Error).message}; name its folder in ` +
        "`task_judge.judge_args.tokenizer_path`",
      { cause: error },
    );
  }
}
