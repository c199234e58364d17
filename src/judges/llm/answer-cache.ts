import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

interface Entry {
  url: string;
  /** The request's body. */
  body: string;
  answer: string;
}

let written = 0;

/**
 * Answers on disk, one file each, named by the digest of endpoint and request. Any number of runs may share a folder: a
 * file appears whole or not at all, and one that a power cut tore does not read as an entry, so that it is asked for again.
 */
export class AnswerCache {
  constructor(private readonly folder: string) {}

  /** Undefined where there is none that can be read. */
  async get(url: string, body: string): Promise<string | undefined> {
    try {
      const entry = JSON.parse(await readFile(this.fileOf(url, body), "utf8")) as Partial<Entry> | null;
      const isThis = entry?.url === url && entry.body === body && typeof entry.answer === "string";
      return isThis ? entry.answer : undefined;
    } catch {
      return undefined;
    }
  }

  async set(url: string, body: string, answer: string): Promise<void> {
    const file = this.fileOf(url, body);
    const temporary = `${file}.tmp-${process.pid}-${written++}`;
    await mkdir(dirname(file), { recursive: true });
    try {
      await writeFile(temporary, JSON.stringify({ url, body, answer } satisfies Entry));
      await rename(temporary, file);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  private fileOf(url: string, body: string): string {
    const digest = createHash("sha256").update(`${url}\n${body}`).digest("hex");
    return join(this.folder, digest.slice(0, 2), `${digest}.json`);
  }
}
