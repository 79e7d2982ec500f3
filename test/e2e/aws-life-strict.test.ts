import { awsLife } from './aws/life.ts';
import { strict } from './aws-ground.ts';

awsLife('the strict sandbox', { start: () => strict(60), strain: true, outageMs: 60_000 });
