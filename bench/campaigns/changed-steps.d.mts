export function changedValue<T>(value: T, next: () => number): T;

/** frames.js and record.js of the token log, as one object. */
export type TokenLogFormat = typeof import("../../src/report/token-log/frames.js") &
  typeof import("../../src/report/token-log/record.js");

export interface StepChange {
  // biome-ignore lint/suspicious/noExplicitAny: any JSON
  record?(json: any, index: number): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: any JSON
  index?(json: any): unknown;
}

export function withChangedStep(segment: Buffer, format: TokenLogFormat, change: StepChange): Buffer;
