import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { readChartFile } from './chart.ts';

/** One documented value of values.yaml. */
export interface ValueRow {
  /** With dots, as for `--set`. */
  readonly name: string;
  /** As JSON. */
  readonly default: string;
  /** The comment above it; empty: it has none. */
  readonly help: string;
}

/** Every value that is somebody's to set, in the file's order: a map that is not empty and has no comment is its parts. */
export function readValueRows(text: string): readonly ValueRow[] {
  return rowsOf(parseDocument(text).contents as YAMLMap, '');
}

function rowsOf(map: YAMLMap, prefix: string): readonly ValueRow[] {
  return map.items.flatMap((pair, i) => {
    const key = pair.key;
    const name = prefix + String(isScalar(key) ? key.value : key);
    // The parser keeps the comment above a map's first key with the map.
    const help = helpOf((isScalar(key) ? key.commentBefore : undefined) ?? (i === 0 ? map.commentBefore : undefined));
    if (help === '' && isMap(pair.value)) return rowsOf(pair.value, `${name}.`);
    return [{ name, default: JSON.stringify(readDefault(pair)), help }];
  });
}

function readDefault(pair: Pair): unknown {
  return (pair.value as { toJSON(): unknown }).toJSON();
}

/** What stands in the last block of comments; headings begin with `##`. */
function helpOf(comment: string | null | undefined): string {
  const block = (comment ?? '').split('\n\n').at(-1) ?? '';
  const lines = block.split('\n').filter((line) => !line.startsWith('#'));
  return lines
    .map((line) => line.trim())
    .join(' ')
    .trim();
}

const [OPEN, CLOSE] = ['<!-- values -->', '<!-- /values -->'];

/** The chart's README with its table made from values.yaml. */
export function fillValuesTable(readme: string): string {
  const cell = (text: string) => text.replaceAll('|', '\\|');
  const rows = readValueRows(readChartFile('values.yaml')).map(
    (row) => `| \`${row.name}\` | \`${cell(row.default)}\` | ${cell(row.help)} |\n`,
  );
  const [before = '', rest = ''] = readme.split(OPEN);
  const after = rest.split(CLOSE)[1];
  if (after === undefined) throw new Error(`the chart's README has no ${OPEN} … ${CLOSE}`);
  return `${before}${OPEN}\n| value | default | meaning |\n| --- | --- | --- |\n${rows.join('')}${CLOSE}${after}`;
}
