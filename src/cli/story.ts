import { readAnnotations } from '../config/annotations.ts';
import { FINALIZER, HELD_BY, heldAddresses } from '../controller/claim.ts';
import { chooseTargets } from '../controller/targets.ts';
import { cures } from '../errors.ts';
import type { Condition, Service } from '../kube/objects.ts';
import { nameOf } from '../model.ts';
import { describeStatus, readyCondition, type ServiceStatus, targetCounter } from './status-rows.ts';
import type { StoryInput } from './story-input.ts';
import { renderAge, wrapText } from './table.ts';

const WIDTH = 100;
const MAX_NODES = 20;

/** A heading and what belongs under it. */
interface Chapter {
  readonly title: string;
  readonly lines: readonly string[];
}

/** The whole story of one Service, in words. Pure. @param columns of the terminal */
export function tellStory(input: StoryInput, columns: number | undefined): string {
  const status = describeStatus(input.service, { count: targetCounter(input.nodes), loadBalancerClass: input.loadBalancerClass });
  const chapters = [
    tellWhat(input),
    tellVerdict(input, status),
    tellAddresses(input.service, status),
    tellPorts(input.service, status),
    tellTargets(input, status),
    tellHealth(input, status),
    tellEndpoints(input),
    tellAnnotations(input.service),
    tellHints(input),
  ];
  const width = Math.min(columns ?? WIDTH, WIDTH);
  return chapters
    .filter((chapter) => chapter.lines.length > 0)
    .map(({ title, lines }) => `${title}\n${lines.map((line) => wrapText(line, width, '  ')).join('')}`)
    .join('');
}

function tellWhat({ service, externalName, loadBalancerClass, now }: StoryInput): Chapter {
  const age = renderAge(service.createdAt, now);
  const alias = service.type === 'ExternalName' ? `, an alias for ${externalName || 'nothing'}` : '';
  const headless = service.clusterIP === 'None' ? ', headless' : '';
  const lines = [`type ${service.type}${headless}${alias}; ${age} old`];
  if (service.clusterIP !== '' && service.clusterIP !== 'None')
    lines.push(`cluster IP ${service.clusterIPs.join(', ') || service.clusterIP}`);
  if (service.type === 'LoadBalancer') lines.push(tellClass(service, loadBalancerClass));
  if (service.externalTrafficPolicy === 'Local') {
    lines.push('externalTrafficPolicy Local: only nodes with a ready endpoint of the Service get traffic');
  }
  return { title: nameOf(service), lines };
}

function tellClass({ loadBalancerClass }: Service, ours: string): string {
  if (loadBalancerClass === undefined) return 'no loadBalancerClass: ours while --claim-unset-class allows it';
  return `loadBalancerClass ${loadBalancerClass}: ${loadBalancerClass === ours ? 'ours' : `not ours, which is ${ours}`}`;
}

function tellVerdict({ service, now }: StoryInput, { message, reason }: ServiceStatus): Chapter {
  const condition = readyCondition(service);
  if (condition) return { title: titleOf(condition, now), lines: [message, ...staleLine(condition, service)] };
  return { title: reason === 'NotOurs' ? 'Not ours' : 'Not looked at yet', lines: [message] };
}

function titleOf(condition: Condition, now: number): string {
  const since = condition.lastTransitionTime === '' ? '' : ` for ${renderAge(condition.lastTransitionTime, now)}`;
  return `${condition.status === 'True' ? 'Ready' : 'Not ready'}${since}: ${condition.reason}`;
}

function staleLine({ observedGeneration }: Condition, { generation }: Service): readonly string[] {
  if (observedGeneration === undefined || generation === undefined || observedGeneration >= generation) return [];
  return ['The Service has been changed since, and the controller has not said anything about that yet.'];
}

function tellAddresses(service: Service, status: ServiceStatus): Chapter {
  const published = service.ingress.map(
    (entry) => `${entry.ip ?? entry.hostname ?? ''}${entry.ipMode ? ` (ipMode ${entry.ipMode})` : ''}`,
  );
  const held = heldAddresses(service).filter((address) => !status.addresses.includes(address));
  const lines = [...published, ...held.map((address) => `${address} is held, but not published`)];
  if (service.finalizers.includes(FINALIZER)) {
    const [provider = '', cluster = ''] = (service.annotations[HELD_BY] ?? '').split('/');
    lines.push(`balancer ${status.balancer}, held by provider ${provider || 'unknown'}${cluster && ` for cluster ${cluster}`}`);
    lines.push(...status.datapaths.map(({ datapath, why }) => `data path ${datapath}: ${why}`));
    if (status.clientAddress !== '') lines.push(`clients' addresses: ${status.clientAddress}`);
  } else if (published.length > 0) {
    lines.push(`written by ${service.statusManagers.join(', ') || 'somebody else'}`);
  }
  return { title: 'External addresses', lines };
}

function tellPorts(service: Service, status: ServiceStatus): Chapter {
  const lines = status.ports.map((port, i) => {
    const name = port.name === '' ? '' : ` (${port.name})`;
    const node = port.nodePort === 0 ? 'no nodePort' : `port ${port.nodePort} of every node`;
    const served =
      port.servedPort === undefined ? '' : `; served on port ${port.servedPort}, because ${port.port} could not be bound`;
    const error = port.error === undefined ? '' : `; NOT served: ${port.error}. ${cureOf(port.error)}`;
    return `${port.port}/${port.protocol}${name} -> ${node} -> ${service.ports[i]?.targetPort} of the pods${served}${error}`;
  });
  return { title: 'Ports', lines };
}

function cureOf(code: string): string {
  return Object.hasOwn(cures, code) ? cures[code as keyof typeof cures] : '';
}

function tellTargets({ service, nodes, endpoints }: StoryInput, status: ServiceStatus): Chapter {
  if (service.type !== 'LoadBalancer' && status.balancer === '') return { title: 'Targets', lines: [] };
  const { nodeSelector } = readAnnotations(service.annotations);
  const options = { addressTypes: ['InternalIP', 'ExternalIP'], ...(nodeSelector ? { nodeSelector } : {}) };
  const targets = chooseTargets(nodes, options);
  const isNarrowed = service.externalTrafficPolicy === 'Local' && status.provider === 'local';
  const places = isNarrowed ? endpoints?.nodes : undefined;
  const chosen = targets.nodes.filter(({ name }) => places?.includes(name) ?? true);
  const named = chosen.slice(0, MAX_NODES).map((node) => `${node.name} (${node.addresses.join(', ')})`);
  const more = chosen.length - named.length;
  const none = targets.nodes.length === 0 ? 'no node may be a target' : 'no node has an endpoint that serves';
  const lines = [named.length === 0 ? none : `${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`];
  const idle = targets.nodes.filter((node) => !chosen.includes(node)).map(({ name }) => name);
  lines.push(...idle.slice(0, MAX_NODES).map((name) => `${name} is left out: it has no endpoint that serves (policy Local)`));
  if (targets.controlPlaneOnly) lines.push('Every node is excluded and of the control plane, so they are used all the same.');
  lines.push(...targets.skipped.slice(0, MAX_NODES).map((skipped) => `${skipped.node} is left out: ${skipped.why}`));
  const count =
    status.balancer === '' ? `${targets.nodes.length} nodes` : `${status.targets.healthy} of ${status.targets.total} healthy`;
  return { title: `Targets: ${count}`, lines };
}

function tellHealth({ health, isUnread, now }: StoryInput, { provider }: ServiceStatus): Chapter {
  if (isUnread) {
    const why =
      provider === ''
        ? 'no provider holds a balancer for it'
        : `provider ${provider} watches its targets all the time; what it knows is said above`;
    return { title: 'Health of the targets', lines: [`cannot be asked for: ${why}`] };
  }
  const lines = (health ?? []).map(({ node, port, health: state, reason, asOf }) => {
    const where = port === undefined ? node : `${node} at port ${port}`;
    return `${where}: ${state}${reason === '' ? '' : ` (${reason})`}, read ${renderAge(asOf, now)} ago`;
  });
  if (health?.length === 0) lines.push('none is registered');
  return { title: `Health of the targets, as provider ${provider} says`, lines };
}

function tellEndpoints({ endpoints, service }: StoryInput): Chapter {
  if (!endpoints || service.type === 'ExternalName') return { title: 'Endpoints', lines: [] };
  const { ready, notReady } = endpoints;
  const lines = [`${ready} ready${notReady > 0 ? `, ${notReady} not ready` : ''}`];
  if (ready === 0) lines.push('No pod takes what arrives, so no way in to this Service can work.');
  return { title: 'Endpoints', lines };
}

function tellAnnotations(service: Service): Chapter {
  const { problems, warnings, understood } = readAnnotations(service.annotations);
  return {
    title: 'Annotations',
    lines: [
      ...problems.map(({ annotation, value, message }) => `${annotation}: ${JSON.stringify(value)} ${message}`),
      ...[...warnings, ...understood].map(({ annotation, message }) => `${annotation} ${message}`),
    ],
  };
}

/** What people trip over that is no fault of the balancer. */
function tellHints({ service, endpoints }: StoryInput): Chapter {
  const name = nameOf(service);
  const lines: string[] = [];
  if (service.type === 'ExternalName') {
    lines.push(
      'ExternalName is a DNS alias only: it has no cluster IP, no NodePort and no endpoints, so there is nothing to balance. To give it an external address, make it a LoadBalancer with a selector or with endpoints of your own.',
    );
  } else if (service.type === 'ClusterIP' && service.clusterIP !== 'None') {
    lines.push(
      `ClusterIP serves inside the cluster only; from here: kubectl port-forward -n ${service.namespace} service/${service.name} ${service.ports[0]?.port ?? ''}. For an external address make its type LoadBalancer.`,
    );
  } else if (service.type === 'NodePort') {
    lines.push(
      `NodePort serves on every node's address; nodeport-lb url ${name} lists them. For an external address make its type LoadBalancer.`,
    );
  }
  if (service.clusterIP === 'None') lines.push(cures.Headless);
  if (Object.keys(service.selector).length === 0 && service.type !== 'ExternalName') {
    const none = endpoints?.ready === 0 ? ' There are none now.' : '';
    lines.push(
      `It has no selector, so Kubernetes finds no pods for it: whoever made it must write its EndpointSlices (or Endpoints ${service.name}).${none}`,
    );
  }
  return { title: 'Hints', lines };
}
