import { MARKS } from "../report/token-log/step-index.js";
import type { EpisodeHeader, EpisodeMark, EpisodeQuery } from "../report/token-log/types.js";

/** What a request asks for, by name; of a name given twice, nothing is taken. */
export type QueryParameters = Readonly<Record<string, unknown>>;

const SORTABLE: readonly Exclude<keyof EpisodeHeader, "marks">[] = [
  "step",
  "group",
  "taskId",
  "sample",
  "reward",
  "success",
  "advantage",
  "dropped",
  "calls",
  "length",
  "sampledTokens",
  "lossTokens",
  "toolCalls",
  "toolErrors",
  "forks",
  "wallMs",
];

/** Episodes of one reply. */
const MOST_EPISODES = 500;

/** A request's parameters as a query of the token log; what is no such parameter, or no such value, does not count. */
export function episodeQuery(parameters: QueryParameters): EpisodeQuery {
  const number = (name: string) => finite(parameters[name]);
  const step = number("step");
  const [from, to] = [number("stepFrom"), number("stepTo")];
  const taskId = text(parameters["taskId"]);
  const contains = text(parameters["search"])?.toLowerCase();
  const conditions: ((header: EpisodeHeader) => boolean)[] = [
    ...(flag(parameters["good"]) ? [showsGood] : []),
    ...(contains === undefined ? [] : [(header: EpisodeHeader) => header.taskId.toLowerCase().includes(contains)]),
  ];
  const marks = (text(parameters["marks"]) ?? "")
    .split(",")
    .filter((mark): mark is EpisodeMark => MARKS.includes(mark as EpisodeMark));
  const sortBy = SORTABLE.find((key) => key === parameters["sortBy"]);
  const range = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
  return {
    ...(step !== undefined ? { step } : from !== undefined || to !== undefined ? { step: range } : {}),
    ...defined("group", number("group")),
    ...defined("sample", number("sample")),
    ...defined("minReward", number("minReward")),
    ...defined("maxReward", number("maxReward")),
    ...defined("taskId", taskId),
    ...defined("success", flag(parameters["success"])),
    ...defined("dropped", flag(parameters["dropped"])),
    ...(marks.length > 0 ? { marks } : {}),
    ...(conditions.length === 0
      ? {}
      : { where: (header: EpisodeHeader) => conditions.every((holds) => holds(header)) }),
    ...defined("sortBy", sortBy),
    descending: flag(parameters["descending"]) ?? false,
    offset: Math.max(0, Math.floor(number("offset") ?? 0)),
    limit: Math.min(MOST_EPISODES, Math.max(0, Math.floor(number("limit") ?? 100))),
  };
}

/** The good case: a tool was called, its output was seen, and then came the right answer. */
export function showsGood({ success, toolCalls, toolErrors, marks }: EpisodeHeader): boolean {
  return success && toolCalls > 0 && toolErrors === 0 && marks.length === 0;
}

/** A finite number; undefined for anything else. */
export function finite(value: unknown): number | undefined {
  if (typeof value !== "string" || value.trim() === "") return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

/** A text that is not empty; undefined for anything else. */
export function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function flag(value: unknown): boolean | undefined {
  return value === "true" ? true : value === "false" ? false : undefined;
}

function defined<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { [K in Key]?: Value };
}
