import { startForwarder } from '../../../src/forwarder/forwarder.ts';
import { createLocalProvider } from '../../../src/providers/local/provider.ts';
import { providerContract, type World } from '../../contracts/provider.ts';
import { pool, quiet } from '../builders.ts';
import { freePorts } from './sockets.ts';

providerContract('local', async (): Promise<World> => {
  const [a, b, c, d] = await freePorts(4);
  const options = { pools: [pool('loopback', ['127.0.0.1'], { sharePorts: true })] };
  return {
    create: async () =>
      createLocalProvider({ clusterName: 'c', log: quiet, options }, { startForwarder, now: Date.now, inCluster: false }),
    kill: (provider) => provider.close(0),
    ports: [a!, b!, c!, d!],
    impossible: { requested: ['192.0.2.1'] },
    end: async () => {},
  };
});
