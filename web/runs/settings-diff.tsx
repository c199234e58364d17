import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { SettingsReply } from "../../src/logview/api-types.js";
import { get, useFetched } from "../app/api.js";

/** The settings of two runs that are not the same. */
export function SettingsDiff({ a, b }: { a: string; b: string }) {
  const [all, setAll] = useState(false);
  const { data, error } = useFetched(`${a}\n${b}`, async (signal) => {
    const [left, right] = await Promise.all([a, b].map((run) => get<SettingsReply>("settings", { run }, signal)));
    return [left?.settings ?? {}, right?.settings ?? {}] as const;
  });
  if (error) return <p class="problem">{error}</p>;
  if (!data) return null;
  const [left, right] = data;
  const keys = [...new Set([...Object.keys(left), ...Object.keys(right)])].sort();
  const different = keys.filter((key) => left[key] !== right[key]);
  // A key that one of them lacks was unknown to the version that it ran with, as a rule.
  const isKnown = (key: string) => key in left && key in right;
  const known = (all ? keys : different).filter(isKnown);
  const unknown = keys.filter((key) => !isKnown(key));
  const row = (key: string) => (
    <tr key={key} class={left[key] === right[key] ? "same" : isKnown(key) ? "differs" : "absent"}>
      <th scope="row">
        <code>{key}</code>
      </th>
      <td>
        <code>{left[key] ?? "–"}</code>
      </td>
      <td>
        <code>{right[key] ?? "–"}</code>
      </td>
    </tr>
  );
  return (
    <div class="card settings">
      <div class="card-head">
        <h2>
          {different.length === 0 ? "No setting differs" : `${different.length} of ${keys.length} settings differ`}
        </h2>
        <label>
          <input type="checkbox" checked={all} onChange={() => setAll(!all)} /> all settings
        </label>
      </div>
      {known.length > 0 && (
        <Settings a={a} b={b}>
          {known.map(row)}
        </Settings>
      )}
      {unknown.length > 0 && (
        <details>
          <summary class="muted">{unknown.length} that only one of them has</summary>
          <Settings a={a} b={b}>
            {unknown.map(row)}
          </Settings>
        </details>
      )}
    </div>
  );
}

function Settings({ a, b, children }: { a: string; b: string; children: ComponentChildren }) {
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">setting</th>
          <th scope="col">{a}</th>
          <th scope="col">{b}</th>
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  );
}
