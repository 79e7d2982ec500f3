/**
 * From a balancer to lines of HAProxy's configuration. Nothing here reads or writes anything.
 *
 * @typedef {{ addresses: string[], settings: { drainSeconds?: number, idleTimeoutSeconds?: number, proxyProtocol?: string },
 *   listeners: { uid: string, port: number, nodePort: number, servers: Server[], check: object, sourceRanges: string[],
 *   affinitySeconds?: number }[] }} Section
 * @typedef {{ name: string, address: string }} Server
 */

/** What HAProxy must know of a balancer, as plain data: it is kept in a file, and compared to see whether anything is to be done. */
export function describeSection(balancer) {
  return {
    addresses: balancer.address.held,
    settings: {
      idleTimeoutSeconds: balancer.settings.idleTimeoutSeconds ?? 3_600,
      proxyProtocol: balancer.settings.proxyProtocol ?? 'none',
    },
    listeners: balancer.listeners.map(({ service, port, targetGroup }) => ({
      uid: service.uid,
      port,
      nodePort: targetGroup.nodePort,
      check: targetGroup.healthCheck,
      sourceRanges: targetGroup.sourceRanges,
      affinitySeconds: targetGroup.affinitySeconds ?? 0,
      servers: balancer.nodes.map((node) => describeServer(node, targetGroup.nodePort)),
    })),
  };
}

/** A node may publish its NodePort elsewhere (container runtimes that map ports to the host). */
function describeServer(node, nodePort) {
  const elsewhere = node.portMap?.[nodePort];
  return { name: node.name, at: elsewhere ?? endpoint(node.addresses[0], nodePort) };
}

/** The whole file. @param {string} cluster @param {ReadonlyMap<string, Section>} sections by balancer key */
export function renderFile(cluster, sections) {
  const head = `# Written by nodeport-lb for cluster ${cluster}: what you change here is overwritten.\n`;
  return head + [...sections].map(([key, section]) => renderSection(cluster, key, section)).join('');
}

function renderSection(cluster, key, { addresses, settings, listeners }) {
  return listeners
    .map((listener) => renderListener(`${cluster}/${key}/${listener.port}`, addresses, settings, listener))
    .join('');
}

function renderListener(path, addresses, settings, listener) {
  const lines = [
    ...addresses.map((address) => `bind ${endpoint(address, listener.port)}`),
    'mode tcp',
    'balance roundrobin',
    'timeout connect 5s',
    `timeout client ${settings.idleTimeoutSeconds}s`,
    `timeout server ${settings.idleTimeoutSeconds}s`,
    'option redispatch 1',
    ...(listener.sourceRanges.length > 0
      ? [`tcp-request connection reject unless { src ${listener.sourceRanges.join(' ')} }`]
      : []),
    ...(listener.affinitySeconds > 0
      ? [`stick-table type ipv6 size 100k expire ${listener.affinitySeconds}s`, 'stick on src']
      : []),
    ...(listener.check.protocol === 'http' ? [`option httpchk GET ${listener.check.path ?? '/'}`] : []),
    ...listener.servers.map((server) => renderServer(server, settings, listener)),
  ];
  return `\nlisten ${path.replaceAll('/', '_')}\n${lines.map((line) => `  ${line}\n`).join('')}`;
}

function renderServer({ name, at }, { proxyProtocol }, { check, nodePort }) {
  const header = { v1: ' send-proxy', v2: ' send-proxy-v2' }[proxyProtocol] ?? '';
  const port = check.port === nodePort ? '' : ` port ${check.port}`;
  const inter = check.intervalSeconds === undefined ? '' : ` inter ${Math.round(check.intervalSeconds * 1_000)}ms`;
  return `server ${name} ${at} check${port}${inter}${header}`;
}

function endpoint(address, port) {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
