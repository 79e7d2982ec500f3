import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Calls } from './calls.ts';
import { type Fault, Faults, type Injected, repeatableChance } from './faults.ts';
import { answerWith } from './http.ts';
import { type Limits, noTime, type Timings, usualLimits } from './limits.ts';
import { openWorld, placeInstance } from './open-world.ts';
import { type InstanceState, type Seed, type SeedInstance, typicalAccount } from './seed.ts';
import { type Family, openThrottle, usualBuckets } from './throttle.ts';
import type { Instance, Listener, LoadBalancer, SecurityGroup, Target, TargetGroup, World } from './world.ts';

export interface AwsOptions {
  /** Default 0: any free one. Always on 127.0.0.1. */
  readonly port?: number;
  /** Default: `typicalAccount()`. */
  readonly seed?: Seed;
  /** ms since 1970; default the machine's. `advance` adds to it. */
  readonly clock?: () => number;
  /** What is not said takes no time. */
  readonly timings?: Partial<Timings>;
  /** What is not said is as AWS gives it at first. */
  readonly limits?: Partial<Limits>;
  /** `usual`: the account's buckets; default: none. */
  readonly throttling?: 'usual' | readonly Family[];
  /** How long every answer takes at least, in ms; default 0. */
  readonly latencyMs?: number;
  /** Whether a creation by a name that is taken, with the same settings and other tags, is refused (default), or finds what is there: AWS
   *  does not document it, so a caller must stand both. */
  readonly tagsAreSettings?: boolean;
  /** How long STS's credentials last at most; undefined: as long as they were asked for. */
  readonly sessionMs?: number;
  /** Of the chance that faults are met by; default 1. */
  readonly chanceSeed?: number;
}

/** What exists apart from the seed, for assertions: ids and ARNs, sorted. */
export interface Leftovers {
  readonly loadBalancers: readonly string[];
  readonly targetGroups: readonly string[];
  readonly listeners: readonly string[];
  readonly securityGroups: readonly string[];
  /** Ingress rules that the seed's groups have. */
  readonly rules: readonly string[];
  /** Allocations that a load balancer holds. */
  readonly heldAddresses: readonly string[];
}

/** A running sandbox of AWS. */
export interface SandboxAws {
  /** For `AWS_ENDPOINT_URL`, or the SDK's `endpoint`. Any credentials do but STS's that have expired, and the region must be the account's. */
  readonly url: string;
  readonly region: string;
  readonly calls: Calls;
  readonly inject: (fault: Fault) => Injected;
  readonly loadBalancers: () => readonly LoadBalancer[];
  readonly targetGroups: () => readonly TargetGroup[];
  readonly listeners: () => readonly Listener[];
  readonly securityGroups: () => readonly SecurityGroup[];
  /** By id or ARN. */
  readonly tagsOf: (id: string) => Readonly<Record<string, string>>;
  /** Targets that are registered and not draining. */
  readonly targetsOf: (targetGroupArn: string) => readonly Target[];
  readonly leftovers: () => Leftovers;
  /** Forces what the health check finds; undefined: what the instance's state gives. Without a port: on all of them. */
  readonly setTargetHealth: (
    targetGroupArn: string,
    target: { readonly id: string; readonly port?: number },
    health: 'healthy' | 'unhealthy' | 'initial' | undefined,
  ) => void;
  readonly addInstance: (instance: SeedInstance) => Instance;
  /** @throws {Error} when there is no such instance */
  readonly setInstanceState: (id: string, state: InstanceState) => void;
  readonly terminateInstance: (id: string) => void;
  /** Moves the account's clock on, without waiting. */
  readonly advance: (ms: number) => void;
  /** Everything, for what has no accessor. */
  readonly world: World;
  readonly close: () => Promise<void>;
}

/** Whoever calls again after a pause finds the connection open: a request must not cross its closing. */
const KEEP_ALIVE_MS = 60_000;

/** Starts an AWS in memory: Elastic Load Balancing v2 (Network Load Balancers), EC2 and STS, all at one URL. */
export async function startAws(options: AwsOptions = {}): Promise<SandboxAws> {
  const seed = options.seed ?? typicalAccount();
  const clock = options.clock ?? Date.now;
  let aheadMs = 0;
  const now = () => clock() + aheadMs;
  const world = openWorld(seed, {
    now,
    timings: { ...noTime, ...options.timings },
    limits: { ...usualLimits, ...options.limits },
    tagsAreSettings: options.tagsAreSettings ?? true,
    sessionMs: options.sessionMs ?? Number.POSITIVE_INFINITY,
  });
  const calls = new Calls();
  const faults = new Faults(repeatableChance(options.chanceSeed ?? 1));
  const families = options.throttling === 'usual' ? usualBuckets : (options.throttling ?? []);
  const backstage = { world, calls, faults, throttle: openThrottle(families, now), latencyMs: options.latencyMs ?? 0 };
  const server = createServer(answerWith(backstage));
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options.port ?? 0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const seeded = new Set(world.securityGroups.all());
  return {
    url: `http://127.0.0.1:${port}`,
    region: seed.region,
    calls,
    inject: (fault) => faults.inject(fault),
    loadBalancers: () => [...world.loadBalancers.all()],
    targetGroups: () => [...world.targetGroups.all()],
    listeners: () => [...world.listeners.all()],
    securityGroups: () => [...world.securityGroups.all()],
    tagsOf: (id) => Object.fromEntries(world.tags.get(id) ?? []),
    targetsOf: (arn) => targetsIn(world, arn).filter(({ drainingSince }) => drainingSince === undefined),
    leftovers: () => leftoversOf(world, seeded),
    setTargetHealth: (arn, { id, port }, health) => {
      for (const target of targetsIn(world, arn)) {
        if (target.id === id && (port === undefined || target.port === port)) target.forced = health;
      }
    },
    addInstance: (instance) => placeInstance(world, instance),
    setInstanceState: (id, state) => setState(world, id, state),
    terminateInstance: (id) => setState(world, id, 'terminated'),
    advance: (ms) => {
      aheadMs += ms;
    },
    world,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}

/** @throws {Error} naming the groups that there are */
function targetsIn(world: World, arn: string): readonly Target[] {
  const group = world.targetGroups.get(arn);
  if (group) return [...group.targets.values()];
  throw new Error(`there is no target group ${arn}; there are ${[...world.targetGroups.all()].map((one) => one.arn).join(', ')}`);
}

function setState(world: World, id: string, state: InstanceState): void {
  const instance = world.instances.get(id);
  if (!instance) throw new Error(`there is no instance ${id}; there are ${[...world.instances.keys()].join(', ')}`);
  instance.state = state;
}

function leftoversOf(world: World, seeded: ReadonlySet<SecurityGroup>): Leftovers {
  const groups = [...world.securityGroups.all()];
  const held = new Set([...world.loadBalancers.all()].flatMap(({ zones }) => zones.map(({ fixed }) => fixed.allocationId)));
  return {
    loadBalancers: [...world.loadBalancers.all()].map(({ arn }) => arn).sort(),
    targetGroups: [...world.targetGroups.all()].map(({ arn }) => arn).sort(),
    listeners: [...world.listeners.all()].map(({ arn }) => arn).sort(),
    securityGroups: groups.filter((group) => !seeded.has(group)).map(({ id }) => id),
    rules: groups
      .filter((group) => seeded.has(group))
      .flatMap(({ rules }) => [...rules.values()])
      .flatMap(({ id, egress }) => (egress ? [] : [id])),
    heldAddresses: [...held].flatMap((id) => id ?? []).sort(),
  };
}
