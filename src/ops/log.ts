import { explain } from '../errors.ts';
import type { Log } from '../providers/provider.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LogOptions {
  readonly level: LogLevel;
  /** `text`: one line for people; `json`: one object a line for a log collector. */
  readonly format: 'text' | 'json';
  /** Colours the level; only for a terminal. */
  readonly colour?: boolean;
  /** Takes one line, newline included; stderr when absent. */
  readonly write?: (line: string) => void;
}

/** Text outside a cluster, JSON inside; colour only on a terminal that does not refuse it (https://no-color.org). */
export function logOptionsFor(level: LogLevel, inCluster: boolean): LogOptions {
  const colour = process.stderr.isTTY === true && !process.env['NO_COLOR'];
  return { level, format: inCluster ? 'json' : 'text', colour };
}

/** Opens the log. pino is loaded for JSON only, since a person's terminal needs none of it. */
export async function createLog(options: LogOptions): Promise<Log> {
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  if (options.format === 'text') return createTextLog(options.level, options.colour ?? false, write);
  const { createJsonLog } = await import('./json-log.ts');
  return createJsonLog(options.level, write);
}

const levels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];
const colours: Readonly<Record<LogLevel, string>> = { debug: '2', info: '36', warn: '33', error: '31' };

function createTextLog(level: LogLevel, colour: boolean, write: (line: string) => void): Log {
  const at = (one: LogLevel) => {
    if (levels.indexOf(one) < levels.indexOf(level)) return () => {};
    const word = one.toUpperCase().padEnd(5);
    const shown = colour ? `\u001b[${colours[one]}m${word}\u001b[0m` : word;
    return (fields: object, message: string) => {
      const time = new Date().toISOString().slice(11, 23);
      write(`${time} ${shown} ${message}${showFields(fields)}${level === 'debug' ? showStacks(fields) : ''}\n`);
    };
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function showFields(fields: object): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${showValue(value)}`)
    .join('');
}

function showValue(value: unknown): string {
  if (value instanceof Error) return quote(explain(value));
  if (typeof value === 'string') return quote(value);
  return typeof value === 'object' ? jsonOf(value) : String(value);
}

function quote(text: string): string {
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

function showStacks(fields: object): string {
  const errors = Object.values(fields).filter((value) => value instanceof Error);
  return errors.map((error) => `\n${error.stack ?? ''}`).join('');
}

/** A log line must never throw: cycles and big integers cannot be written as JSON. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? typeof value;
  } catch {
    return '[not JSON]';
  }
}
