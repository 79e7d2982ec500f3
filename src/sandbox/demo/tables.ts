/** What the table of Services shows of one. */
export interface ServiceRow {
  readonly name: string;
  readonly type: string;
  readonly clusterIP: string;
  readonly externalIPs: readonly string[];
  readonly ports: readonly { readonly port: number; readonly nodePort: number; readonly protocol: string }[];
  /** Ports that are served on another one: port to the port that serves it. */
  readonly servedPorts: ReadonlyMap<number, number>;
}

/** `kubectl get svc`; a port that is served on another one has a line of its own below. */
export function servicesTable(services: readonly ServiceRow[]): readonly string[] {
  const rows = services.map((s) => [s.name, s.type, s.clusterIP, externalIP(s), s.ports.map(portText).join(',')]);
  const [head, ...lines] = columns([['NAME', 'TYPE', 'CLUSTER-IP', 'EXTERNAL-IP', 'PORT(S)'], ...rows]);
  return [head!, ...lines.flatMap((line, i) => [line, ...movedLines(services[i]!)])];
}

function externalIP(service: ServiceRow): string {
  if (service.externalIPs.length > 0) return service.externalIPs.join(',');
  return service.type === 'LoadBalancer' ? '<pending>' : '<none>';
}

function portText({ port, nodePort, protocol }: ServiceRow['ports'][number]): string {
  return nodePort > 0 ? `${port}:${nodePort}/${protocol}` : `${port}/${protocol}`;
}

function movedLines(service: ServiceRow): readonly string[] {
  return [...service.servedPorts].flatMap(([port, served]) =>
    service.externalIPs.map((ip) => `  port ${port} could not be bound and is served at ${ip}:${served}`),
  );
}

/** Rows of text in columns as wide as their longest cell, two blanks apart. */
export function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, i) => Math.max(all[i] ?? 0, cell.length)), []);
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
}

/** Counts by key, in the order of the keys. */
export function tally(keys: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const key of [...keys].sort()) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

/** Breaks at blanks so that no line is longer than `width`, unless one word is. */
export function wrap(words: string, width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of words.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
