import { describe, expect, it } from "vitest";
import { EpisodeDesk, type OfferedEpisode } from "../../src/serve/episode-api.js";

const episode = { episode_id: "e" } as OfferedEpisode;
const never = new AbortController().signal;

describe("EpisodeDesk", () => {
  it("tells an agent whose time was up that its result is not taken", async () => {
    const desk = new EpisodeDesk();
    desk.offer("key", episode, () => {});
    expect(await desk.take(60_000, 0.01, never)).toMatchObject({ apiKey: "key" });
    expect(await desk.outcome("key", 60_000)).toMatchObject({ status: "aborted" });
    const end = { status: "ended", output: { reward: 1, metadata: {}, log_metrics: {} } } as const;
    expect(() => desk.finish("key", end)).toThrow(expect.objectContaining({ status: 409 }));
    expect(await desk.outcome("key", 60_000)).toMatchObject({ status: "aborted" });
  });

  it("takes an end once", async () => {
    const desk = new EpisodeDesk();
    desk.offer("key", episode, () => {});
    await desk.take(60_000, undefined, never);
    desk.finish("key", { status: "aborted", reason: "tired" });
    expect(() => desk.finish("key", { status: "aborted", reason: "again" })).toThrow(/ended already/);
    expect(await desk.outcome("key", 60_000)).toEqual({ status: "aborted", reason: "tired" });
  });
});
