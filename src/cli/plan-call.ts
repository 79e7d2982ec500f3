import { UsageError } from '../errors.ts';
import { nameOf } from '../model.ts';
import { createLog, logOptionsFor } from '../ops/log.ts';
import type { Log } from '../providers/provider.ts';
import type { Call } from './command.ts';
import { readServiceName } from './connect.ts';

/** The provider's warnings, and what else may be asked for, beside the plan. */
export function openLog(call: Call): Promise<Log> {
  const options = logOptionsFor(call.values.logLevel ?? 'warn', false);
  return createLog({ ...options, write: (line) => call.err.write(line) });
}

export interface Interest {
  /** The one Service that was named. */
  readonly only?: string;
  readonly isOfInterest?: (service: string) => boolean;
}

/** All namespaces, unless the call is narrower. @throws {UsageError} */
export async function readInterest({ operands, values }: Call): Promise<Interest> {
  if (values.namespace !== undefined && values.allNamespaces)
    throw new UsageError([{ where: '--all-namespaces', message: 'and --namespace exclude each other' }]);
  if (operands[0] !== undefined) {
    const only = nameOf(await readServiceName(operands[0], values));
    return { only, isOfInterest: (service) => service === only };
  }
  if (values.namespace === undefined) return {};
  return { isOfInterest: (service) => service.startsWith(`${values.namespace}/`) };
}
