/** For what thousands may ask for in one tick: it is done once, at the tick's end. */
export function onceATick(run: () => void): () => void {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    setImmediate(() => {
      isDue = false;
      run();
    });
  };
}
