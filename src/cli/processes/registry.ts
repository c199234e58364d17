import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { writeJsonAtomically } from "../../train/atomic-file.js";
import { isRunning, type ProcessMark, thisProcess } from "../../train/process-mark.js";

/** A run or server of ajet, as it is noted while it goes on. */
export interface RegisteredProcess extends ProcessMark {
  /** Tells process ids of one boot and one container from those of another. */
  system: string;
  command: string[];
  folder: string;
}

/** Notes this process until it ends. Where no folder can be written, the run goes on unnoted. */
export function registerProcess(): void {
  const entry: RegisteredProcess = {
    ...thisProcess(),
    system: systemId(),
    command: process.argv.slice(2),
    folder: process.cwd(),
  };
  for (const folder of registryFolders()) {
    const file = join(folder, `${entry.pid}-${entry.startTicks}.json`);
    try {
      mkdirSync(folder, { recursive: true });
      if (!isOwn(folder)) continue;
      chmodSync(folder, 0o700); // command lines may hold keys
      writeJsonAtomically(file, entry);
    } catch {
      continue;
    }
    process.on("exit", () => rmSync(file, { force: true }));
    return;
  }
}

/** Every run and server of this user that goes on; entries of processes that are gone are removed. */
export function registeredProcesses(): RegisteredProcess[] {
  const found = registryFolders().flatMap((folder) => filesOf(folder).flatMap(readEntry));
  return found.sort((a, b) => a.pid - b.pid);
}

/** Where the environment says, then where it would be without: a run may have been started by another shell. */
function registryFolders(): string[] {
  const { XDG_RUNTIME_DIR, XDG_STATE_HOME } = process.env;
  const folders = [
    ...(XDG_RUNTIME_DIR ? [join(XDG_RUNTIME_DIR, "ajet")] : []),
    join(XDG_STATE_HOME || join(homedir(), ".local/state"), "ajet/processes"),
    join(tmpdir(), `ajet-${process.getuid?.() ?? "user"}`),
  ];
  return [...new Set(folders)];
}

/** What others put into the shared /tmp must not name what we end. */
function isOwn(folder: string): boolean {
  const found = lstatSync(folder);
  return found.isDirectory() && found.uid === process.getuid?.();
}

function filesOf(folder: string): string[] {
  try {
    if (!isOwn(folder)) return [];
    const names = readdirSync(folder).filter((name) => /^\d+-\w+\.json$/.test(name));
    return names.map((name) => join(folder, name));
  } catch {
    return [];
  }
}

function readEntry(file: string): RegisteredProcess[] {
  try {
    const entry = JSON.parse(readFileSync(file, "utf8")) as RegisteredProcess;
    if (entry.system !== systemId()) return []; // of another machine or container that shares the folder
    if (isRunning(entry)) return [entry];
    if (entry.pid !== process.pid) rmSync(file, { force: true });
  } catch {
    // Somebody else's file, or one that was just removed.
  }
  return [];
}

function systemId(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return "unknown";
  }
}
