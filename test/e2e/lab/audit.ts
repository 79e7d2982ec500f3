import { existsSync, readFileSync } from 'node:fs';

/** One finished request, as the API server's audit log has it (level Metadata). */
export interface AuditEntry {
  readonly user: string;
  /** The User-Agent header. */
  readonly agent: string;
  readonly verb: string;
  /** API group; empty: the core group. */
  readonly group: string;
  readonly resource: string;
  /** Empty when there is none, and for a list. */
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** HTTP status; 0 while a watch goes on. */
  readonly code: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export interface AuditFilter {
  readonly user?: string;
  readonly resource?: string;
  readonly namespace?: string;
  readonly name?: string;
  /** Only requests that change something. */
  readonly writes?: boolean;
  /** Not before, milliseconds since the epoch. */
  readonly since?: number;
}

const READS: ReadonlySet<string> = new Set(['get', 'list', 'watch']);

/** The log's entries that fit. Each request is in it once, when it has ended; a watch also when it began. */
export function readAudit(file: string, filter: AuditFilter): readonly AuditEntry[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.flatMap(parse).filter((entry) => fits(entry, filter));
}

function fits(entry: AuditEntry, filter: AuditFilter): boolean {
  return (
    (filter.user === undefined || entry.user === filter.user) &&
    (filter.resource === undefined || entry.resource === filter.resource) &&
    (filter.namespace === undefined || entry.namespace === filter.namespace) &&
    (filter.name === undefined || entry.name === filter.name) &&
    (filter.writes !== true || !READS.has(entry.verb)) &&
    (filter.since === undefined || entry.at >= filter.since)
  );
}

interface Raw {
  readonly stage: string;
  readonly verb: string;
  readonly user?: { readonly username?: string };
  readonly userAgent?: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
  readonly requestReceivedTimestamp?: string;
}

function parse(line: string): readonly AuditEntry[] {
  if (!line.endsWith('}')) return []; // the last one may be half written
  const raw = JSON.parse(line) as Raw;
  return [
    {
      user: raw.user?.username ?? '',
      agent: raw.userAgent ?? '',
      verb: raw.verb,
      group: raw.objectRef?.apiGroup ?? '',
      resource: raw.objectRef?.resource ?? '',
      subresource: raw.objectRef?.subresource ?? '',
      namespace: raw.objectRef?.namespace ?? '',
      name: raw.objectRef?.name ?? '',
      code: raw.responseStatus?.code ?? 0,
      at: Date.parse(raw.requestReceivedTimestamp ?? ''),
    },
  ];
}
