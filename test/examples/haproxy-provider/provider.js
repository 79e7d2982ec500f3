import { execFile } from 'node:child_process';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { isDeepStrictEqual, promisify } from 'node:util';
import { describeSection, renderFile } from './render.js';

const run = promisify(execFile);

/** HAProxy checks and reloads within milliseconds; a command that takes longer has hung. */
const COMMAND_MS = 30_000;

/** What `--provider ./provider.js` calls. @param {{ clusterName: string, options: object }} context */
export function createProvider(context) {
  const { env } = process;
  return new HaproxyProvider(context.clusterName, {
    file: env.HAPROXY_FILE ?? '/etc/haproxy/nodeport-lb.cfg',
    addresses: (env.HAPROXY_ADDRESSES ?? '').split(',').filter((address) => address !== ''),
    check: env.HAPROXY_CHECK ?? 'haproxy -c -f "$FILE"',
    reload: env.HAPROXY_RELOAD ?? 'systemctl reload haproxy',
    ...context.options,
  });
}

/**
 * Hooks up a company's HAProxy: every balancer is a few `listen` sections in a file of ours that HAProxy reads beside its own.
 * What it has is kept as JSON next to that file, so that a new process knows what the last one made.
 */
class HaproxyProvider {
  name = 'haproxy';
  #cluster;
  #settings;
  /** What HAProxy has, by balancer key. */
  #sections = new Map();
  /** Addresses and ports that were promised, by balancer key: also those that are not written yet. */
  #promised = new Map();
  #writing = Promise.resolve();
  #queued = undefined;

  constructor(cluster, settings) {
    this.#cluster = cluster;
    this.#settings = settings;
  }

  async open({ balancers }) {
    const text = await readFile(`${this.#settings.file}.json`, 'utf8').catch((error) => {
      if (error.code === 'ENOENT') return '{}';
      throw error;
    });
    this.#sections = new Map(Object.entries(JSON.parse(text)));
    for (const [key, section] of this.#sections) this.#promise(key, section.addresses, section.listeners);
    for (const balancer of balancers) {
      const kept = balancer.address.held.filter((address) => this.#whyNot(balancer, address) === undefined);
      if (kept.length > 0) this.#promise(balancer.key, kept, balancer.listeners);
    }
  }

  /** HAProxy serves on without us. */
  async close() {
    await this.#writing;
  }

  async keys() {
    return [...new Set([...this.#sections.keys(), ...this.#promised.keys()])];
  }

  adjust(balancer, { reservedBy }) {
    const other = balancer.listeners.find(({ protocol }) => protocol !== 'TCP');
    if (other) throw refusal('ProtocolUnsupported', `Port ${other.port}/${other.protocol}: HAProxy carries TCP`);
    const { requested, held } = balancer.address;
    const mine = this.#promised.get(balancer.key)?.addresses ?? [];
    const candidates = requested.length > 0 ? requested : [...mine, ...held, ...this.#settings.addresses];
    const address = candidates.find((ip) => this.#whyNot(balancer, ip) === undefined && reservedBy(ip) === undefined);
    if (address === undefined) throw this.#whyNot(balancer, candidates[0]) ?? refusal('PoolExhausted', 'No address is free');
    this.#promise(balancer.key, [address], balancer.listeners);
    return { ...balancer, address: { ...balancer.address, held: [address] } };
  }

  async observe(key) {
    return { key, at: Date.now(), section: this.#sections.get(key), promised: this.#promised.has(key) };
  }

  plan(wanted, { key, section, promised }) {
    if (!wanted) return section || promised ? [removeStep(key)] : [];
    const goal = describeSection(wanted);
    return isDeepStrictEqual(goal, section) ? [] : [writeStep(key, goal, section)];
  }

  async apply({ kind, key, section }) {
    const before = this.#sections.get(key);
    if (kind === 'write-sections') this.#sections.set(key, section);
    else this.#sections.delete(key);
    try {
      await this.#write();
    } catch (error) {
      if (before) this.#sections.set(key, before);
      else this.#sections.delete(key);
      throw error;
    }
    if (kind === 'remove-sections') this.#promised.delete(key);
  }

  report({ at, section, promised }) {
    const { addresses = [], listeners = [] } = section ?? {};
    const asOf = at;
    return {
      addresses: addresses.map((ip) => ({ ip, ipMode: 'Proxy' })),
      listeners: listeners.map(({ uid, port }) => ({ uid, protocol: 'TCP', port })),
      targets: listeners.flatMap(({ nodePort, servers }) =>
        servers.map(({ name }) => ({
          node: name,
          port: nodePort,
          health: 'unknown',
          reason: 'see the statistics of HAProxy',
          asOf,
        })),
      ),
      settled: section !== undefined || !promised,
      gone: section === undefined && !promised,
    };
  }

  #promise(key, addresses, listeners) {
    this.#promised.set(key, { addresses, ports: new Set(listeners.map(({ port }) => port)) });
  }

  /** Why the balancer cannot have the address, or undefined. Balancers with different ports may have one address together. */
  #whyNot(balancer, address) {
    const { addresses } = this.#settings;
    if (!addresses.includes(address)) {
      return refusal('AddressNotInPool', `Address ${address} is not one of HAPROXY_ADDRESSES (${addresses.join(', ')})`);
    }
    for (const [key, promised] of this.#promised) {
      if (key === balancer.key || !promised.addresses.includes(address)) continue;
      const clash = balancer.listeners.find(({ port }) => promised.ports.has(port));
      if (clash) return refusal('AddressInUse', `Port ${clash.port} of address ${address} is held by ${key}`);
    }
    return undefined;
  }

  /** However many steps ask for it while one reload runs, one more reload serves them all. */
  #write() {
    this.#queued ??= this.#writing
      .catch(() => {})
      .then(() => {
        this.#queued = undefined;
        return this.#writeNow();
      });
    this.#writing = this.#queued;
    return this.#queued;
  }

  async #writeNow() {
    const { file, check, reload } = this.#settings;
    const [state, config] = [JSON.stringify(Object.fromEntries(this.#sections)), renderFile(this.#cluster, this.#sections)];
    await writeFile(`${file}.new`, config);
    await command(check, `${file}.new`); // a file that HAProxy does not understand never takes the place of one that it does
    await replace(`${file}.json`, state);
    await rename(`${file}.new`, file);
    await command(reload, file);
  }
}

function writeStep(key, section, before) {
  const where = section.listeners.map(({ port }) => `${section.addresses.join(', ')}:${port}`).join(', ');
  const summary = `${before ? 'change' : 'write'} the HAProxy sections of ${key} (${where})`;
  const reason = before ? 'the Service or the nodes have changed' : 'the Service asks for it';
  return { kind: 'write-sections', summary, reason, disrupts: false, key, section };
}

function removeStep(key) {
  const summary = `remove the HAProxy sections of ${key}`;
  return { kind: 'remove-sections', summary, reason: 'no Service wants this balancer any more', disrupts: true, key };
}

async function command(line, file) {
  try {
    await run('sh', ['-c', line], { timeout: COMMAND_MS, env: { ...process.env, FILE: file } });
  } catch (cause) {
    const said = String(cause.stderr ?? '').trim() || String(cause.stdout ?? '').trim() || 'it said nothing';
    throw new Error(`\`${line}\` failed: ${said.replaceAll(/\s+/g, ' ').slice(0, 500)}`, { cause });
  }
}

async function replace(file, text) {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

/** An error that is called Refusal and has a code of nodeport-lb's table is told to the Service's author; no import is needed. */
function refusal(code, subject) {
  return Object.assign(new Error(subject), { name: 'Refusal', code, subject });
}
