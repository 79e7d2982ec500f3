import { createProvider } from '../../src/providers/none.ts';
import { providerContract } from '../contracts/provider.ts';
import { quiet } from './builders.ts';

const makes = [
  'a wanted balancer settles, and then there is nothing to do',
  'the addresses that are held are those that are published',
  'adjusting again, or what is adjusted already, changes nothing',
  'adjust does not change what it is given',
  'plan is pure: the same answer twice, from frozen input',
  'report is pure: what was observed once reads the same for ever',
  'every step says for people what it does, why, and whether it cuts traffic',
  'each step may be applied twice',
  'keys lists what is held, and only that',
  'what nobody wants any more goes, also what was adjusted and never made',
  'after a crash the addresses are the same',
  'after a crash between any two steps the work is taken up',
  'what a crash leaves, of which nothing is on record, is nothing or is found again, as the provider declares',
  'two balancers do not disturb each other',
  'listeners come and go, and the address stays',
  'nodes come, go and move',
  'a change of one thing is a plan, and the same list of nodes in a new array is none',
  'a report is plain data: addresses, codes of the table, and health with its age',
];

providerContract(
  'none',
  async () => ({
    create: async () => createProvider({ clusterName: 'c', log: quiet, options: {} }),
    kill: async () => {},
    ports: [80, 81, 82, 83],
    impossible: {},
    end: async () => {},
  }),
  { skip: [{ reason: 'it refuses every balancer, so it never makes one', tests: makes }] },
);
