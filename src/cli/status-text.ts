import type { PortStatus, ServiceStatus } from './status-rows.ts';
import { type Column, renderAge, renderTable } from './table.ts';

/** What a person may want to copy is never cut, as kubectl cuts nothing; a class is known by its beginning. */
const columns: readonly Column[] = [
  { title: 'NAMESPACE' },
  { title: 'NAME' },
  { title: 'CLASS', least: 8 },
  { title: 'EXTERNAL-IP' },
  { title: 'TARGETS' },
  { title: 'REASON' },
  { title: 'AGE' },
];
const wideColumns: readonly Column[] = [
  ...columns,
  { title: 'PROVIDER' },
  { title: 'PORT(S)' },
  { title: 'DATA-PATH' },
  { title: 'CLIENT-ADDRESS' },
  { title: 'MESSAGE' },
];

/** The table of `status`. @param width of the terminal; undefined in a pipe */
export function renderStatusTable(
  services: readonly ServiceStatus[],
  form: 'text' | 'wide',
  width: number | undefined,
  now: number,
): string {
  const rows = services.map((service) => {
    const row = [
      service.namespace,
      service.name,
      service.class || '<none>',
      renderAddresses(service),
      renderTargets(service),
      service.reason,
      renderAge(service.createdAt, now),
    ];
    if (form === 'text') return row;
    return [
      ...row,
      service.provider || '<none>',
      service.ports.map(renderPort).join(',') || '<none>',
      renderPaths(service),
      service.clientAddress || '<unknown>',
      service.message.replaceAll(/\s+/g, ' '),
    ];
  });
  return form === 'text' ? renderTable(columns, rows, width) : renderTable(wideColumns, rows, undefined);
}

export function renderAddresses(service: Pick<ServiceStatus, 'addresses' | 'type'>): string {
  if (service.addresses.length > 0) return service.addresses.join(',');
  return service.type === 'LoadBalancer' ? '<pending>' : '<none>';
}

/** `userspace (the PROXY protocol is written by userspace)`. */
export function renderPaths({ datapaths }: Pick<ServiceStatus, 'datapaths'>): string {
  return datapaths.map(({ datapath, why }) => `${datapath} (${why})`).join(', ') || '<unknown>';
}

function renderTargets({ balancer, targets }: ServiceStatus): string {
  return balancer === '' ? '-' : `${targets.healthy}/${targets.total}`;
}

/** `80:30123/TCP`, and where it is really served: `80->49153:30123/TCP`. */
export function renderPort({ port, servedPort, nodePort, protocol }: PortStatus): string {
  const served = servedPort === undefined ? '' : `->${servedPort}`;
  return `${port}${served}${nodePort === 0 ? '' : `:${nodePort}`}/${protocol}`;
}
