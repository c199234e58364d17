import { join, resolve } from "node:path";
import type { Command } from "commander";
import { HubDataset } from "../tasks/hub/hub-dataset.js";
import { parseHubName } from "../tasks/hub/hub-name.js";
import { splitFiles } from "../tasks/hub/split-files.js";
import { FetchPrinter } from "./fetch-printer.js";
import { type CommonOptions, command } from "./options.js";
import { Output } from "./output.js";
import { StopSignal } from "./stop-signal.js";

interface DownloadOptions extends CommonOptions {
  target: string;
  path?: string;
  revision: string;
}

/** `ajet download`: a data set of the Hugging Face hub. */
export function addDownload(program: Command): void {
  command(program, "download", "fetches a data set of the Hugging Face hub; what is there already is not fetched again")
    .requiredOption("--target <name>", "owner/name for all of it, owner/name/config for one configuration")
    .option("--path <dir>", "plain files in <dir>/<owner>/<name>; without it, the cache below HF_HOME")
    .option("--revision <name>", "branch, tag or commit", "main")
    .addHelpText("after", "\nHF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE are honoured.")
    .action((options: DownloadOptions) => download(options));
}

async function download(options: DownloadOptions): Promise<void> {
  const output = new Output(options);
  const { repo, config } = parseHubName(options.target, "--target");
  const folder = options.path === undefined ? undefined : join(resolve(options.path), repo);
  using stop = new StopSignal();
  using printer = new FetchPrinter(output);
  const dataset = await HubDataset.open(repo, {
    revision: options.revision,
    ...(folder === undefined ? {} : { folder }),
    onProgress: (progress) => printer.onFetch(progress),
    signal: stop.signal,
  });
  const splits = config === undefined ? undefined : await splitFiles(dataset, config);
  const card = dataset.paths.filter((path) => path === "README.md");
  const files = splits === undefined ? dataset.paths : [...card, ...[...splits.values()].flat()];
  await dataset.fetch(files);
  const name = folder === undefined ? options.target : join(folder, config ?? "");
  output.line(`${files.length} files of ${options.target}: \`dataset_path: ${name}\` reads them`);
  output.result({ target: options.target, dataset_path: name, files });
}
