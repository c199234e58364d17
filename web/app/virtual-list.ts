import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  type VirtualItem,
  Virtualizer,
} from "@tanstack/virtual-core";
import type { RefObject } from "preact";
import { useLayoutEffect, useReducer, useState } from "preact/hooks";

/** What a long list consists of. */
export interface ListOptions {
  count: number;
  /** Exact height of an item, in pixels. */
  sizeOf: (index: number) => number;
  /** The box that scrolls. */
  box: RefObject<HTMLElement | null>;
  /** Items that are drawn above and below those that are seen. */
  overscan?: number;
}

/** The part of a long list that is to be drawn. */
export interface DrawnList {
  items: readonly VirtualItem[];
  height: number;
  scrollTo: (index: number, align?: "auto" | "center" | "start") => void;
}

/** Draws of a long list only what is seen. */
export function useVirtualList({ count, sizeOf, box, overscan = 12 }: ListOptions): DrawnList {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const options = {
    count,
    estimateSize: sizeOf,
    overscan,
    getScrollElement: () => box.current,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    onChange: () => redraw(undefined),
  };
  const [list] = useState(() => new Virtualizer<HTMLElement, HTMLElement>(options));
  list.setOptions(options);
  useLayoutEffect(() => list._didMount(), [list]);
  useLayoutEffect(() => list._willUpdate());
  // Other sizes or another count void what was measured.
  useLayoutEffect(() => list.measure(), [sizeOf, count]);
  return {
    items: list.getVirtualItems(),
    height: list.getTotalSize(),
    scrollTo: (index, align = "auto") => list.scrollToIndex(index, { align }),
  };
}
