import type { MemoryPlan, PlannedMemory } from "../native/memory-plan.js";

/** 1536 MiB as "1.50 GiB". */
export function sizeText(bytes: number): string {
  const [unit, size] = bytes >= 2 ** 30 ? ["GiB", 2 ** 30] : bytes >= 2 ** 20 ? ["MiB", 2 ** 20] : ["KiB", 2 ** 10];
  return `${(bytes / (size as number)).toFixed(2)} ${unit}`;
}

/** A plan as lines: what, when, how much, then the most at once. */
export function memoryTable(plan: MemoryPlan): string[] {
  const rows = plan.entries.map(({ name, detail, phase, place, bytes }) => [
    PHASES[phase],
    place === "host" ? `${name} (host)` : name,
    detail,
    sizeText(bytes),
  ]);
  rows.push(["", "at most at once", "", sizeText(plan.peakBytes)]);
  const width = (column: number) => Math.max(...rows.map((row) => (row[column] as string).length));
  const [phases, names, details, sizes] = [width(0), width(1), width(2), width(3)];
  return rows.map(([phase = "", name = "", detail = "", size = ""]) =>
    [phase.padEnd(phases), name.padEnd(names), detail.padEnd(details), size.padStart(sizes)].join("  "),
  );
}

const PHASES: Record<PlannedMemory["phase"], string> = {
  always: "always",
  rollout: "rollout",
  update: "update",
};
