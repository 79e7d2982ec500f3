import { startLocalStack } from '../../localstack/engines.ts';
import { awsContract } from '../contracts/aws.ts';
import { emulated } from './aws-ground.ts';
import { localStackDeviations } from './moto-deviations.ts';

// Its load balancing is moto's own, some versions older.
awsContract("LocalStack's open core", () => emulated(startLocalStack), localStackDeviations);
