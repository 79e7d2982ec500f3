const NEWLINE = 10;
/** etcd refuses objects over 1.5 MB; JSON with escapes may be some times as long. */
const LINE_LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * Cuts a stream of newline-separated JSON into values. Looks for the newline in the bytes and decodes a line once, so
 * that thousands of events a second are cheap.
 * @returns a function to feed with each chunk; it throws SyntaxError on a line that is no JSON or longer than 16 MiB
 */
export function splitJsonLines(onValue: (value: unknown) => void): (chunk: Buffer) => void {
  let rest: Buffer[] = [];
  let restBytes = 0;
  const takeLine = (chunk: Buffer, from: number, to: number): string => {
    if (rest.length === 0) return chunk.toString('utf8', from, to);
    const line = Buffer.concat([...rest, chunk.subarray(from, to)]).toString('utf8');
    rest = [];
    restBytes = 0;
    return line;
  };
  return (chunk) => {
    let from = 0;
    for (let to = chunk.indexOf(NEWLINE); to !== -1; to = chunk.indexOf(NEWLINE, from)) {
      const line = takeLine(chunk, from, to);
      from = to + 1;
      if (line.trim() !== '') onValue(JSON.parse(line));
    }
    if (from === chunk.length) return;
    restBytes += chunk.length - from;
    if (restBytes > LINE_LIMIT_BYTES) throw new SyntaxError(`a line is longer than ${LINE_LIMIT_BYTES} bytes`);
    rest.push(chunk.subarray(from));
  };
}
