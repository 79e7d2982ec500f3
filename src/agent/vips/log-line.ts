import { isIP } from 'node:net';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn';
  readonly text: string;
}

const chatter = [
  /^(?:Starting|Running on|Command line|Configuration file|Startup complete|Stopp|Reload|NOTICE: setting config option|Opening file)/,
  /^\s/,
  /Entering [A-Z]+ STATE|Changing effective priority|Master received advert/, // told in our own words
  /received lower priority|forcing new election|Cant send advert to ::1 /,
  /^CPU usage|^Registering|^Remote SNMP/,
];
const trouble =
  /\berror\b|\bfail|\bcannot\b|\bcan'?t\b|\bunable\b|\bunknown\b|\binvalid\b|\bignoring\b|permission|No such|died|missing|WARNING/i;

/** What a line of keepalived's is worth in our log; undefined: nothing. keepalived writes `Day Mon  D HH:MM:SS YYYY: TEXT`. */
export function readLogLine(line: string): LogLine | undefined {
  const raw = line.replace(/^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}: /, '').trimEnd();
  if (raw.trim() === '') return undefined;
  const text = raw.trim();
  if (chatter.some((pattern) => pattern.test(raw))) return { level: 'debug', text };
  return { level: trouble.test(text) ? 'warn' : 'info', text };
}

/** A change of a group's state, out of a line of the notify FIFO (`INSTANCE "nplb_7" MASTER 250`). */
export function readEvent(line: string): { readonly id: number; readonly state: string } | undefined {
  const match = /^INSTANCE "nplb_(\d{1,3})" ([A-Z_]+)(?: \d+)?$/.exec(line.trim());
  return match ? { id: Number(match[1]), state: match[2]! } : undefined;
}

/**
 * Who else says that it holds a group that this agent holds, although we are fitter: it has not heard us. keepalived 2.x says so in its
 * log only.
 */
export function readRival(text: string): string | undefined {
  const address = /received advert from ([0-9a-f.:]+) with lower priority/i.exec(text)?.[1];
  return address !== undefined && isIP(address) !== 0 ? address : undefined;
}
