import { startMoto } from '../../localstack/engines.ts';
import { awsContract } from '../contracts/aws.ts';
import { layGround, REGION } from './aws-ground.ts';
import { motoDeviations } from './moto-deviations.ts';

awsContract(
  'moto',
  async () => {
    const moto = await startMoto({ port: 0, say: (line) => console.error(line) });
    try {
      return { endpoint: moto.url, region: REGION, ground: await layGround(moto.url), close: moto.close };
    } catch (error) {
      await moto.close();
      throw error;
    }
  },
  motoDeviations,
);
