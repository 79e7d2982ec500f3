/** The least that the seam accepts, from someone who imports nothing of ours. */
export function createProvider({ clusterName }) {
  return {
    name: 'complete',
    open: async () => {},
    close: async () => {},
    keys: async () => [clusterName],
    adjust: (balancer) => {
      if (balancer.address.pool !== undefined) throw refusal(balancer.address.pool);
      return balancer;
    },
    observe: async () => undefined,
    plan: () => [],
    apply: async ({ kind }) => {
      if (kind === 'refuse') throw refusal('QuotaExceeded');
    },
    connections: async () => 7,
    report: () => ({ addresses: [], listeners: [], targets: [], settled: true, gone: true }),
  };
}

function refusal(code) {
  return Object.assign(new Error('told by the module'), { name: 'Refusal', code });
}
