import { describe, expect, it } from "vitest";
import { memberSource } from "../../src/text/json-span.js";
import { type ParsedToolCall, ToolCallParser } from "../../src/text/tool-calls.js";

interface Parsed {
  content: string;
  calls: ParsedToolCall[];
}

function parse(pieces: Iterable<string>): Parsed {
  const parser = new ToolCallParser();
  const parsed: Parsed = { content: "", calls: [] };
  const take = (events: ReturnType<ToolCallParser["push"]>) => {
    for (const event of events) {
      if (event.type === "text") parsed.content += event.text;
      else parsed.calls.push(event.call);
    }
  };
  for (const piece of pieces) take(parser.push(piece));
  take(parser.end());
  return parsed;
}

const call = (name: string, args: string) => `<tool_call>\n{"name": "${name}", "arguments": ${args}}\n</tool_call>`;

const WELL_FORMED: [string, Parsed][] = [
  ["just text", { content: "just text", calls: [] }],
  [call("f", "{}"), { content: "", calls: [{ name: "f", arguments: "{}" }] }],
  [
    `Let me see.\n${call("f", '{"x": 1.0,  "big": 12345678901234567890}')}`,
    { content: "Let me see.", calls: [{ name: "f", arguments: '{"x": 1.0,  "big": 12345678901234567890}' }] },
  ],
  [
    `${call("f", '{"a":"}{\\"</tool"}')}\n${call("g", "{}")}\n`,
    {
      content: "",
      calls: [
        { name: "f", arguments: '{"a":"}{\\"</tool"}' },
        { name: "g", arguments: "{}" },
      ],
    },
  ],
  [`${call("f", "{}")}\n\nand text `, { content: "and text ", calls: [{ name: "f", arguments: "{}" }] }],
  [
    '<tool_call>{"arguments":{"k":[1,{}]},"name":"f"}</tool_call>',
    { content: "", calls: [{ name: "f", arguments: '{"k":[1,{}]}' }] },
  ],
];

const MALFORMED = [
  "<tool_call>\n{not json}\n</tool_call>",
  '<tool_call>\n{"arguments": {}}\n</tool_call>',
  '<tool_call>\n{"name": "", "arguments": {}}\n</tool_call>',
  '<tool_call>\n{"name": 3, "arguments": {}}\n</tool_call>',
  '<tool_call>\n{"name": "f"}\n</tool_call>',
  '<tool_call>\n{"name": "f", "arguments": "{}"}\n</tool_call>',
  '<tool_call>\n{"name": "f", "arguments": [1]}\n</tool_call>',
  '<tool_call>\n["f", {}]\n</tool_call>',
  ' text \n\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call',
  "<tool_call>",
  "</tool_call> <tool_call",
  "trailing space \n <",
  "a < b <tool <tool_ca <<tool_cal",
  " \n\t",
  "",
];

describe("ToolCallParser", () => {
  it.each(WELL_FORMED)("reads %j", (text, expected) => {
    expect(parse([text])).toEqual(expected);
  });

  it.each(MALFORMED)("leaves %j as it is", (text) => {
    expect(parse([text])).toEqual({ content: text, calls: [] });
  });

  it("finds the same however the text is cut", () => {
    const single = [...WELL_FORMED.map(([text]) => text), ...MALFORMED];
    // Well-formed and malformed calls side by side, too.
    const mixed = single.map((text) => `${text}\n${call("h", '{"z": "é😀"}')} ${MALFORMED[0]}`);
    for (const text of [...single, ...mixed]) {
      const whole = parse([text]);
      expect(parse(text)).toEqual(whole);
      for (let cut = 1; cut < text.length; cut += 3)
        expect(parse([text.slice(0, cut), text.slice(cut)])).toEqual(whole);
    }
  });

  it("lets text through at once and a call as soon as it is complete", () => {
    const parser = new ToolCallParser();
    expect(parser.push("Hello")).toEqual([{ type: "text", text: "Hello" }]);
    expect(parser.push(" world <tool")).toEqual([{ type: "text", text: " world" }]);
    expect(parser.push("box>")).toEqual([{ type: "text", text: " <toolbox>" }]);
    expect(parser.push('<tool_call>{"name":"f","arguments":{}}</tool_call')).toEqual([]);
    expect(parser.push(">")).toEqual([{ type: "call", call: { name: "f", arguments: "{}" } }]);
  });

  it("keeps a malformed call's surroundings when a good one follows", () => {
    const bad = "<tool_call>\nnope\n</tool_call>";
    expect(parse([`A \n${bad} \n${call("f", "{}")}`])).toEqual({
      content: `A \n${bad}`,
      calls: [{ name: "f", arguments: "{}" }],
    });
  });
});

describe("memberSource", () => {
  it.each([
    ['{"a": 1.0, "b": 2}', "a", "1.0"],
    ['{ "b" : -1e5 }', "b", "-1e5"],
    ['{"a":"x\\"}","b":[{"b":3}]}', "b", '[{"b":3}]'],
    ['{"a": {"c": "}"} , "c":true}', "c", "true"],
    ['{"a": 1, "a": {"z" : 2}}', "a", '{"z" : 2}'],
    ['{"\\u0061": null}', "a", "null"],
    ["{}", "a", undefined],
    ['{"b": {"a": 1}}', "a", undefined],
  ])("%s: %s is %s", (source, key, expected) => {
    JSON.parse(source);
    expect(memberSource(source, key)).toBe(expected);
  });
});
