/** Machine output: JSON with two blanks, or YAML, whose writer is loaded only then. */
export async function renderData(data: object, form: 'json' | 'yaml'): Promise<string> {
  if (form === 'json') return `${JSON.stringify(data, null, 2)}\n`;
  const { renderYaml } = await import('./yaml.ts');
  return renderYaml(data);
}
