import { type Actions, action } from './action.ts';
import { record } from './shapes.ts';

export const stsActions: Actions = {
  GetCallerIdentity: action(record({}), (world) => ({
    UserId: 'AIDASANDBOX',
    Account: world.accountId,
    Arn: `arn:aws:iam::${world.accountId}:user/sandbox`,
  })),
};
