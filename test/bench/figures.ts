/** One number that was measured. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  /** `ms`, `MB`, `writes/Service`, `x` for a ratio. */
  readonly unit: string;
  /** What the project aims for. Information only: nothing fails because a machine was slow or busy. */
  readonly aim?: { readonly atMost: number } | { readonly atLeast: number };
  /** What the value is the median of, in the order of the runs. */
  readonly samples?: readonly number[];
  /** A few words for the table: which process, why it misses its aim. */
  readonly note?: string;
}

/** What one part of the benchmark found. */
export interface Section {
  readonly title: string;
  /** What it ran against and with: versions, counts. One line each. */
  readonly setting: readonly string[];
  readonly figures: readonly Figure[];
  /** Raw numbers, for the JSON only. */
  readonly details?: unknown;
}

/** A figure that is the median of several runs. */
export function medianFigure(figure: Omit<Figure, 'value' | 'samples'>, samples: readonly number[]): Figure {
  return { ...figure, value: quantile(samples, 0.5), ...(samples.length > 1 ? { samples } : {}) };
}

/** Nearest rank; NaN of nothing. @param q from 0 to 1 */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

/** The middle half, and the error of the median that comes of it (1.25 standard deviations over the root of the count). */
export function describeSpread(ratios: readonly number[]): string {
  const [low, high] = [quantile(ratios, 0.25), quantile(ratios, 0.75)];
  const error = (1.25 * (high - low)) / 1.35 / Math.sqrt(ratios.length);
  return `half of ${ratios.length} rounds from ${low.toFixed(2)} to ${high.toFixed(2)}; the median is good to ${error.toFixed(3)}`;
}

/** Whether the aim is met; undefined when there is none, or nothing was measured. */
export function meetsAim({ aim, value }: Figure): boolean | undefined {
  if (!aim || Number.isNaN(value)) return undefined;
  return 'atMost' in aim ? value <= aim.atMost : value >= aim.atLeast;
}

const COLUMNS = 80;
const NAME = 42;
const VALUE = 19;
const AIM = 9;

/** A table of 80 columns; notes that do not fit go on lines of their own. */
export function renderSection(section: Section): string {
  const head = [section.title, ...section.setting.flatMap((line) => wrap(line, COLUMNS - 2).map((l) => `  ${l}`))];
  const rows = section.figures.flatMap((figure) => renderFigure(figure));
  const rule = '-'.repeat(COLUMNS);
  return [...head, rule, row('', 'measured', 'aim', ''), ...rows, rule].join('\n');
}

function renderFigure(figure: Figure): readonly string[] {
  const aim = figure.aim && ('atMost' in figure.aim ? `<= ${show(figure.aim.atMost)}` : `>= ${show(figure.aim.atLeast)}`);
  const met = meetsAim(figure);
  const word = met === undefined ? '' : met ? 'met' : 'missed';
  const line = row(figure.name, `${show(figure.value)} ${figure.unit}`, aim ?? '', word);
  const runs = figure.samples ? `runs: ${figure.samples.map(show).join(', ')}` : '';
  const note = [figure.note ?? '', runs].filter((text) => text !== '').join('; ');
  return [line, ...(note === '' ? [] : wrap(note, COLUMNS - 4).map((text) => `    ${text}`))];
}

function row(name: string, value: string, aim: string, word: string): string {
  return `${name.padEnd(NAME)}${value.padStart(VALUE)}  ${aim.padEnd(AIM)}  ${word}`.trimEnd();
}

/** Three digits that count, and no more than two after the point. */
function show(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d))/g, Math.abs(value) >= 10_000 ? ',' : '');
}

function wrap(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= columns) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
