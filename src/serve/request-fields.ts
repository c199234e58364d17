/** What becomes of a request field. `refused` fields still accept the values that change nothing. */
export type FieldTreatment = "honoured" | "ignored" | "refused";

/** One line of the table in docs/server.md. */
export interface RequestField {
  treatment: FieldTreatment;
  /** The table's last column: limits, defaults, or the reason. */
  note: string;
  /** Of a refused field: values that are accepted because they ask for nothing. */
  neutral?: (value: unknown) => boolean;
  /** Not part of the OpenAI API, but usual among servers of open models. */
  extension?: true;
  /** In training sessions only these values are accepted, since the trainer computes the plain distribution. */
  trainingNeutral?: (value: unknown) => boolean;
}

const isZero = (value: unknown) => value === 0;
const isOne = (value: unknown) => value === 1;
const isEmpty = (value: unknown) => typeof value === "object" && value !== null && Object.keys(value).length === 0;
const isOffTopK = (value: unknown) => value === 0 || value === -1;

const ignored = (note: string): RequestField => ({ treatment: "ignored", note });
const refused = (note: string, neutral?: (value: unknown) => boolean): RequestField =>
  neutral === undefined ? { treatment: "refused", note } : { treatment: "refused", note, neutral };

/** Every request field of `POST /v1/chat/completions`. A field that is not here is answered with 400. */
export const REQUEST_FIELDS = {
  messages: {
    treatment: "honoured",
    note: "Roles `system`, `developer` (as `system`), `user`, `assistant`, `tool`; content as text or text parts",
  },
  model: { treatment: "honoured", note: "Any name; answered by the one model and echoed" },
  audio: refused("The model writes text only"),
  frequency_penalty: refused("Only 0: the sampler has no penalties", isZero),
  function_call: refused("Deprecated; use `tool_choice`"),
  functions: refused("Deprecated; use `tools`"),
  logit_bias: refused("Only `{}`: the sampler has no bias", isEmpty),
  logprobs: { treatment: "honoured", note: "Of the distribution that was sampled from, temperature included" },
  max_completion_tokens: {
    treatment: "honoured",
    note: "At least 1; cut to what the context leaves; wins over `max_tokens`",
  },
  max_tokens: { treatment: "honoured", note: "At least 1; cut to what the context leaves" },
  metadata: ignored("Nothing is stored"),
  modalities: refused('Only `["text"]`', (value) => JSON.stringify(value) === '["text"]'),
  moderation: refused("The server has no moderation model"),
  n: { treatment: "honoured", note: "1 to 128" },
  parallel_tool_calls: ignored("The model calls as many tools as it likes"),
  prediction: ignored("A hint for speed that changes no result"),
  presence_penalty: refused("Only 0: the sampler has no penalties", isZero),
  prompt_cache_key: ignored("Prefixes are always shared"),
  prompt_cache_options: ignored("Prefixes are always shared"),
  prompt_cache_retention: ignored("Prefixes are always shared"),
  reasoning_effort: ignored("Open models have no such switch; see `chat_template_kwargs`"),
  response_format: refused(
    'Only `{"type": "text"}`: output is never forced into a grammar',
    (value) => typeof value === "object" && value !== null && (value as { type?: unknown }).type === "text",
  ),
  safety_identifier: ignored("Nothing is stored"),
  seed: { treatment: "honoured", note: "An integer; in training mixed with the episode's identity" },
  service_tier: ignored("There is one tier"),
  stop: { treatment: "honoured", note: "A text or up to 4; not part of the content" },
  store: ignored("Nothing is stored"),
  stream: { treatment: "honoured", note: "Server-sent events, ended by `[DONE]`" },
  stream_options: { treatment: "honoured", note: "`include_usage`; `include_obfuscation` is ignored" },
  temperature: { treatment: "honoured", note: "0 (greedy) to 2; training may fix it for all calls" },
  tool_choice: { treatment: "honoured", note: "`auto` and `none`; `required` or a named tool is 400" },
  tools: { treatment: "honoured", note: "Of type `function`; `strict` is ignored" },
  top_logprobs: { treatment: "honoured", note: "0 to 20, with `logprobs`" },
  top_p: { treatment: "honoured", note: "Above 0, at most 1; only 1 in training", trainingNeutral: isOne },
  user: ignored("Nothing is stored"),
  verbosity: ignored("Open models have no such switch"),
  web_search_options: refused("The server reaches no network"),
  chat_template_kwargs: {
    treatment: "honoured",
    extension: true,
    note: "Variables of the template, e.g. `enable_thinking`",
  },
  min_p: {
    treatment: "honoured",
    extension: true,
    note: "At least 0, below 1; only 0 in training",
    trainingNeutral: isZero,
  },
  repetition_penalty: { ...refused("Only 1: the sampler has no penalties", isOne), extension: true },
  top_k: {
    treatment: "honoured",
    extension: true,
    note: "0 or -1 is off; only off in training",
    trainingNeutral: isOffTopK,
  },
} as const satisfies Record<string, RequestField>;

/** The name of a known request field. */
export type RequestFieldName = keyof typeof REQUEST_FIELDS;
