import { UnreachableError } from "../contract.js";

/** Of one request. */
const TIMEOUT_MS = 15_000;

/** MLflow refused a request: `code` is its own. */
export class MlflowError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** MLflow's REST API 2.0, with the client's own environment variables for the login. */
export class MlflowApi {
  readonly #base: string;
  readonly #headers: Record<string, string> = { "content-type": "application/json" };
  readonly #stop = new AbortController();

  /** @param uri `http://host:port`, with `user:password@` where the server wants it. */
  constructor(uri: string, environment: NodeJS.ProcessEnv = process.env) {
    if (!URL.canParse(uri) || !/^https?:/.test(uri)) {
      throw new Error(
        `Expected http://host:port for \`mlflow.tracking_uri\` or MLFLOW_TRACKING_URI but received "${uri}"`,
      );
    }
    const url = new URL(uri);
    const user = decodeURIComponent(url.username) || environment["MLFLOW_TRACKING_USERNAME"];
    const password = decodeURIComponent(url.password) || environment["MLFLOW_TRACKING_PASSWORD"];
    const token = environment["MLFLOW_TRACKING_TOKEN"];
    if (user) this.#headers["authorization"] = `Basic ${Buffer.from(`${user}:${password ?? ""}`).toString("base64")}`;
    else if (token) this.#headers["authorization"] = `Bearer ${token}`;
    url.username = "";
    url.password = "";
    this.#base = url.href.replace(/\/$/, "");
  }

  /** Where the server's pages are. */
  get address(): string {
    return this.#base;
  }

  get(path: string, query: Record<string, string>): Promise<Record<string, unknown>> {
    return this.#request("GET", `${path}?${new URLSearchParams(query)}`);
  }

  post(path: string, body: object): Promise<Record<string, unknown>> {
    return this.#request("POST", path, JSON.stringify(body));
  }

  /** Ends what is being asked, and everything after it. */
  abort(): void {
    this.#stop.abort();
  }

  /**
   * @throws UnreachableError where the server does not answer, or not now.
   * @throws MlflowError where it refuses.
   */
  async #request(method: string, path: string, body?: string): Promise<Record<string, unknown>> {
    let status: number;
    let text: string;
    try {
      const response = await fetch(`${this.#base}/api/2.0/mlflow/${path}`, {
        method,
        headers: this.#headers,
        signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(TIMEOUT_MS)]),
        ...(body === undefined ? {} : { body }),
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      const { cause, message } = error as Error & { cause?: { code?: string } };
      throw new UnreachableError(`${this.#base} does not answer (${cause?.code ?? message})`);
    }
    if (status === 429 || status >= 500) throw new UnreachableError(`${this.#base} answers with status ${status}`);
    const answer = parse(text);
    if (status === 200 && answer !== undefined) return answer;
    const code = String(answer?.["error_code"] ?? `status ${status}`);
    throw new MlflowError(code, `${this.#base} answers ${code}: ${String(answer?.["message"] ?? text).slice(0, 300)}`);
  }
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
