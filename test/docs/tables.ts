import {
  type AnnotationRow,
  annotationTable,
  ownAnnotationHelp,
  ownAnnotations,
  PREFIX,
} from '../../src/config/annotation-table.ts';
import { fileKeyOf, flagOf, variableOf } from '../../src/config/option-names.ts';
import { controllerOptions, type Option, options } from '../../src/config/options.ts';
import { cures } from '../../src/errors.ts';

/** Tables of the README that are made from the code, by the name of their markers. */
export const tables: Readonly<Record<string, () => string>> = {
  options: optionsTable,
  annotations: annotationsTable,
  reasons: reasonsTable,
};

function optionsTable(): string {
  const rows = controllerOptions.map((name) => {
    const option: Option<unknown> = options[name];
    const key = fileKeyOf(name);
    return [
      code(flagOf(name)),
      code(variableOf(name)),
      key === undefined ? '' : code(key),
      option.kind.allowed,
      option.default,
      option.help,
    ];
  });
  return table(['flag', 'variable', 'key of the file', 'allowed', 'default', 'meaning'], rows);
}

function annotationsTable(): string {
  const rows = Object.entries<AnnotationRow>(annotationTable).map(([name, row]) => [
    code(PREFIX + name),
    `${row.type}${row.unit ? `, ${row.unit}` : ''}`,
    row.allowed,
    row.default,
    `${row.help}${row.readBy === 'all' ? '' : ` (provider ${row.readBy} only)`}`,
  ]);
  const own = Object.entries(ownAnnotationHelp).map(([key, { on, help }]) => [
    code(ownAnnotations[key as keyof typeof ownAnnotations]),
    on,
    help,
  ]);
  return `${table(['annotation', 'type', 'allowed', 'default', 'meaning'], rows)}
Annotations that the controller writes for itself, or reads from nodes:

${table(['annotation', 'on', 'meaning'], own)}`;
}

function reasonsTable(): string {
  return table(
    ['reason', 'what to do'],
    Object.entries(cures).map(([name, cure]) => [code(name), cure]),
  );
}

function code(text: string): string {
  return `\`${text}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}

/** The text with each table put between its markers, `<!-- options -->` and `<!-- /options -->`. */
export function fillTables(text: string): string {
  let filled = text;
  for (const [name, render] of Object.entries(tables)) {
    const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
    const [from, to] = [filled.indexOf(open), filled.indexOf(close)];
    if (from === -1 || to < from) throw new Error(`the README has no ${open} … ${close}`);
    filled = `${filled.slice(0, from + open.length)}\n${render()}${filled.slice(to)}`;
  }
  return filled;
}
