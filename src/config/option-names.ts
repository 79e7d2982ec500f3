import { type Option, type OptionName, options } from './options.ts';

/** `--local-pool` */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Prefix of every variable that is ours. */
export const VARIABLE_PREFIX = 'NODEPORT_LB_';

/** `NODEPORT_LB_LOCAL_POOL` */
export function variableOf(name: string): string {
  return VARIABLE_PREFIX + name.replace(/[A-Z]/g, '_$&').toUpperCase();
}

/** Key of the file; undefined when the option is not one of the file's. */
export function fileKeyOf(name: OptionName): string | undefined {
  const option: Option<unknown> = options[name];
  return option.notInFile ? undefined : (option.fileKey ?? name);
}
