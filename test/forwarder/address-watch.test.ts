import { beforeEach, expect, test } from '@jest/globals';
import { type AddressPlace, AddressWatch, type Settled } from '../../src/forwarder/address-watch.ts';

let here: Set<string>;
let bindable: Set<string>;
let told: string[];
let watch: AddressWatch;
const moving = new Set(['10.0.0.9']);

beforeEach(() => {
  here = new Set(['10.0.0.1', '10.0.0.2', '10.0.0.9', 'fd00::1']);
  bindable = new Set();
  told = [];
  const place: AddressPlace = { addresses: () => here, canBind: async (address) => bindable.has(address) };
  watch = new AddressWatch((address) => moving.has(address), place);
});

function settled(address: string, name = address): Settled {
  const one = { address, addressIs: (is: boolean) => void told.push(`${name} ${is ? 'here' : 'gone'}`) };
  watch.add(one);
  return one;
}

test('an address that leaves with its interface is told to each of its listeners once, and so is its return', async () => {
  const all = [settled('10.0.0.1', 'web'), settled('10.0.0.1', 'dns'), settled('fd00::1'), settled('10.0.0.2')];
  await watch.look();
  expect(told).toEqual([]);
  here = new Set(['10.0.0.2']);
  await watch.look();
  await watch.look();
  expect(told.splice(0).sort()).toEqual(['dns gone', 'fd00::1 gone', 'web gone']);
  here = new Set(['10.0.0.1', '10.0.0.2', 'fd00::1']);
  await watch.look();
  await watch.look();
  expect(told.sort()).toEqual(['dns here', 'fd00::1 here', 'web here']);
  all.forEach((one) => void watch.remove(one));
});

test.each([
  { why: 'one that never was on an interface', address: '10.0.0.77' },
  { why: 'one that comes and goes by itself', address: '10.0.0.9' },
  { why: 'one that can be bound all the same', address: '10.0.0.2' },
  { why: 'a loopback address', address: '127.0.0.9' },
  { why: 'every address', address: '::' },
])('$why is not missed', async ({ address }) => {
  bindable.add('10.0.0.2');
  const one = settled(address);
  await watch.look();
  here = new Set();
  await watch.look();
  expect(told).toEqual([]);
  watch.remove(one);
});

test('what is no longer open hears nothing', async () => {
  const one = settled('10.0.0.1');
  await watch.look();
  watch.remove(one);
  here = new Set();
  await watch.look();
  expect(told).toEqual([]);
});
