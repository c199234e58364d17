import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileError } from "../../src/native/errors.js";
import { ChatTemplate, loadChatTemplate, TemplateError, type TemplateMessage } from "../../src/text/chat-template.js";
import { strftime } from "../../src/text/strftime.js";

const fixture = (name: string) => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8");
const parity = JSON.parse(fixture("parity.json")) as {
  renderings: {
    template: string;
    messages: TemplateMessage[];
    tools: unknown[] | null;
    variables: Record<string, unknown>;
    text: string;
  }[];
};
const tokens = { bosToken: "<s>", eosToken: "<|im_end|>" };
const user: TemplateMessage[] = [{ role: "user", content: "hi" }];

describe("render", () => {
  it.each(parity.renderings.map((rendering, index) => ({ ...rendering, index })))(
    "gives Jinja2's text: $template, conversation $index",
    ({ template, messages, tools, variables, text }) => {
      const compiled = new ChatTemplate(fixture(template), tokens);
      const options = { tools: tools ?? undefined, variables };
      expect(compiled.render(messages, options)).toBe(text);
      expect(compiled.render(messages, options)).toBe(text);
    },
  );

  it("passes bos and eos tokens and leaves the generation prompt out when told to", () => {
    const compiled = new ChatTemplate(
      "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ add_generation_prompt }}",
      tokens,
    );
    expect(compiled.render(user)).toBe("<s>hi<|im_end|>true");
    expect(compiled.render(user, { addGenerationPrompt: false })).toBe("<s>hi<|im_end|>false");
  });

  it("reports raise_exception with the template's own words", () => {
    const compiled = new ChatTemplate("{{ raise_exception('Roles must alternate') }}", tokens);
    expect(() => compiled.render(user)).toThrow(new TemplateError("Roles must alternate"));
  });

  it("tells the same date whenever it is asked", () => {
    const compiled = new ChatTemplate("{{ strftime_now('%d %b %Y') }}", tokens);
    expect(compiled.render(user)).toBe("26 Jul 2024");
  });

  it("offers Python's range", () => {
    const compiled = new ChatTemplate(
      "{% for i in range(7, 0, -3) %}{{ i }} {% endfor %}{{ range(3) | length }}",
      tokens,
    );
    expect(compiled.render(user)).toBe("7 4 1 3");
  });

  it("does not let one rendering change the next", () => {
    const compiled = new ChatTemplate(
      "{% set messages = [] %}{% set seen = 1 %}{{ messages | length }}{{ seen }}",
      tokens,
    );
    expect(compiled.render(user)).toBe(compiled.render([...user, ...user]));
  });
});

describe("strftime", () => {
  it("knows the usual fields and leaves others as written", () => {
    const date = new Date(Date.UTC(2025, 0, 5, 7, 8, 9));
    expect(strftime(date, "%A %a %d %B %b %m %Y %y %H:%M:%S %% %Q")).toBe(
      "Sunday Sun 05 January Jan 01 2025 25 07:08:09 % %Q",
    );
  });
});

describe("loadChatTemplate", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "ajet-template-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));
  const writeConfig = (config: object) => writeFileSync(join(dir, "tokenizer_config.json"), JSON.stringify(config));

  it("prefers chat_template.jinja", async () => {
    writeConfig({ chat_template: "config" });
    expect((await loadChatTemplate(dir, tokens)).render(user)).toBe("config");
    writeFileSync(join(dir, "chat_template.jinja"), "file");
    expect((await loadChatTemplate(dir, tokens)).render(user)).toBe("file");
  });

  it("takes the named template for tools where tools are given", async () => {
    writeConfig({
      chat_template: [
        { name: "default", template: "plain" },
        { name: "tool_use", template: "{{ tools | length }} tools" },
      ],
    });
    const template = await loadChatTemplate(dir, tokens);
    expect(template.render(user)).toBe("plain");
    expect(template.render(user, { tools: [] })).toBe("plain");
    expect(template.render(user, { tools: [{}, {}] })).toBe("2 tools");
  });

  it("names the folder without a template, and the file that does not parse", async () => {
    await expect(loadChatTemplate(dir, tokens)).rejects.toThrow(FileError);
    await expect(loadChatTemplate(dir, tokens)).rejects.toThrow(/No chat template in/);
    writeFileSync(join(dir, "chat_template.jinja"), "{% if %}");
    await expect(loadChatTemplate(dir, tokens)).rejects.toThrow(/chat_template\.jinja does not parse/);
  });
});
