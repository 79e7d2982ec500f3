import { setTimeout as sleep } from 'node:timers/promises';
import { APART_MS } from '../controller/endpoints.ts';
import { type Followed, followCluster } from '../controller/follow.ts';
import { explain } from '../errors.ts';
import type { ObjectMeta } from '../kube/objects.ts';
import type { Watched } from '../kube/watch.ts';
import { isKernels, Link } from '../providers/local/link.ts';
import type { AgentOptions, AgentState } from './agent-options.ts';
import { followAddresses } from './machine.ts';
import { AGENT_LABEL, agentObject, ordersName } from './names.ts';
import { followedBy, type Orders, readOrders, sayOtherDelivery } from './orders.ts';
import { watchOrders } from './orders-watch.ts';
import { nowhere, type Place, publishNode, samePlace } from './place.ts';
import { LEASE_MS, Presence } from './presence.ts';
import { Published } from './published.ts';
import { type AgentReport, sameReport } from './report.ts';
import { describeWork } from './report-of.ts';
import { Memory } from './state-file.ts';
import { VipDuty, vipsOf } from './vip-duty.ts';
import { needsEndpoints, Work } from './work.ts';

/** A write that is under way then is the next agent's to find. */
const SILENT_MS = 5_000;

/** The agent: rules from the cluster in, a forwarder driven by them, and a report back. Serves before it has heard of the API server. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #link: Link;
  readonly #work: Work;
  readonly #memory: Memory;
  readonly #report: Published;
  readonly #presence: Presence;
  readonly #duty: VipDuty | undefined;
  readonly #stopAddresses: () => void;
  #orders: Orders | undefined;
  #ordersUid: string | undefined;
  #problem: string | undefined;
  #place: Place;
  #ordersWatch: Watched<ObjectMeta> | undefined;
  #followed: Followed | undefined;
  /** Grows with every change of what is followed; what an older one was waiting for is dropped. */
  #following = 0;
  #apart: NodeJS.Timeout | undefined;
  #stopped = false;
  #isSucceeded = false;
  #mayTell = false;
  /** kube-proxy shall deliver here, and does so at the controller's word alone, which is another: addresses are left to other agents. */
  #isOutOfStep = false;
  /** As it was written last, or is about to be. */
  #told: AgentReport | undefined;

  constructor(options: AgentOptions) {
    const { api, name, namespace, group, log, remembered, stateDir } = options;
    this.#options = options;
    this.#link = new Link(log, () => this.#heard());
    this.#work = new Work(this.#link);
    this.#memory = new Memory(stateDir, log);
    const own = { api, namespace, name: agentObject(group, name), log };
    const metadata = () => this.#marks();
    this.#report = new Published({ ...own, metadata, key: 'report' });
    this.#presence = new Presence({
      ...own,
      metadata,
      identity: options.identity,
      ...(options.renewMs ? { renewMs: options.renewMs } : {}),
    });
    this.#duty = options.startVips && new VipDuty(options.startVips, name, () => this.#held());
    this.#place = {
      ...nowhere,
      machine: this.#readMachine(),
      published: new Map(remembered?.published),
      ofNode: new Set(remembered?.ofNode),
    };
    this.#orders = remembered?.orders;
    const looks = [
      followAddresses(
        () => this.#readMachine(),
        () => this.#moved(),
      ),
      followAddresses(
        () => new Set(this.#duplicates().keys()),
        () => this.#tell(),
      ),
    ];
    this.#stopAddresses = () => {
      for (const stop of looks) stop();
    };
  }

  /** Serves what was served last, then follows the cluster. Resolves as soon as the forwarder has been started. */
  async start(): Promise<void> {
    const { remembered, log } = this.#options;
    for (const balancer of remembered?.balancers ?? []) {
      try {
        this.#work.resume(balancer, remembered!.orders, this.#place);
      } catch (thrown) {
        log.warn(
          { balancer: balancer.key, error: explain(thrown) },
          'the rules of the last run for a balancer cannot be taken up',
        );
      }
    }
    this.#arrange();
    this.#awaitCluster();
    await this.#link.start(this.#options.startForwarder);
    if (remembered)
      log.info({ listeners: this.#work.listeners().length }, 'serving the rules of the last run until the cluster answers');
    this.#ordersWatch = watchOrders(this.#options, (uid, content) => {
      this.#ordersUid = uid;
      this.#takeOrders(content);
    });
    void this.#inherit(this.#options);
    void this.#ordersWatch.synced.then(() => this.#tellMissingOrders()).catch(() => {}); // stopped before
  }

  /**
   * Services that the agent before this one has not let go of must not count as let go of; nor what it served, and this one is about to
   * serve, as not served yet.
   */
  async #inherit({ free, remembered }: AgentOptions): Promise<void> {
    const answers = this.#work.listeners().map(({ id }) => this.#link.opened(id));
    await Promise.all([free, Promise.allSettled(answers)]);
    this.#mayTell = true;
    if (free || remembered) this.#heard();
  }

  state(): AgentState {
    const listeners = this.#work.listeners();
    return {
      hasRules: this.#orders !== undefined,
      isCurrent: this.#followed !== undefined,
      isPresent: this.#presence.isHeld,
      listeners: listeners.length,
      failed: listeners.filter(({ id }) => this.#link.state(id)?.state === 'failed').length,
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    };
  }

  connections(): Promise<number> {
    return this.#link.connections();
  }

  /**
   * Ends what is served here, for another agent to take up. Addresses that move have moved. At the others, which nobody else has, it
   * serves on while connections from before are open, for at most `drainMs`, and the kernel goes on with its rules for as long as the
   * Lease lasts, which is held to that end: until then nobody gets the addresses, and the next agent finds its connections.
   */
  async stop(drainMs: number): Promise<void> {
    if (this.#isSucceeded) return this.#yieldAll(drainMs);
    const goesOn = this.#work.listeners().some(({ id }) => isKernels(this.#link.state(id)));
    await this.#leave();
    const closing = this.#link.close(drainMs, { rulesMs: goesOn ? LEASE_MS : 0, servesOn: true });
    await this.#fallSilent();
    await closing;
    await this.#presence.stop(goesOn ? 'renew' : 'release');
  }

  /** Everything is another's, but connections that are open. */
  async #yieldAll(drainMs: number): Promise<void> {
    await this.#leave();
    const closing = this.#link.close(drainMs);
    await this.#fallSilent();
    await this.#presence.stop('leave');
    await closing;
  }

  /**
   * Gives up everything but the forwarder to another agent of this name on this machine, whose report and Lease they are from now on.
   * Takes at most 5 s more than other agents need to take over addresses.
   */
  async handOver(): Promise<void> {
    this.#isSucceeded = true;
    await this.#leave();
    const silent = Promise.all([this.#fallSilent(), this.#presence.stop('leave')]);
    await Promise.race([silent, sleep(SILENT_MS, undefined, { ref: false })]);
  }

  /** Whatever happens from now on changes nothing; addresses that move have moved. */
  async #leave(): Promise<void> {
    this.#stopped = true;
    this.#following += 1;
    this.#stopAddresses();
    clearTimeout(this.#apart);
    await this.#duty?.stop();
  }

  async #fallSilent(): Promise<void> {
    await Promise.all([this.#ordersWatch?.stop(), this.#followed?.stop(), this.#memory.flush(), this.#report.stop()]);
  }

  #tellMissingOrders(): void {
    if (this.#orders !== undefined || this.#problem !== undefined) return;
    const { log, namespace, group } = this.#options;
    log.info({ configMap: `${namespace}/${ordersName(group)}` }, 'the controller has not said yet what to serve; waiting for it');
    this.#tell(); // the controller learns from it that there is an agent
  }

  #takeOrders(content: string): void {
    const { log } = this.#options;
    const read = readOrders(content);
    const other = typeof read === 'string' ? undefined : sayOtherDelivery(read, this.#options.delivery);
    this.#isOutOfStep = other !== undefined && this.#options.delivery !== undefined;
    const orders = other ?? read;
    this.#problem = typeof orders === 'string' ? orders : undefined;
    if (typeof orders === 'string') {
      log.error({}, orders);
      void this.#unfollow();
      this.#arrange();
      this.#tell();
      return;
    }
    const before = this.#orders;
    this.#orders = orders;
    if (!this.#followed || !before || followedBy(before) !== followedBy(orders)) void this.#follow(orders);
    else if (before.pools.join() !== orders.pools.join()) this.#work.move(orders, this.#place);
    this.#arrange();
    this.#remember();
  }

  /** Keeps the last rules: nothing that happens in the cluster changes them. */
  async #unfollow(): Promise<void> {
    this.#following += 1;
    const before = this.#followed;
    this.#followed = undefined;
    this.#awaitCluster();
    await before?.stop();
  }

  /** Endpoints move, and without the cluster nobody says where to: after some time every node is asked, as where they were never known. */
  #awaitCluster(): void {
    clearTimeout(this.#apart);
    this.#apart = setTimeout(() => {
      if (this.#followed || !this.#orders) return;
      this.#work.forgetEndpoints(this.#orders, this.#place);
      this.#remember();
    }, this.#options.apartMs ?? APART_MS).unref();
  }

  async #follow(orders: Orders): Promise<void> {
    await this.#unfollow();
    this.#following += 1;
    const mine = this.#following;
    const followed = await followCluster(this.#options.api, orders, this.#options.log).catch(() => undefined);
    if (!followed) return;
    if ([...followed.services.all()].some((service) => needsEndpoints(service, orders))) await followed.endpoints.begin();
    if (mine !== this.#following || this.#stopped) return followed.stop();
    this.#followed = followed;
    if (this.#options.free) this.#presence.start(); // the one before renews no more
    this.#locate();
    this.#take([...new Set([...followed.cluster.keys(), ...this.#work.keys()])]);
    followed.tell({
      keys: (keys) => this.#take(keys),
      nodes: () => {
        this.#locate();
        this.#take([...followed.cluster.keys(), ...this.#work.keys()]);
      },
      gone: () => {},
      reservations: () => {},
    });
    this.#options.log.info(
      { balancers: this.#work.keys().length, listeners: this.#work.listeners().length },
      'following the cluster',
    );
  }

  /** Where this agent is, as its Node object says. */
  #locate(): void {
    const { node } = this.#options;
    const object = node === undefined ? undefined : this.#followed?.cluster.nodeNamed(node);
    const ofNode = new Set((object?.addresses ?? []).map(({ address }) => address));
    this.#place = { ...this.#place, ofNode, published: publishNode(object, this.#place.machine) };
  }

  #moved(): void {
    const before = this.#place;
    this.#place = { ...before, machine: this.#readMachine() };
    if (this.#followed) this.#locate();
    if (samePlace(before, this.#place)) return;
    this.#options.log.info({ addresses: [...this.#place.machine] }, 'the addresses of this machine have changed');
    if (this.#orders) this.#work.move(this.#orders, this.#place);
    this.#arrange();
    this.#remember();
    this.#tell();
  }

  /** Without what only visits this machine. */
  #readMachine(): ReadonlySet<string> {
    const owned = this.#duty?.owned();
    return new Set([...this.#options.readAddresses()].filter((address) => !owned?.has(address)));
  }

  #duplicates(): ReadonlyMap<string, string> {
    return this.#options.readDuplicates?.() ?? new Map();
  }

  /** The forwarder has news. */
  #heard(): void {
    this.#arrange();
    this.#tell();
  }

  /** An address has come to this machine, or has left it. */
  #held(): void {
    this.#link.retry();
    this.#moved();
    this.#tell();
  }

  /** Has the addresses of pools held, by this agent or another, and served as soon as they are here. */
  #arrange(): void {
    const orders = this.#orders;
    if (!this.#duty || !orders || this.#stopped) return;
    const { machine, ofNode } = this.#place;
    const vips = vipsOf(orders, this.#work.balancers(), new Set([...machine, ...ofNode]));
    const before = this.#place;
    this.#place = { ...before, movable: new Set(vips) };
    if (!samePlace(before, this.#place)) {
      this.#link.setExclusive(vips);
      this.#work.move(orders, this.#place);
    }
    const serving = {
      listeners: this.#work.listeners(),
      state: (id: string) => (this.#isOutOfStep ? undefined : this.#link.state(id)),
      target: (name: string, port: number) => this.#link.target(name, port),
      sendsTo: (id: string, name: string) => this.#link.entry(id)?.nodes.some((node) => node.name === name) ?? false,
    };
    this.#duty.update(orders, vips, serving, this.#options.node);
  }

  #take(keys: readonly string[]): void {
    if (!this.#followed || !this.#orders) return;
    for (const key of keys) {
      try {
        this.#work.take(key, this.#followed, this.#orders, this.#place);
      } catch (thrown) {
        this.#options.log.error(
          { balancer: key, error: explain(thrown) },
          'a balancer could not be taken; it is served as before',
        );
      }
    }
    this.#arrange();
    this.#remember();
    setImmediate(() => this.#tell()); // after the link has sent
  }

  #remember(): void {
    const orders = this.#orders;
    if (!orders) return;
    this.#memory.put(() => ({
      orders,
      balancers: this.#work.balancers(),
      published: [...this.#place.published],
      ofNode: [...this.#place.ofNode],
    }));
  }

  /**
   * An agent's objects go with its node, as the kubelet's own Lease does; once all retires, with the orders, which the chart removes.
   * With both as owners they would stay until both are gone.
   */
  #marks(): object {
    const { group, node } = this.#options;
    const uid = node === undefined ? undefined : this.#followed?.cluster.nodeNamed(node)?.uid;
    const owners = this.#orders?.retired
      ? [{ apiVersion: 'v1', kind: 'ConfigMap', name: ordersName(group), uid: this.#ordersUid }]
      : [{ apiVersion: 'v1', kind: 'Node', name: node, uid }];
    return { labels: { [AGENT_LABEL]: group }, ownerReferences: owners.filter((owner) => owner.uid !== undefined) };
  }

  /** There may be news for the controller. An agent that serves what it cannot compare with the cluster says nothing of it yet. */
  #tell(): void {
    if (this.#stopped || !this.#mayTell || (this.#orders !== undefined && !this.#followed && this.#problem === undefined)) return;
    this.#report.put(() => JSON.stringify(this.#describe()));
    void this.#report.first.then(() => {
      if (!this.#stopped) this.#presence.start();
    });
  }

  /** What changes nothing for the controller is not written: rules have new generations, and checks new times, all the time. */
  #describe(): AgentReport {
    const { name, node } = this.#options;
    const report = describeWork({
      name,
      ...(this.#orders?.retired ? { retired: true } : {}),
      ...(node === undefined ? {} : { node }),
      place: this.#place,
      work: this.#work,
      link: this.#link,
      duplicates: this.#duplicates(),
      ...(this.#duty ? { vips: this.#duty.outcome() } : {}),
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    });
    if (!this.#told || !sameReport(report, this.#told)) this.#told = report;
    return this.#told;
  }
}
