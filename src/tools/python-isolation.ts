import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, readlinkSync } from "node:fs";
import { machine } from "node:os";
import { findExecutable, type PythonInterpreter, START_MS } from "./python-interpreter.js";

/** How the sandbox's processes are kept from the machine. */
export type IsolationName = "bubblewrap" | "unshare" | "none";

/** One way to start the sandbox. Whether it works here shows when it is tried. */
export interface Isolation {
  name: IsolationName;
  /** For people, e.g. in the log. */
  description: string;
  /** What runs the interpreter. */
  command: string[];
  /** User and group to start as. */
  uid?: number;
  /** What the Python side has to do itself. */
  setup: { root: string[] | null; uid: number | null; clone_flags: number };
}

const NOBODY = 65534;
const CLONE_PARENT = 0x8000;
const CLONE_NEWPID = 0x20000000;

/** Ways to isolate, best first, and why others are no candidates. */
export function findIsolations(python: PythonInterpreter): { candidates: Isolation[]; missing: string[] } {
  const missing: string[] = [];
  const candidates: Isolation[] = [];
  // As root, everything starts as nobody: user namespaces then give what root would.
  const isRoot = process.getuid?.() === 0;
  const asNobody = isRoot ? { uid: NOBODY } : {};
  const root = rootPaths(python);

  const bubblewrap = findExecutable("bwrap");
  if (bubblewrap) candidates.push({ ...bubblewrapIsolation(bubblewrap, root), ...asNobody });
  else missing.push("bubblewrap: bwrap is not installed");

  const unshare = findExecutable("unshare");
  if (unshare) {
    candidates.push({ ...unshareIsolation(unshare, root, ["--user", "--map-root-user"]), ...asNobody });
    if (isRoot) {
      // Where user namespaces are switched off: root's own, left by setuid before the program runs.
      const asRoot = unshareIsolation(unshare, root, []);
      candidates.push({ ...asRoot, setup: { ...asRoot.setup, uid: NOBODY } });
    }
  } else missing.push("unshare: not installed");
  return { candidates, missing };
}

/** No isolation, limits only: for `--unsafe-tools`. */
export function noIsolation(): Isolation {
  return {
    name: "none",
    description: "none: programs reach the network and this user's files",
    command: withoutAddressRandomisation(),
    ...(process.getuid?.() === 0 ? { uid: NOBODY } : {}),
    setup: { root: null, uid: null, clone_flags: CLONE_PARENT },
  };
}

function bubblewrapIsolation(bubblewrap: string, root: string[]): Isolation {
  const binds = root.flatMap((path) =>
    lstatSync(path).isSymbolicLink() ? ["--symlink", readlinkSync(path), path] : ["--ro-bind", path, path],
  );
  return {
    name: "bubblewrap",
    description: "bubblewrap: no network, read-only root with the interpreter alone, a PID namespace per call",
    command: [
      ...withoutAddressRandomisation(),
      bubblewrap,
      ...["--unshare-all", "--die-with-parent", "--as-pid-1", "--clearenv", "--setenv", "PYTHONHASHSEED", "0"],
      // For the PID namespace of each call; the call itself has no capability.
      ...["--cap-add", "CAP_SYS_ADMIN"],
      ...binds,
      ...["--remount-ro", "/", "--chdir", "/"],
    ],
    setup: { root: null, uid: null, clone_flags: CLONE_PARENT | CLONE_NEWPID },
  };
}

function unshareIsolation(unshare: string, root: string[], user: string[]): Isolation {
  return {
    name: "unshare",
    description: "unshare: no network, read-only root with the interpreter alone, a PID namespace per call",
    command: [
      ...withoutAddressRandomisation(),
      unshare,
      ...user,
      ...["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"],
    ],
    setup: { root, uid: null, clone_flags: CLONE_PARENT | CLONE_NEWPID },
  };
}

/** What the interpreter needs: itself and the system's libraries. */
function rootPaths(python: PythonInterpreter): string[] {
  const system = ["/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache", "/nix/store"].filter(existsSync);
  const own = python.prefixes.filter(
    (prefix) => !system.some((path) => prefix === path || prefix.startsWith(`${path}/`)),
  );
  return [...system, ...own];
}

let randomisationOff: string[] | undefined;

/** Addresses show in what a program prints (`<function f at 0x…>`), so runs repeat only with fixed ones. */
function withoutAddressRandomisation(): string[] {
  if (randomisationOff === undefined) {
    const setarch = findExecutable("setarch");
    randomisationOff = setarch && works(setarch, [machine(), "-R", "true"]) ? [setarch, machine(), "-R"] : [];
  }
  return randomisationOff;
}

function works(program: string, args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: "ignore", timeout: START_MS });
    return true;
  } catch {
    return false;
  }
}
