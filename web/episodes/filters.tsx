import { setParams } from "../app/route.js";
import { CASES } from "./cases.js";

/** Parameters that choose episodes. */
export const FILTERS = [
  "stepFrom",
  "stepTo",
  "search",
  "minReward",
  "maxReward",
  "success",
  "dropped",
  "marks",
  "good",
];

const OUTCOMES: Readonly<Record<string, Record<string, string | null>>> = {
  all: { success: null, dropped: null },
  success: { success: "true", dropped: null },
  failure: { success: "false", dropped: "false" },
  dropped: { success: null, dropped: "true" },
};

/** What the table is narrowed to. */
export function Filters({ params }: { params: URLSearchParams }) {
  const outcome = Object.entries(OUTCOMES).find(([, wanted]) =>
    Object.entries(wanted).every(([name, value]) => params.get(name) === value),
  );
  const isNarrowed = FILTERS.some((name) => params.has(name));
  return (
    <div class="filters">
      <fieldset class="cases" aria-label="Cases">
        {CASES.map((one) => {
          const isOn = Object.entries(one.params).every(([name, value]) => params.get(name) === value);
          const next = { marks: null, good: null, ...(isOn ? {} : one.params) };
          return (
            <button
              key={one.id}
              type="button"
              class={`case ${one.tone}`}
              title={one.title}
              aria-pressed={isOn}
              onClick={() => setParams(next, false)}
            >
              {one.label}
            </button>
          );
        })}
      </fieldset>
      <div class="toolbar">
        <span>
          steps <NumberField name="stepFrom" label="first step" params={params} /> to{" "}
          <NumberField name="stepTo" label="last step" params={params} />
        </span>
        <span>
          reward <NumberField name="minReward" label="smallest reward" params={params} /> to{" "}
          <NumberField name="maxReward" label="largest reward" params={params} />
        </span>
        <select
          aria-label="Outcome"
          value={outcome?.[0] ?? "all"}
          onChange={(event) => setParams(OUTCOMES[event.currentTarget.value] ?? {})}
        >
          <option value="all">all outcomes</option>
          <option value="success">success</option>
          <option value="failure">failure</option>
          <option value="dropped">dropped</option>
        </select>
        <input
          type="search"
          placeholder="task id"
          aria-label="Task id contains"
          value={params.get("search") ?? ""}
          onInput={(event) => setParams({ search: event.currentTarget.value || null })}
        />
        {isNarrowed && (
          <button
            type="button"
            class="quiet"
            onClick={() => setParams(Object.fromEntries(FILTERS.map((f) => [f, null])))}
          >
            clear
          </button>
        )}
      </div>
    </div>
  );
}

function NumberField({ name, label, params }: { name: string; label: string; params: URLSearchParams }) {
  return (
    <input
      type="number"
      step="any"
      class="short"
      aria-label={label}
      value={params.get(name) ?? ""}
      onInput={(event) => setParams({ [name]: event.currentTarget.value || null })}
    />
  );
}
