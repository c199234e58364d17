/** Resolves at Ctrl-C or SIGTERM; a second one ends the process at once. */
export function waitForStopSignal(): Promise<void> {
  return new Promise((resolve) => {
    onStopSignal(resolve);
  });
}

/** Calls back at the first Ctrl-C or SIGTERM; the second one ends the process at once. Returns how to stop listening. */
export function onStopSignal(callback: () => void): () => void {
  let seen = 0;
  const listener = () => {
    if (++seen > 1) process.exit(130);
    callback();
  };
  process.on("SIGINT", listener);
  process.on("SIGTERM", listener);
  return () => {
    process.off("SIGINT", listener);
    process.off("SIGTERM", listener);
  };
}
