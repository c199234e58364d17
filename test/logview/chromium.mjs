import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

/** Debian's browser. Where there is none, the tests of the pages are skipped. */
export const CHROMIUM = process.env.AJET_CHROMIUM ?? "/usr/bin/chromium";
export const hasChromium = existsSync(CHROMIUM);

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export async function launchChromium() {
  return await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}
