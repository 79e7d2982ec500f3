import { UsageError } from '../errors.ts';
import type { Call } from './command.ts';
import { withCluster } from './connect.ts';
import { renderData } from './output.ts';
import { planAdoption } from './plan-adopt.ts';
import type { RivalName } from './plan-adopt-rivals.ts';
import { renderAdoption } from './plan-adopt-text.ts';
import { openLog, readInterest } from './plan-call.ts';

/** `plan --adopt-from`. @returns 0; with `--exit-code` 1 when there are Services to take over */
export async function runAdoption(call: Call, from: RivalName): Promise<number> {
  const { values, out, err } = call;
  if (values.file !== undefined) throw new UsageError([{ where: '--adopt-from', message: 'and --file exclude each other' }]);
  const interest = await readInterest(call);
  return await withCluster(values, async (api) => {
    err.write(`context ${api.where.context}, server ${api.where.server}\n`);
    const adoption = await planAdoption({ ...interest, from, api, values, log: await openLog(call) });
    const text = async () =>
      renderAdoption(adoption, { columns: out.columns, colour: out.colour, config: await renderData(adoption.config, 'yaml') });
    out.write(values.output === 'json' ? await renderData(adoption, 'json') : await text());
    return values.exitCode && adoption.services.length > 0 ? 1 : 0;
  });
}
