import { basename, dirname, resolve } from "node:path";
import { dump, load } from "js-yaml";
import { changedKeys } from "../config/changed-keys.js";
import { type LoadedConfig, loadConfig, resolveConfig } from "../config/load-config.js";
import { applyOverrides, type YamlTree } from "../config/overrides.js";
import { ConfigError } from "../native/errors.js";
import { defaultRunName, newestRunOf, RunFolder } from "../train/run-folder.js";
import { placeOverrides } from "./options.js";
import type { TrainOptions } from "./train.js";

/** A run that is ready to start. */
export interface PreparedRun extends LoadedConfig {
  folder: RunFolder;
  /** The YAML that the run was started from. */
  yamlFile: string;
  /** Makes the folder, or takes it over, and writes the configuration there. */
  claimFolder(): void;
}

/**
 * A new run of a YAML, or with `--resume` an earlier one.
 * @param given The YAML on the command line, if any.
 * @param tutorial The YAML that is taken where none is given.
 * @param kind Of a new run.
 */
export function prepareRun(
  given: string | undefined,
  tutorial: string,
  options: TrainOptions,
  kind: "train" | "debug" = "train",
): PreparedRun {
  const overrides = [...options.set, ...placeOverrides(options)];
  const loaded = loadConfig(given ?? tutorial, overrides);
  if (options.resume !== undefined) return resumeRun(given, tutorial, loaded, overrides, options.resume);
  const { config } = loaded;
  const yamlFile = given ?? tutorial;
  // Debugging is done again and again, whatever the YAML calls its run.
  const name = kind === "debug" ? null : config.experiment_name;
  const prefix = kind === "debug" ? "debug_" : "";
  const folder = new RunFolder(config.experiment_dir, name ?? defaultRunName(config.experiment_dir, yamlFile, prefix));
  folder.refuseExisting(kind);
  return { ...loaded, folder, yamlFile, claimFolder: () => folder.start(kind, yamlFile, dump({ ajet: config })) };
}

/** A run is named by its folder, too, which shells complete. */
function runName(experimentDir: string, given: string): string {
  const path = resolve(given);
  return dirname(path) === resolve(experimentDir) ? basename(path) : given;
}

/** An earlier run goes on with the configuration that it was started with; only `--set` changes it. */
function resumeRun(
  given: string | undefined,
  tutorial: string,
  { config: now }: LoadedConfig,
  overrides: readonly string[],
  resume: string | true | false,
): PreparedRun {
  const name =
    typeof resume === "string"
      ? runName(now.experiment_dir, resume)
      : (now.experiment_name ?? newestRunOf(now.experiment_dir, given ?? tutorial));
  const folder = new RunFolder(now.experiment_dir, name);
  const { yaml } = folder.origin();
  if (given !== undefined && given !== yaml)
    throw new ConfigError(`${folder.path} is a run of ${yaml}, not of ${given}`);
  const { ajet: stored } = load(folder.storedConfig()) as { ajet: YamlTree };
  applyOverrides(stored, overrides);
  const { config } = resolveConfig(stored, folder.configFile);
  const notes = [
    `the run goes on with its own ${folder.configFile}${overrides.length > 0 ? ", changed by --set" : ""}`,
  ];
  const changed = yaml === (given ?? tutorial) ? changedKeys(config, now) : [];
  if (changed.length > 0)
    notes.push(`what ${yaml} says by now about ${changed.join(", ")} is not looked at: use --set`);
  return { config, notes, folder, yamlFile: yaml, claimFolder: () => folder.goOn(dump({ ajet: config })) };
}
