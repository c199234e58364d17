import { type Command, InvalidArgumentError } from "commander";
import type { Device } from "../native/types.js";

/** Options that every command takes. */
export interface CommonOptions {
  json?: boolean;
  verbose?: boolean;
}

/** A subcommand with the options that all commands share. */
export function command(parent: Command, name: string, summary: string): Command {
  return parent
    .command(name)
    .description(summary)
    .option("--json", "results as JSON lines on stdout, everything else on stderr")
    .option("--verbose", "errors with their stack");
}

/** Where the model runs. */
export interface PlaceOptions {
  device?: Device;
  threads?: number;
}

/** `--device` and `--threads` as overrides of a configuration. */
export function placeOverrides(options: PlaceOptions): string[] {
  return [
    ...(options.device === undefined ? [] : [`model.device=${options.device}`]),
    ...(options.threads === undefined ? [] : [`model.threads=${options.threads}`]),
  ];
}

/** Adds `--device` and `--threads`. */
export function withDevice(target: Command): Command {
  return target
    .option("--device <device>", "auto, cpu, cuda or cuda:N", parseDevice)
    .option("--threads <n>", "threads of the CPU backend; 0 is one per core", parseCount);
}

/**
 * Adds `--set`, which may be given several times.
 * @param help What it does, where that is not what it does with a YAML.
 */
export function withOverrides(
  target: Command,
  help = "overrides a key below `ajet:`, e.g. trainer_common.seed=7",
): Command {
  return target.option("--set <key=value>", help, collect, []);
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}

/** A whole number of at least 0. */
export function parseCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError(`Expected a whole number but received "${text}".`);
  return Number(text);
}

/** A whole number of at least 1. */
export function parsePositive(text: string): number {
  if (!/^\d*[1-9]\d*$/.test(text)) {
    throw new InvalidArgumentError(`Expected a whole number of at least 1 but received "${text}".`);
  }
  return Number(text);
}

/** A number of at least 0. */
export function parseTemperature(text: string): number {
  const value = parseNumber(text);
  if (value < 0) throw new InvalidArgumentError(`Expected a number of at least 0 but received "${text}".`);
  return value;
}

/** A number. */
export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) {
    throw new InvalidArgumentError(`Expected a number but received "${text}".`);
  }
  return value;
}

function parseDevice(text: string): Device {
  if (!/^(auto|cpu|cuda(:\d+)?)$/.test(text)) {
    throw new InvalidArgumentError(`Expected auto, cpu, cuda or cuda:N but received "${text}".`);
  }
  return text as Device;
}
