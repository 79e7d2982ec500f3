import { pino } from 'pino';
import type { Log } from '../providers/provider.ts';

/** One JSON object a line, with level, time, fields, and the message as `msg`; errors with their causes under `error`. */
export function createJsonLog(level: string, write: (line: string) => void): Log {
  const error = pino.stdSerializers.errWithCause;
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error, err: error },
  };
  return pino(options, { write });
}
