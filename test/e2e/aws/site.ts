import { join } from 'node:path';
import { EC2 } from '@aws-sdk/client-ec2';
import { ElasticLoadBalancingV2 } from '@aws-sdk/client-elastic-load-balancing-v2';
import type { AwsUnderTest, Ground } from '../../contracts/aws/stage.ts';
import { CommandFailed, tryRun } from '../lab/command.ts';
import { Process } from '../lab/process.ts';
import { CONDITION, type EventObject, type ServiceObject } from '../lab/product.ts';
import { until } from '../lab/until.ts';
import { type RealKube, startRealKube } from '../real-kube.ts';
import { type Books, readBooks } from './books.ts';
import { AwsDoor } from './door.ts';
import { differences, type Expected, keyOf, linesFor, linesOf } from './expected.ts';

const PROGRAM = join(import.meta.dirname, '../../../src/bin.js');
const CLUSTER_NAME = 'kubernetes'; // as the strict sandbox's subnets are tagged
export const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
/** Nodes that are there from the beginning to the end. */
export const STEADY = 3;
/** Long for a busy machine; whatever is waited for comes in seconds. */
export const SETTLE_MS = 120_000;

/** A real control plane, an AWS end as a process of its own with a door before it, and the controller as another. */
export class Site {
  readonly kube: RealKube;
  readonly aws: AwsUnderTest;
  readonly door: AwsDoor;
  readonly elb: ElasticLoadBalancingV2;
  readonly ec2: EC2;
  controller: Process | undefined;
  #started = 0;

  private constructor(kube: RealKube, aws: AwsUnderTest, door: AwsDoor) {
    this.kube = kube;
    this.aws = aws;
    this.door = door;
    const config = { endpoint: aws.endpoint, region: aws.region, credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
    this.elb = new ElasticLoadBalancingV2(config);
    this.ec2 = new EC2(config);
  }

  static async open(start: () => Promise<AwsUnderTest>): Promise<Site> {
    const aws = await start();
    try {
      const kube = await startRealKube();
      const site = new Site(kube, aws, await AwsDoor.open(aws.endpoint));
      await until(() => site.kubectl(['get', 'namespace', 'default']), {
        withinMs: 60_000,
        what: 'there is a default namespace',
      });
      return site;
    } catch (error) {
      await aws.close();
      throw error;
    }
  }

  get ground(): Ground {
    return this.aws.ground;
  }

  async close(): Promise<void> {
    await this.controller?.kill();
    this.elb.destroy();
    this.ec2.destroy();
    await this.door.close();
    await this.kube.close();
    await this.aws.close();
  }

  /** As a user starts it: a kubeconfig, a provider, a region, and where AWS is. */
  startController(args: readonly string[] = []): Process {
    const families = ['describe', 'register', 'modify', 'create', 'readEc2', 'writeEc2'];
    const throttle = families.map((family) => `${family}=200:1000`).join(); // emulators have no limits worth waiting for
    const own = [
      '--aws-api-throttle',
      throttle,
      '--kubeconfig',
      this.kube.kubeconfig,
      '--provider',
      'aws',
      '--cluster-name',
      CLUSTER_NAME,
    ];
    const name = `controller-${++this.#started}`;
    this.controller = new Process({
      name,
      command: process.execPath,
      args: [PROGRAM, 'controller', ...own, ...args],
      env: {
        ...process.env,
        KUBECONFIG: '',
        AWS_ENDPOINT_URL_EC2: this.door.url,
        AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2: this.door.url,
        AWS_REGION: this.aws.region,
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
      },
      logFile: join(this.kube.directory, `${name}.log`),
    });
    return this.controller;
  }

  /** The real kubectl. @throws {CommandFailed} unless it ends with 0 */
  async kubectl(args: readonly string[], input?: string): Promise<string> {
    const all = ['--kubeconfig', this.kube.kubeconfig, ...args];
    const env = { ...process.env, HOME: this.kube.directory };
    const given = input === undefined ? {} : { input };
    const output = await tryRun(this.kube.tools.kubectl, all, { env, timeoutMs: 300_000, ...given });
    if (output.code === 0) return output.stdout;
    const log = this.controller ? `\n--- the controller said\n${this.controller.tail(8)}` : '';
    throw new CommandFailed('kubectl', args, { ...output, stderr: `${output.stderr}${log}` });
  }

  async namespace(name: string): Promise<string> {
    await this.kubectl(['create', 'namespace', name]);
    return name;
  }

  /** `kubectl apply -f -` of one or many. */
  async apply(...objects: readonly object[]): Promise<void> {
    await this.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
  }

  /** Node objects as a kubelet and a cloud provider write them, one for each instance. */
  async addNodes(instances: readonly string[]): Promise<void> {
    const items = instances.map((id, at) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: id, labels: { 'kubernetes.io/hostname': id } },
      spec: { providerID: `aws:///${this.aws.region}${'abc'[at % 3]}/${id}` },
      status: { addresses: [{ type: 'InternalIP', address: `10.0.99.${(at % 250) + 1}` }] },
    }));
    await this.kubectl(['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  }

  async removeNodes(instances: readonly string[]): Promise<void> {
    await this.kubectl(['delete', 'node', '--wait=false', ...instances]);
  }

  async service(namespace: string, name: string): Promise<ServiceObject> {
    return JSON.parse(await this.kubectl(['-n', namespace, 'get', 'service', name, '-o', 'json'])) as ServiceObject;
  }

  async services(namespace: string): Promise<readonly ServiceObject[]> {
    const list = JSON.parse(await this.kubectl(['-n', namespace, 'get', 'service', '-o', 'json']));
    return (list as { readonly items: readonly ServiceObject[] }).items;
  }

  async events(namespace: string, name: string): Promise<readonly EventObject[]> {
    const selector = `involvedObject.name=${name}`;
    const list = await this.kubectl(['-n', namespace, 'get', 'events', '--field-selector', selector, '-o', 'json']);
    return (JSON.parse(list) as { readonly items: readonly EventObject[] }).items;
  }

  /** Waits, as `kubectl wait` does, until these Services are Ready. @param which a name, or `--all` */
  async ready(namespace: string, which: string, withinMs = SETTLE_MS): Promise<void> {
    const what = which.startsWith('-') ? ['service', which] : [`service/${which}`];
    const wait = ['wait', `--for=condition=${CONDITION}`, `--timeout=${withinMs / 1_000}s`];
    await this.#whileItRuns(this.kubectl(['-n', namespace, ...wait, ...what]));
  }

  /** Waits until it is not Ready for this reason. @returns the condition's message */
  refused(namespace: string, name: string, reason: string): Promise<string> {
    return until(
      async () => {
        const { status } = await this.service(namespace, name);
        const found = status.conditions?.find(({ type }) => type === CONDITION);
        if (found?.status !== 'False' || found.reason !== reason) throw new Error(`${found?.reason}: ${found?.message}`);
        return found.message;
      },
      { withinMs: SETTLE_MS, what: `${name} is refused with ${reason}`, everyMs: 200 },
    );
  }

  /** Nothing is to be waited for once the controller has ended by itself. */
  #whileItRuns<T>(work: Promise<T>): Promise<T> {
    const { controller } = this;
    if (!controller) return work;
    const ended = controller.exited.then(({ code, signal }): T => {
      throw new Error(`the controller ended with ${code ?? signal}:\n${controller.tail()}`);
    });
    return Promise.race([work, ended]);
  }

  books(): Promise<Books> {
    return readBooks(this.elb, this.ec2);
  }

  /** Waits until this Service has just the NLB that it needs, whatever else there is. */
  async holdsFor(expected: Expected): Promise<void> {
    const key = keyOf(expected.service);
    await this.#settled(`what ${key} needs`, SETTLE_MS, async () => {
      const { balancers } = await this.books();
      return differences(linesFor(expected, this.ground), balancers.filter((one) => one.key === key).flatMap(linesOf));
    });
  }

  /** Waits until the account holds what these Services need, and nothing else. */
  async holds(expected: readonly Expected[], withinMs = SETTLE_MS): Promise<void> {
    const keys = expected.filter(({ bare }) => !bare).map(({ service }) => keyOf(service));
    const groups = [...keys, ...(expected.length > 0 ? [':shared'] : [])];
    const wanted = [...expected.flatMap((one) => linesFor(one, this.ground)), ...groups.map((key) => `security group of ${key}`)];
    const what = `what ${expected.length} Services need, and nothing else`;
    await this.#settled(what, withinMs, async () => {
      const books = await this.books();
      const others = books.securityGroups.filter(({ id }) => id !== this.ground.nodeGroup);
      const shared = others.find(({ key }) => key === ':shared')?.id;
      const onNodes = books.securityGroups.find(({ id }) => id === this.ground.nodeGroup)?.ingress ?? [];
      return differences(wanted, [
        ...books.balancers.flatMap(linesOf),
        ...books.looseGroups.map((name) => `target group ${name} without a listener`),
        ...others.map(({ key, name }) => `security group of ${key || name}`),
        ...onNodes.filter((rule) => !rule.endsWith(` from ${shared}`)).map((rule) => `rule of the nodes: ${rule}`),
        ...onNodes.slice(NODE_RULES).map((rule) => `one rule of the nodes too many: ${rule}`),
      ]);
    });
  }

  async #settled(what: string, withinMs: number, look: () => Promise<readonly string[]>): Promise<void> {
    const settled = until(
      async () => {
        const found = await look();
        if (found.length > 0) throw new Error(`${found.length} differences:\n${found.slice(0, 20).join('\n')}`);
        return true;
      },
      { withinMs, what: `the account holds ${what}`, everyMs: 250 },
    );
    await this.#whileItRuns(settled);
  }
}

/** One for each protocol's NodePorts, and one for kube-proxy's health port. */
const NODE_RULES = 3;

export interface ServiceWish {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ports?: readonly object[];
  /** Further fields of the spec. */
  readonly spec?: object;
}

/** What connections drain in: short, so that what is replaced goes within a test. */
const DRAIN = { 'nodeport-lb.io/drain-seconds': '2' };

/** A Service of type LoadBalancer with TCP port 80, unless the wish says otherwise. */
export function serviceManifest(namespace: string, name: string, wish: ServiceWish = {}): object {
  const { annotations = {}, ports = [{ name: 'http', port: 80 }], spec = {} } = wish;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name, annotations: { ...DRAIN, ...annotations } },
    spec: { type: 'LoadBalancer', selector: { app: name }, ports, ...spec },
  };
}
