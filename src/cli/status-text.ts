import type { PortStatus, ServiceStatus } from './status-rows.ts';
import { type Column, renderAge, renderTable } from './table.ts';

/** What a person may want to copy is never cut, as kubectl cuts nothing; a class and a sentence are known by their beginning. */
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
  { title: 'DATA-PATH', least: 24 },
  { title: 'CLIENT-ADDRESS', least: 6 },
  { title: 'MESSAGE', least: 20 },
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
      service.clientAddress.replaceAll(/ \(.*?\)/g, '') || '<unknown>',
      firstSentence(service.message),
    ];
  });
  return renderTable(form === 'text' ? columns : wideColumns, rows, width);
}

/** Userspace with its reason, where it is a need of the Service or the machine; everything else is as fast as it gets, or as asked for. */
function renderPaths({ datapaths }: Pick<ServiceStatus, 'datapaths'>): string {
  const isNeed = (datapath: string, why: string): boolean => datapath === 'userspace' && why !== 'as asked for';
  const named = datapaths.map(({ datapath, why }) => (isNeed(datapath, why) ? `${datapath} (${why})` : datapath));
  return [...new Set(named)].join(',') || '<unknown>';
}

/** The whole of it, and all reasons of the data path, are in `status NAMESPACE/NAME`, where there is room. */
function firstSentence(message: string): string {
  return /^.*?[.!?](?= [A-Z]|$)/.exec(message.replaceAll(/\s+/g, ' '))?.[0] ?? message.replaceAll(/\s+/g, ' ');
}

export function renderAddresses(service: Pick<ServiceStatus, 'addresses' | 'type'>): string {
  if (service.addresses.length > 0) return service.addresses.join(',');
  return service.type === 'LoadBalancer' ? '<pending>' : '<none>';
}

function renderTargets({ balancer, targets }: ServiceStatus): string {
  return balancer === '' ? '-' : `${targets.healthy}/${targets.total}`;
}

/** `80:30123/TCP`, and where it is really served: `80->49153:30123/TCP`. */
export function renderPort({ port, servedPort, nodePort, protocol }: PortStatus): string {
  const served = servedPort === undefined ? '' : `->${servedPort}`;
  return `${port}${served}${nodePort === 0 ? '' : `:${nodePort}`}/${protocol}`;
}
