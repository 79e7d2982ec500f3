import { startMoto } from '../../localstack/engines.ts';
import { awsLife } from './aws/life.ts';
import { emulated } from './aws-ground.ts';
import { motoDeviations } from './moto-deviations.ts';

// With AWS_ENDPOINT_URL set it runs over what answers there, with no deviation allowed, as the contract does.
const endpoint = process.env['AWS_ENDPOINT_URL'];
const NODES = 60;

if (endpoint) {
  const there = async () => ({ url: endpoint, close: async () => {} });
  awsLife(endpoint, { start: () => emulated(there, NODES), strain: true });
} else {
  const deviations = motoDeviations.map(({ id }) => id);
  awsLife('moto', { start: () => emulated(startMoto, NODES), deviations, strain: true });
}
