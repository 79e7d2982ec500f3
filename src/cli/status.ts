import { OUR_CLASS } from '../config/options.ts';
import { UsageError } from '../errors.ts';
import type { KubeApi } from '../kube/api.ts';
import { readService, type Service } from '../kube/objects.ts';
import { nameOf } from '../model.ts';
import { createLog, logOptionsFor } from '../ops/log.ts';
import type { Call } from './command.ts';
import { readServiceName, type ServiceName, withCluster } from './connect.ts';
import { followStatus } from './follow.ts';
import { renderData } from './output.ts';
import { listNodes, listServices } from './read.ts';
import { describeStatus, isOfInterest, type ServiceStatus, STATUS_VERSION, targetCounter } from './status-rows.ts';
import { renderStatusTable } from './status-text.ts';
import { tellStory } from './story.ts';
import { readStoryInput } from './story-input.ts';

/** Shows what each Service has, reading the cluster only. @returns 0 */
export async function runStatus(call: Call): Promise<number> {
  const { values, operands } = call;
  if (values.namespace !== undefined && values.allNamespaces) {
    throw new UsageError([{ where: '--all-namespaces', message: 'and --namespace exclude each other' }]);
  }
  const one = operands[0] === undefined ? undefined : await readServiceName(operands[0], values);
  if (values.probe && (!one || values.watch || !['text', 'json', 'yaml'].includes(values.output ?? 'text'))) {
    const message = 'asks the provider about one Service, once: give NAMESPACE/NAME, without --watch, and text, json or yaml';
    throw new UsageError([{ where: '--probe', message }]);
  }
  await withCluster(values, async (api) => {
    if (one && values.probe) call.out.write(await probe(call, api, one));
    else if (values.watch) await follow(call, api, one);
    else if (one && (values.output ?? 'text') === 'text')
      call.out.write(tellStory(await readStoryInput(api, one, values), call.out.columns));
    else call.out.write(await render(call, await describeAll(api, call, one)));
  });
  return 0;
}

/** The same of one Service, and how its targets fare at the provider now. */
async function probe(call: Call, api: KubeApi, one: ServiceName): Promise<string> {
  const { values, out } = call;
  const { readHealth } = await import('./status-health.ts'); // providers are loaded only when they are asked
  const input = await readStoryInput(api, one, values);
  const health = await readHealth(call, { api, service: input.service, nodes: input.nodes });
  const form = values.output ?? 'text';
  if (form === 'text')
    return tellStory({ ...input, now: Date.now(), ...(health ? { health } : { isUnread: true }) }, out.columns);
  const services = await describeAll(api, call, one);
  return renderData(
    { version: STATUS_VERSION, services: services.map((one) => ({ ...one, targetHealth: health ?? [] })) },
    form as 'json' | 'yaml',
  );
}

async function describeAll(api: KubeApi, { values }: Call, one: ServiceName | undefined): Promise<readonly ServiceStatus[]> {
  const namespaces = namespacesOf(values);
  const [services, nodes] = await Promise.all([one ? getService(api, one) : listServices(api, namespaces), listNodes(api)]);
  const shown = one ? services : services.filter(isOfInterest);
  const surroundings = { count: targetCounter(nodes), loadBalancerClass: values.loadBalancerClass ?? OUR_CLASS };
  return shown.toSorted(byName).map((service) => describeStatus(service, surroundings));
}

/** @throws {import('../kube/api.ts').KubeError} NotFound */
async function getService(api: KubeApi, { namespace, name }: ServiceName): Promise<readonly Service[]> {
  const service = readService(await api.get('getService', namespace, name));
  return service ? [service] : [];
}

function byName(a: Service, b: Service): number {
  return nameOf(a) < nameOf(b) ? -1 : 1;
}

async function render({ values, out, err }: Call, services: readonly ServiceStatus[]): Promise<string> {
  const form = values.output ?? 'text';
  if (form === 'json' || form === 'yaml') return renderData({ version: STATUS_VERSION, services }, form);
  if (form === 'name') return services.map((service) => `service/${service.name}\n`).join('');
  if (services.length > 0) return renderStatusTable(services, form, out.columns, Date.now());
  const namespaces = namespacesOf(values);
  const where = namespaces.length === 0 ? '' : ` in namespace${namespaces.length === 1 ? '' : 's'} ${namespaces.join(', ')}`;
  err.write(`No Services of type LoadBalancer found${where}.\n`);
  return '';
}

/** Those of the controller's file, unless the person names one, or asks for all. Empty: all. */
function namespacesOf({ namespace, allNamespaces, namespaces }: Call['values']): readonly string[] {
  if (namespace !== undefined) return [namespace];
  return allNamespaces ? [] : (namespaces ?? []);
}

/** The table, then one line, or one JSON document, for each change, until interrupted. */
async function follow(call: Call, api: KubeApi, one: ServiceName | undefined): Promise<void> {
  const { values, out } = call;
  const log = await createLog({ ...logOptionsFor(values.logLevel ?? 'warn', false), write: (line) => call.err.write(line) });
  const namespaces = one ? [one.namespace] : namespacesOf(values);
  const isTable = values.output === undefined || values.output === 'text' || values.output === 'wide';
  let last = Promise.resolve();
  let began = false;
  const show = async (changed: readonly ServiceStatus[], all: readonly ServiceStatus[]) => {
    if (!isTable || !began) out.write(await render(call, changed));
    else out.write(lineOf(await render(call, all), all.indexOf(changed[0]!)));
    began = true;
  };
  const options = { api, log, namespaces, loadBalancerClass: values.loadBalancerClass ?? OUR_CLASS, only: one && nameOf(one) };
  await followStatus({ ...options, show: (changed, all) => (last = last.then(() => show(changed, all))) }, call.interrupted());
  await last;
}

/** The change alone, in the columns of the whole table. */
function lineOf(table: string, index: number): string {
  return `${table.split('\n')[index + 1]}\n`;
}
