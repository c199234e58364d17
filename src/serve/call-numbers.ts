import { ApiError } from "./api-error.js";

/** The number of a call among equal ones, as its client counted when it made the call. */
export const CALL_ORDINAL_HEADER = "x-ajet-call-ordinal";

const MAX_ORDINAL = 65535;

/** The header's value; 400 where it is no whole number. */
export function readCallOrdinal(headers: Readonly<Record<string, string | string[] | undefined>>): number | undefined {
  const text = headers[CALL_ORDINAL_HEADER];
  if (text === undefined) return undefined;
  if (typeof text === "string" && /^\d{1,5}$/.test(text) && Number(text) <= MAX_ORDINAL) return Number(text);
  const message = `Expected a whole number up to ${MAX_ORDINAL} in the header ${CALL_ORDINAL_HEADER} but received`;
  throw new ApiError(400, `${message} ${JSON.stringify(text)}`, { code: "invalid_header" });
}

/** Hands out the numbers of equal calls, each once: the one that a call asks for, or else the smallest that is free. */
export class CallNumbers {
  private smallestFree = 0;
  /** Taken numbers above the smallest free one. */
  private readonly taken = new Set<number>();

  take(wanted?: number): number {
    const isFree = wanted !== undefined && wanted >= this.smallestFree && !this.taken.has(wanted);
    const number = isFree ? wanted : this.smallestFree;
    this.taken.add(number);
    while (this.taken.delete(this.smallestFree)) this.smallestFree++;
    return number;
  }
}
