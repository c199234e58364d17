import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { ConfigError } from "../native/errors.js";
import { readJson, writeFileAtomically, writeJsonAtomically } from "./atomic-file.js";

/** Where a run's files lie: `saved_experiments/<name>/`. */
export class RunFolder {
  readonly path: string;
  readonly name: string;

  constructor(experimentDir: string, name: string) {
    this.name = name;
    this.path = join(experimentDir, name);
  }

  get configFile(): string {
    return join(this.path, "config.yaml");
  }
  get metricsFile(): string {
    return join(this.path, "metrics.jsonl");
  }
  get tokensFolder(): string {
    return join(this.path, "tokens");
  }
  get checkpointsFolder(): string {
    return join(this.path, "checkpoints");
  }
  get summaryFile(): string {
    return join(this.path, "summary.json");
  }
  get #originFile(): string {
    return join(this.path, "run.json");
  }

  /**
   * Makes the folder and notes who runs in it.
   * @throws ConfigError when a new run would land in a folder that holds one.
   */
  create(yamlFile: string, resolvedYaml: string, resume: boolean): void {
    if (!resume && existsSync(this.#originFile)) {
      throw new ConfigError(
        `${this.path} already holds a run: add --resume ${this.name} to go on with it, or choose another \`experiment_name\``,
      );
    }
    mkdirSync(this.checkpointsFolder, { recursive: true });
    mkdirSync(this.tokensFolder, { recursive: true });
    writeFileAtomically(this.configFile, resolvedYaml);
    writeJsonAtomically(this.#originFile, { yaml: yamlFile, pid: process.pid });
  }
}

/** `<yaml stem>_<YYYYmmdd_HHMMSS>`, for a run without a name. */
export function defaultRunName(yamlFile: string, now: Date): string {
  const digits = now.toISOString().replace(/[-:]/g, "").replace("T", "_").slice(0, 15);
  return `${basename(yamlFile).replace(/\.ya?ml$/, "")}_${digits}`;
}

/**
 * The name of the newest run of a YAML file.
 * @throws ConfigError when there is none.
 */
export function newestRunOf(experimentDir: string, yamlFile: string): string {
  const runs = existsSync(experimentDir) ? readdirSync(experimentDir) : [];
  const own = runs.filter((name) => {
    const origin = join(experimentDir, name, "run.json");
    return existsSync(origin) && (readJson(origin) as { yaml?: string }).yaml === yamlFile;
  });
  const time = (name: string) => statSync(join(experimentDir, name, "run.json")).mtimeMs;
  const newest = own.sort((a, b) => time(b) - time(a))[0];
  if (newest === undefined) {
    throw new ConfigError(`There is no run of ${yamlFile} in ${experimentDir} to resume: leave --resume out to start one`);
  }
  return newest;
}

/** The resolved configuration as it was written when the run started. */
export function readResolvedConfig(folder: RunFolder): string {
  try {
    return readFileSync(folder.configFile, "utf8");
  } catch (error) {
    throw new ConfigError(`${folder.path} is no run: it has no config.yaml`, { cause: error });
  }
}
