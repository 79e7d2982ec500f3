import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Source {
  /** From `src/` on, for instance `kube/watch.ts`. */
  readonly path: string;
  readonly text: string;
  /** The text without comments; what stands in strings stays. */
  readonly code: string;
}

/** Every source file. */
export function readSources(): readonly Source[] {
  return globSync('src/**/*.{ts,js}', { cwd: root })
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return { path: relative('src', path), text, code: withoutComments(text) };
    });
}

/** Every file of tests that jest runs in workers. */
export function readTests(): readonly { readonly path: string; readonly text: string }[] {
  return globSync('test/**/*.test.ts', { cwd: root })
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

/** Strings are matched first, so that a `//` inside one is left alone. */
function withoutComments(text: string): string {
  return text.replace(
    /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (_, string) => string ?? ' ',
  );
}

/** Code with every plain string emptied; templates stay, for they hold code. */
export function withoutStrings(code: string): string {
  return code.replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, "''");
}

/** What a file imports: files of ours from `src/` on, others as they are written. */
export function importsOf({ path, code }: Source): readonly string[] {
  const statement = /^\s*(?:import|export)\b[^'"`;]*?from\s*'([^']+)'|^\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm;
  return [...code.matchAll(statement)]
    .map((match) => match[1] ?? match[2] ?? match[3]!)
    .map((name) => (name.startsWith('.') ? relative(join(root, 'src'), resolve(join(root, 'src', dirname(path)), name)) : name));
}
