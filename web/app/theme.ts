import { useEffect, useState } from "preact/hooks";

export type Theme = "light" | "dark";

const KEY = "ajet-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function chosen(): Theme {
  const stored = localStorage.getItem(KEY);
  return stored === "light" || stored === "dark" ? stored : system.matches ? "dark" : "light";
}

/** Tells the style sheet, before anything is drawn anew with its colours. */
function apply(theme: Theme): Theme {
  document.documentElement.dataset["theme"] = theme;
  return theme;
}

/** Light or dark: as the system says until somebody chooses. */
export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState(() => apply(chosen()));
  useEffect(() => {
    const update = () => setTheme(apply(chosen()));
    system.addEventListener("change", update);
    return () => system.removeEventListener("change", update);
  }, []);
  return [
    theme,
    (next) => {
      localStorage.setItem(KEY, next);
      setTheme(apply(next));
    },
  ];
}

/** A colour of the style sheet as it is in the theme that is shown, for what is drawn on a canvas. */
export function cssColor(name: `--${string}`): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Colours of lines: Okabe and Ito's, which people with colour blindness tell apart, lighter on dark ground. */
const LINES: Record<Theme, readonly string[]> = {
  light: ["#0072b2", "#d55e00", "#00835e", "#b5508d", "#a67600", "#3a93c9", "#5b4bb7", "#555555"],
  dark: ["#56a9e8", "#f08a4b", "#2fc39a", "#e19bc4", "#e8b84a", "#8fd0f5", "#a99cf0", "#b8b8b8"],
};

export function lineColor(theme: Theme, index: number): string {
  const colors = LINES[theme];
  return colors[index % colors.length] as string;
}
