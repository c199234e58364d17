import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm, stat, utimes } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileError } from "../../native/file-error.js";

const BEAT_MS = 1000;
/** A lock that has not been touched for so long was left by a process that died. */
const STALE_MS = 10_000;
const POLL_MS = 50;

/** Runs `work` while no other process or caller holds the lock. The holder touches the lock file as long as it lives. */
export async function withFileLock<T>(lock: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(lock), { recursive: true }).catch((error: unknown) => {
    throw fileError(`Cannot write to ${dirname(lock)}`, error);
  });
  const handle = await acquire(lock);
  const beat = setInterval(() => void utimes(lock, new Date(), new Date()).catch(() => {}), BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    await handle.close();
    await rm(lock, { force: true });
  }
}

async function acquire(lock: string): Promise<FileHandle> {
  for (;;) {
    try {
      return await open(lock, "wx");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw fileError(`Cannot write ${lock}`, error);
    }
    if (await isStale(lock)) await takeAway(lock);
    else await sleep(POLL_MS);
  }
}

/** Another waiter may be first, and hold a new lock of this name by now: that one goes back. */
async function takeAway(lock: string): Promise<void> {
  const aside = `${lock}.${randomUUID()}`;
  try {
    await rename(lock, aside);
    if (await isStale(aside)) await rm(aside, { force: true });
    else await rename(aside, lock);
  } catch {
    // It is gone: the next round sees what there is.
  }
}

async function isStale(lock: string): Promise<boolean> {
  const touched = await stat(lock).catch(() => undefined);
  return touched !== undefined && Date.now() - touched.mtimeMs > STALE_MS;
}
