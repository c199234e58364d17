import type { RunInfo } from "../../src/logview/api-types.js";
import { joinIds, setParams } from "../app/route.js";
import { lineColor, type Theme } from "../app/theme.js";

interface PickerProps {
  runs: readonly RunInfo[];
  chosen: readonly string[];
  theme: Theme;
}

/** Which runs are drawn, in their colours. */
export function RunPicker({ runs, chosen, theme }: PickerProps) {
  const choose = (ids: readonly string[]) => setParams({ runs: joinIds(ids) });
  const others = runs.filter(({ id }) => !chosen.includes(id));
  return (
    <ul class="picker" aria-label="Runs that are drawn">
      {chosen.map((id, i) => (
        <li key={id} class="chip">
          <i class="swatch" style={{ background: lineColor(theme, i) }} />
          {id}
          {runs.find((run) => run.id === id)?.status === "running" && <i class="live-dot" title="goes on" />}
          {chosen.length > 1 && (
            <button
              type="button"
              class="quiet"
              aria-label={`Leave ${id} out`}
              onClick={() => choose(chosen.filter((other) => other !== id))}
            >
              ×
            </button>
          )}
        </li>
      ))}
      {others.length > 0 && (
        <li>
          <select aria-label="Add a run" value="" onChange={(event) => choose([...chosen, event.currentTarget.value])}>
            <option value="">add a run…</option>
            {others.map(({ id }) => (
              <option key={id} value={id}>
                {id}
              </option>
            ))}
          </select>
        </li>
      )}
    </ul>
  );
}
