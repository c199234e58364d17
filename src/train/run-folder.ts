import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { ConfigError } from "../native/errors.js";
import { fileError } from "../native/file-error.js";
import { readJson, removeLeftover, writeFileAtomically, writeJsonAtomically } from "./atomic-file.js";
import { isRunning, type ProcessMark, thisProcess } from "./process-mark.js";

/** Who runs in a folder: `run.json`. */
export interface RunOrigin {
  kind: "train" | "eval" | "debug";
  /** The configuration's file; relative paths in it are looked up from its folder. */
  yaml: string;
  process: ProcessMark;
}

/** Part of the name of a folder that is being made. */
const STAGING = ".tmp-";

/** Where a run's files lie: `saved_experiments/<name>/`. */
export class RunFolder {
  readonly path: string;
  readonly #experimentDir: string;

  constructor(
    experimentDir: string,
    readonly name: string,
  ) {
    this.#experimentDir = experimentDir;
    this.path = join(experimentDir, name);
  }

  get configFile(): string {
    return join(this.path, "config.yaml");
  }
  get metricsFile(): string {
    return join(this.path, "metrics.jsonl");
  }
  get validationFile(): string {
    return join(this.path, "validation.jsonl");
  }
  get tokensFolder(): string {
    return join(this.path, "tokens");
  }
  get summaryFile(): string {
    return join(this.path, "summary.json");
  }
  get #originFile(): string {
    return join(this.path, "run.json");
  }

  /** Where `step_N` go, by `trainer_common.checkpoint_base_dir` and `project_name`. */
  checkpointsFolder(baseDir: string | null, project: string): string {
    return baseDir === null ? join(this.path, "checkpoints") : join(baseDir, project, this.name);
  }

  /** @throws ConfigError when the folder is there: a new run must not mix with an older one. */
  refuseExisting(kind: RunOrigin["kind"]): void {
    if (!existsSync(this.path)) return;
    const goOn = kind === "train" ? `add --resume ${this.name} to go on with it, or ` : "";
    throw new ConfigError(`${this.path} already holds a run: ${goOn}choose another \`experiment_name\``);
  }

  /**
   * Makes the folder for a new run and notes who runs in it. A folder that is there can be resumed, whenever it was killed.
   * @throws ConfigError when it exists already.
   */
  start(kind: RunOrigin["kind"], yamlFile: string, resolvedYaml: string): void {
    const staging = new RunFolder(this.#experimentDir, `${this.name}${STAGING}${process.pid}`);
    try {
      mkdirSync(staging.path, { recursive: true });
      staging.#write(kind, yamlFile, resolvedYaml);
      renameSync(staging.path, this.path);
    } catch (error) {
      removeLeftover(staging.path);
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOTEMPTY" || code === "EEXIST") this.refuseExisting(kind);
      throw fileError(`Cannot make ${this.path}`, error);
    }
  }

  /** Takes the folder of an earlier run over. */
  goOn(resolvedYaml: string): void {
    this.#write("train", this.origin().yaml, resolvedYaml);
  }

  /**
   * The training run that lies here.
   * @throws ConfigError when there is none, or when a process still works on it.
   */
  origin(): RunOrigin {
    if (!existsSync(this.#originFile)) {
      throw new ConfigError(`There is no run in ${this.path} to resume: leave --resume out to start one`);
    }
    const origin = readJson(this.#originFile) as RunOrigin;
    if (origin.kind !== "train") {
      const what = origin.kind === "eval" ? "an evaluation" : "a debugging run";
      throw new ConfigError(`${this.path} holds ${what}: only training runs can be resumed`);
    }
    if (isRunning(origin.process)) {
      throw new ConfigError(
        `Process ${origin.process.pid} still works on ${this.path}: stop it before you resume the run`,
      );
    }
    return origin;
  }

  /**
   * Whether a process works on the run in a folder.
   * @throws ConfigError when there is no run.
   */
  static isAtWork(folder: string): boolean {
    const file = join(folder, "run.json");
    if (!existsSync(file)) throw new ConfigError(`There is no run in ${folder}`);
    return isRunning((readJson(file) as RunOrigin).process);
  }

  /** The configuration as it was resolved when the run was last started. */
  storedConfig(): string {
    try {
      return readFileSync(this.configFile, "utf8");
    } catch (error) {
      throw new ConfigError(`${this.path} cannot be resumed: it has no config.yaml`, { cause: error });
    }
  }

  #write(kind: RunOrigin["kind"], yaml: string, resolvedYaml: string): void {
    writeFileAtomically(this.configFile, resolvedYaml);
    writeJsonAtomically(this.#originFile, { kind, yaml, process: thisProcess() } satisfies RunOrigin);
  }
}

/**
 * `<yaml stem>_<YYYYmmdd_HHMMSS>`, for a run without a name; `_2` and so on where two start in one second.
 * @param prefix Stands in front.
 */
export function defaultRunName(experimentDir: string, yamlFile: string, prefix = ""): string {
  const time = new Date().toISOString().replace(/[-:]/g, "").replace("T", "_").slice(0, 15);
  const name = `${prefix}${basename(yamlFile).replace(/\.ya?ml$/, "")}_${time}`;
  let candidate = name;
  for (let count = 2; existsSync(join(experimentDir, candidate)); count++) candidate = `${name}_${count}`;
  return candidate;
}

/**
 * The name of the newest training run of a YAML file.
 * @throws ConfigError when there is none.
 */
export function newestRunOf(experimentDir: string, yamlFile: string): string {
  const runs = existsSync(experimentDir) ? readdirSync(experimentDir) : [];
  const own = runs.filter((name) => {
    const file = join(experimentDir, name, "run.json");
    if (name.includes(STAGING) || !existsSync(file)) return false;
    const origin = readJson(file) as Partial<RunOrigin>;
    return origin.kind === "train" && origin.yaml === yamlFile;
  });
  const time = (name: string) => statSync(join(experimentDir, name, "run.json")).mtimeMs;
  const newest = own.sort((a, b) => time(b) - time(a))[0];
  if (newest === undefined) {
    throw new ConfigError(
      `There is no run of ${yamlFile} in ${experimentDir} to resume: leave --resume out to start one`,
    );
  }
  return newest;
}
