import { KubeError } from '../kube/api.ts';
import { at, readService, type Service, text } from '../kube/objects.ts';
import { nameOf } from '../model.ts';
import type { Call } from './command.ts';
import { readServiceName, withCluster } from './connect.ts';
import { renderData } from './output.ts';
import { type Probe, probeWays } from './probe.ts';
import { listNodes } from './read.ts';
import { type Column, renderTable } from './table.ts';
import { commandFor, endpointOf, listWays, type Way } from './ways.ts';

const URL_VERSION = 1;
/** Nodes whose ways the table shows; JSON has them all. */
const MAX_NODES = 10;

type Tried = Way & { readonly probe?: Probe };

/** Shows every way in to a Service. @returns 0 */
export async function runUrl(call: Call): Promise<number> {
  const { values, operands, out, err } = call;
  const name = await readServiceName(operands[0]!, values);
  const [raw, nodes] = await withCluster(values, (api) =>
    Promise.all([api.get('getService', name.namespace, name.name), listNodes(api)]),
  );
  const service = readService(raw);
  if (!service) throw new KubeError(0, 'Unreadable', `the API server's answer for Service ${nameOf(name)} is not a Service`);
  const ways = listWays(service, nodes);
  const probes = values.probe ? await probeWays(ways) : [];
  const tried = ways.map((way, i) => ({ ...way, ...(probes[i] ? { probe: probes[i] } : {}) }));
  const command = bestCommand(service, tried);
  if (values.output === 'json') {
    const curl = command === undefined ? {} : { command };
    out.write(
      await renderData({ version: URL_VERSION, service: nameOf(service), type: service.type, ways: tried, ...curl }, 'json'),
    );
    return 0;
  }
  out.write(renderWays(tried, values.probe === true, out.columns));
  for (const hint of hintsFor(service, text(at(at(raw, 'spec'), 'externalName')))) err.write(`${hint}\n`);
  if (command !== undefined) out.write(`\n${command}\n`);
  return 0;
}

/** The first way from outside that answers; the first from outside when nothing was tried. */
function bestCommand(service: Service, ways: readonly Tried[]): string | undefined {
  const outside = ways.filter((way) => way.from === 'outside');
  const best = outside.find((way) => way.probe?.ok) ?? outside.find((way) => way.probe === undefined) ?? outside[0];
  const port = service.ports.find((one) => one.port === best?.servicePort && one.protocol === best.protocol);
  return best && commandFor(best, port?.name ?? '');
}

const columns: readonly Column[] = [{ title: 'WAY IN' }, { title: 'FROM' }, { title: 'ADDRESS' }, { title: 'PROTOCOL' }];

/** An IPv4 address with its port and how long an answer took are never cut, and all fits into 80 cells. */
const probedColumns: readonly Column[] = [
  { title: 'WAY IN', least: 16 },
  { title: 'FROM' },
  { title: 'ADDRESS', least: '255.255.255.255:65535'.length },
  { title: 'PROTOCOL' },
  { title: 'PROBE', least: 20 },
];

function renderWays(ways: readonly Tried[], probed: boolean, width: number | undefined): string {
  const shownNodes = new Set([...new Set(ways.flatMap((way) => way.node ?? []))].slice(0, MAX_NODES));
  const shown = ways.filter((way) => way.node === undefined || shownNodes.has(way.node));
  const rows = shown.map((way) => {
    const row = [nameWay(way), way.from, endpointOf(way), way.protocol];
    return probed ? [...row, sayProbe(way)] : row;
  });
  const table = renderTable(probed ? probedColumns : columns, rows, width);
  return shown.length === ways.length ? table : `${table}and more nodes; -o json has them all\n`;
}

const names = {
  balancer: 'balancer',
  externalIP: 'external IP',
  node: 'node',
  clusterIP: 'cluster IP',
  dns: 'DNS name',
} as const;
const sides: Readonly<Record<string, string>> = { InternalIP: 'internal', ExternalIP: 'external', published: 'published' };

function nameWay(way: Way): string {
  return way.kind === 'node' ? `node ${way.node} (${sides[way.addressType ?? ''] ?? ''})` : names[way.kind];
}

function sayProbe({ probe, protocol }: Tried): string {
  if (!probe) return protocol === 'TCP' ? 'not tried' : `not tried: ${protocol}`;
  return probe.ok ? `ok, ${probe.ms} ms` : probe.error!;
}

function hintsFor(service: Service, externalName: string): readonly string[] {
  if (service.type === 'ExternalName')
    return [`${nameOf(service)} is an alias for ${externalName}; it has no address of its own.`];
  if (service.type === 'LoadBalancer' && service.ingress.length === 0) {
    return [`It has no external address yet; nodeport-lb status ${nameOf(service)} says why.`];
  }
  if (service.type !== 'ClusterIP') return [];
  const port = service.ports[0]?.port ?? '';
  return [
    `It serves inside the cluster only; from here: kubectl port-forward -n ${service.namespace} service/${service.name} ${port}`,
  ];
}
