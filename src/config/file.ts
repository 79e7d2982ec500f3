import { readFile, stat } from 'node:fs/promises';
import { parseDocument } from 'yaml';
import { explain, type Problem } from '../errors.ts';

/** A configuration is some lines; more is another file by mistake. */
const MAX_BYTES = 1_048_576;
const MAX_TOLD = 10;

/**
 * Reads the YAML file of `--config`.
 * @returns the parsed content, or every syntax error that it has
 */
export async function readConfigFile(
  path: string,
): Promise<{ readonly file: { readonly name: string; readonly content: unknown }; readonly problems: readonly Problem[] }> {
  const text = await readText(path);
  if (typeof text !== 'string') return { file: { name: path, content: undefined }, problems: [text] };
  const document = parseDocument(text, { prettyErrors: true });
  const problems = document.errors.slice(0, MAX_TOLD).map((error) => {
    const [first = ''] = error.message.split('\n', 1);
    return { where: path, message: `is not YAML: ${first.replace(/:$/, '')}` };
  });
  const file = { name: path, content: problems.length > 0 ? undefined : toContent(document, path, problems) };
  return { file, problems };
}

function toContent(document: { toJS(): unknown }, path: string, problems: Problem[]): unknown {
  try {
    return document.toJS(); // throws on too many aliases (maxAliasCount, 100)
  } catch (error) {
    problems.push({ where: path, message: `is not YAML that can be used: ${explain(error)}` });
    return undefined;
  }
}

async function readText(path: string): Promise<string | Problem> {
  try {
    const { size } = await stat(path);
    if (size > MAX_BYTES) return { where: '--config', value: path, message: `has ${size} bytes; at most ${MAX_BYTES} are read` };
    return await readFile(path, 'utf8');
  } catch (error) {
    return { where: '--config', value: path, message: `cannot be read: ${explain(error)}` };
  }
}
