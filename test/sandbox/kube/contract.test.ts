import { startKube } from '../../../src/sandbox/kube/kube.ts';
import { kubeApiContract } from '../../contracts/kube-api.ts';

kubeApiContract(async () => {
  const kube = await startKube({ token: 'secret' });
  return {
    url: kube.url,
    headers: { authorization: 'Bearer secret' },
    compact: async () => kube.compact(),
    close: () => kube.close(),
  };
});
