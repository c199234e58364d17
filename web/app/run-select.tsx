import type { RunInfo } from "../../src/logview/api-types.js";

interface RunSelectProps {
  runs: readonly RunInfo[];
  run: string;
  onRun: (id: string) => void;
}

/** One run of several. */
export function RunSelect({ runs, run, onRun }: RunSelectProps) {
  return (
    <select aria-label="Run" value={run} onChange={(event) => onRun(event.currentTarget.value)}>
      {runs.map(({ id, name }) => (
        <option key={id} value={id}>
          {id === "." ? name : id}
        </option>
      ))}
    </select>
  );
}
