import { startMoto } from '../../localstack/engines.ts';
import { awsContract } from '../contracts/aws.ts';
import { emulated } from './aws-ground.ts';
import { motoDeviations } from './moto-deviations.ts';

// With AWS_ENDPOINT_URL set it runs over what answers there, with no deviation allowed: what fails is what that one does otherwise.
const endpoint = process.env['AWS_ENDPOINT_URL'];

if (endpoint) awsContract(endpoint, () => emulated(async () => ({ url: endpoint, close: async () => {} })));
else awsContract('moto', () => emulated(startMoto), motoDeviations);
