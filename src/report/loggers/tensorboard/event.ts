import { bytesField, doubleField, floatField, integerField, readFields } from "./protobuf.js";

/** TensorBoard's Event message (tensorboard/compat/proto/{event,summary,tensor}.proto), scalars, texts and hparams. */

const EVENT = { wallTime: 1, step: 2, fileVersion: 3, summary: 5, sessionLog: 7 } as const;
const SUMMARY_VALUE = { tag: 1, simpleValue: 2, tensor: 8, metadata: 9 } as const;
const SESSION_START = 1;
const TENSOR = { type: 1, shape: 2, floats: 5, strings: 8 } as const;
const DT_FLOAT = 1;
const DT_STRING = 7;

function event(timeMs: number, step: number, content: Buffer): Buffer {
  return Buffer.concat([doubleField(EVENT.wallTime, timeMs / 1000), integerField(EVENT.step, step), content]);
}

/** The first event of every file. */
export function versionEvent(timeMs: number): Buffer {
  return event(timeMs, 0, bytesField(EVENT.fileVersion, "brain.Event:2"));
}

/** Tells readers to forget what they have from a step on. */
export function restartEvent(timeMs: number, step: number): Buffer {
  return event(timeMs, step, bytesField(EVENT.sessionLog, integerField(1, SESSION_START)));
}

/** Numbers, as float32. */
export function scalarsEvent(timeMs: number, step: number, values: Readonly<Record<string, number>>): Buffer {
  const entries = Object.entries(values).map(([tag, value]) =>
    bytesField(1, bytesField(SUMMARY_VALUE.tag, tag), floatField(SUMMARY_VALUE.simpleValue, value)),
  );
  return event(timeMs, step, bytesField(EVENT.summary, ...entries));
}

/** A text in Markdown. */
export function textEvent(timeMs: number, tag: string, text: string): Buffer {
  const tensor = [integerField(TENSOR.type, DT_STRING), bytesField(TENSOR.shape, dimension(1))];
  return pluginEvent(timeMs, `${tag}/text_summary`, "text", Buffer.alloc(0), [
    ...tensor,
    bytesField(TENSOR.strings, text),
  ]);
}

/** What the run was started with, for TensorBoard's table of hyperparameters. */
export function hparamsEvent(timeMs: number, name: string, values: [string, string | number | boolean][]): Buffer {
  const START_INFO = 3;
  const entries = values.map(([key, value]) => bytesField(1, bytesField(1, key), bytesField(2, protobufValue(value))));
  const start = bytesField(START_INFO, ...entries, bytesField(4, name), doubleField(5, timeMs / 1000));
  const tensor = [
    integerField(TENSOR.type, DT_FLOAT),
    bytesField(TENSOR.shape, dimension(1)),
    floatField(TENSOR.floats, 0),
  ];
  return pluginEvent(timeMs, "_hparams_/session_start_info", "hparams", start, tensor);
}

function pluginEvent(timeMs: number, tag: string, plugin: string, content: Buffer, tensor: Buffer[]): Buffer {
  const data = bytesField(1, bytesField(1, plugin), ...(content.length > 0 ? [bytesField(2, content)] : []));
  const value = [
    bytesField(SUMMARY_VALUE.tag, tag),
    bytesField(SUMMARY_VALUE.metadata, data),
    bytesField(SUMMARY_VALUE.tensor, ...tensor),
  ];
  return event(timeMs, 0, bytesField(EVENT.summary, bytesField(1, ...value)));
}

function dimension(size: number): Buffer {
  return bytesField(2, integerField(1, size));
}

/** google.protobuf.Value */
function protobufValue(value: string | number | boolean): Buffer {
  if (typeof value === "number") return doubleField(2, value);
  return typeof value === "boolean" ? integerField(4, value ? 1 : 0) : bytesField(3, value);
}

/** Step and tags of an event's scalars; no tags where it has none. */
export function readScalarTags(message: Buffer): { step: number; tags: string[] } {
  let step = 0;
  const tags: string[] = [];
  for (const { field, value } of readFields(message)) {
    if (field === EVENT.step) step = value as number;
    if (field !== EVENT.summary) continue;
    for (const entry of readFields(value as Buffer)) {
      const parts = [...readFields(entry.value as Buffer)];
      const tag = parts.find((part) => part.field === SUMMARY_VALUE.tag);
      if (tag && parts.some((part) => part.field === SUMMARY_VALUE.simpleValue)) tags.push(String(tag.value));
    }
  }
  return { step, tags };
}
