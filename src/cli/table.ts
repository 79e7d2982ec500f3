export interface Column {
  readonly title: string;
  /** May be cut to this many cells where the table is wider than the terminal; never when absent. */
  readonly least?: number;
}

const GAP = '  ';

/**
 * Rows of text in columns, two blanks apart.
 * @param width of the terminal in cells; undefined: nothing is cut, because a program reads it
 */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[], width: number | undefined): string {
  const lines = [columns.map((column) => column.title), ...rows];
  const natural = columns.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  const widths = width === undefined ? natural : fitWidths(columns, natural, width);
  return lines.map((line) => `${renderLine(line, widths)}\n`).join('');
}

/** Takes cells from the widest column that may be cut until the table fits or nothing more can be taken. */
function fitWidths(columns: readonly Column[], natural: readonly number[], width: number): readonly number[] {
  const widths = [...natural];
  const spare = () => widths.reduce((sum, w) => sum + w, GAP.length * (columns.length - 1)) - width;
  for (let over = spare(); over > 0; over = spare()) {
    let widest = -1;
    for (const [i, column] of columns.entries()) {
      const least = Math.max(column.least ?? Number.POSITIVE_INFINITY, column.title.length);
      if (widths[i]! > least && (widest === -1 || widths[i]! > widths[widest]!)) widest = i;
    }
    if (widest === -1) break;
    widths[widest]! -= 1;
  }
  return widths;
}

function renderLine(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, i) => cut(cell, widths[i]!).padEnd(widths[i]!))
    .join(GAP)
    .trimEnd();
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

/** Breaks text at blanks into lines of at most `width` cells (a longer word stands alone), each after `indent`. */
export function wrapText(text: string, width: number, indent: string): string {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && indent.length + last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.map((line) => `${indent}${line}\n`).join('');
}

const UNITS = [
  { name: 'd', seconds: 86_400, fineUpTo: 8 },
  { name: 'h', seconds: 3600, fineUpTo: 8 },
  { name: 'm', seconds: 60, fineUpTo: 10 },
] as const;

/** How long ago, as kubectl says it: `42s`, `3m20s`, `47m`, `5h10m`, `12h`, `6d4h`, `40d`. */
export function renderAge(since: string, now: number): string {
  const at = Date.parse(since);
  if (Number.isNaN(at)) return '<unknown>';
  const seconds = Math.max(0, Math.floor((now - at) / 1000));
  const index = UNITS.findIndex((unit) => seconds >= unit.seconds * (unit.name === 'm' ? 2 : unit.name === 'h' ? 3 : 2));
  if (index === -1) return `${seconds}s`;
  const unit = UNITS[index]!;
  const whole = Math.floor(seconds / unit.seconds);
  const next = UNITS[index + 1] ?? { name: 's', seconds: 1 };
  const rest = Math.floor((seconds % unit.seconds) / next.seconds);
  return whole < unit.fineUpTo && rest > 0 ? `${whole}${unit.name}${rest}${next.name}` : `${whole}${unit.name}`;
}
