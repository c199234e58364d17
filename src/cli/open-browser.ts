import { spawn } from "node:child_process";

/** Opens an address in the desktop's browser, where there is a desktop. */
export function openBrowser(url: string): void {
  if (!process.stdout.isTTY || !(process.env["DISPLAY"] || process.env["WAYLAND_DISPLAY"])) return;
  const child = spawn("xdg-open", [url], { stdio: "ignore", detached: true });
  child.on("error", () => {}); // the address was printed, too
  child.unref();
}
