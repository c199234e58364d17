import { nativeAddon } from "./addon.js";
import type { NativeInfo } from "./types.js";

/** What the addon was built with and what it runs on. Throws where the addon does not load. */
export function nativeInfo(): NativeInfo {
  return nativeAddon().info();
}
