import { stringify } from 'yaml';

/** A file of its own, to be loaded when somebody wants YAML: of a library that is CommonJS, a bundle's `import()` has no names. */
export function renderYaml(data: object): string {
  return stringify(data);
}
