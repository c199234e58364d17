import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, onTestFinished } from "vitest";

/** A folder that is removed after the test that asks for it, or after the file whose top level does. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "ajet-test-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    onTestFinished(remove);
  } catch {
    afterAll(remove); // no test is running
  }
  return folder;
}
