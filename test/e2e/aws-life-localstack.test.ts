import { startLocalStack } from '../../localstack/engines.ts';
import { awsLife } from './aws/life.ts';
import { STEADY } from './aws/site.ts';
import { emulated } from './aws-ground.ts';
import { localStackDeviations } from './moto-deviations.ts';

// Its load balancing is moto's own, some versions older; its EC2 and its gateway are not.
const deviations = localStackDeviations.map(({ id }) => id);

const NODES = STEADY + 1; // one that comes later
awsLife("LocalStack's open core", { start: () => emulated(startLocalStack, NODES), deviations, strain: false });
