import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ReplyAssembler } from "../../src/serve/reply-assembler.js";
import { loadTokenizer } from "../../src/text/tokenizer.js";
import { tokenizer } from "./harness.js";

it("leaves the end token out of the text, also where it is an ordinary one", async () => {
  const dir = mkdtempSync(join(tmpdir(), "ajet-assembler-"));
  cpSync(new URL("../text/fixtures/tiny-chat", import.meta.url).pathname, dir, { recursive: true });
  const end = tokenizer.idOf(".") as number;
  writeFileSync(join(dir, "generation_config.json"), JSON.stringify({ eos_token_id: end }));
  const other = await loadTokenizer(dir);
  rmSync(dir, { recursive: true });
  const assembler = new ReplyAssembler({ tokenizer: other, stop: [], parseTools: false, toolCallId: String });
  for (const id of [...other.encode("Done"), end]) assembler.push(id);
  assembler.end();
  expect(assembler.message()).toEqual({ role: "assistant", content: "Done" });
  expect(assembler.tokens).toBe(other.encode("Done").length + 1);
});

it("drops what follows a stop text", () => {
  const assembler = new ReplyAssembler({ tokenizer, stop: ["b"], parseTools: false, toolCallId: String });
  const deltas = ["a", "b", "c"].map((text) => assembler.push(tokenizer.idOf(text) as number));
  expect(deltas).toEqual([[{ type: "content", text: "a" }], [], []]);
  expect(assembler.end()).toEqual([]);
  expect([assembler.tokens, assembler.stopped, assembler.message().content]).toEqual([2, true, "a"]);
});
