import { unwatchFile, watchFile } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { optionsForProvider, toConfig } from '../config/read.ts';
import { explain, UsageError } from '../errors.ts';
import type { Log, Provider } from '../providers/provider.ts';
import type { Call } from './command.ts';

/** How often the file is looked at; a kubelet brings a ConfigMap's change to its pods within a minute or two. */
const LOOK_MS = 2_000;

/**
 * Follows the `--config` file: the provider gets its options anew, so that pools change without a restart. A file that has become
 * wrong is told, and changes nothing. @returns how to stop
 */
export function followConfig(call: Call, provider: Provider, log: Log): () => void {
  const path = call.values.config;
  const { readAgain } = call;
  if (path === undefined || !readAgain || !provider.reload) return () => {};
  let last = toConfig(call.values);
  const look = async (): Promise<void> => {
    const { values, problems } = await readAgain();
    if (problems.length > 0) {
      tellWrong(new UsageError(problems).message.split('\n'));
      return;
    }
    const next = toConfig(values);
    const before = last;
    if (isDeepStrictEqual(before, next)) return;
    const lasting = provider.reload?.(optionsForProvider(next)) ?? [];
    last = next;
    const others = Object.keys(next).filter((name) => name !== 'local' && !isDeepStrictEqual(at(before, name), at(next, name)));
    const needing = [...lasting, ...others];
    if (needing.length === 0) log.info({ path }, 'the configuration was read again');
    else
      log.warn(
        { path, afterRestart: needing },
        'the configuration was read again; what afterRestart names holds only after a restart',
      );
  };
  const tellWrong = (why: readonly string[]): void =>
    log.error({ path, why }, 'the configuration has become wrong; going on with the one before');
  const changed = (): void => void look().catch((thrown: unknown) => tellWrong([explain(thrown)]));
  watchFile(path, { interval: LOOK_MS }, changed);
  return () => unwatchFile(path, changed);
}

function at(config: object, name: string): unknown {
  return (config as Readonly<Record<string, unknown>>)[name];
}
