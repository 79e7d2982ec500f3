import { expect, test } from '@jest/globals';
import { readReport } from '../../../src/agent/report.ts';
import { Link, type News } from '../../../src/providers/local/link.ts';
import type { Observed } from '../../../src/providers/local/plan.ts';
import { reportObserved } from '../../../src/providers/local/report.ts';
import { renderListeners, type WantedListener } from '../../../src/providers/local/rules.ts';
import { balancer, holding, node, quiet } from '../builders.ts';
import { dns, follow, report, web } from './agent-stage.ts';
import { FakeForwarder } from './fake-forwarder.ts';

// A machine whose table of tracked connections is nearly full: who is told, and in which words.

const full = 'the kernel has room for 1000 tracked connections, nearly all of it is taken, and beyond it new ones are dropped';
const impairment = { code: 'ConntrackFull', message: full } as const;
const nodes = [node('n1', '10.0.0.1')];

function listener(name: string): WantedListener {
  return renderListeners(holding(balancer({ name }), ['10.9.0.1']), { portFallback: false })[0]!;
}

function observed(listeners: Observed['listeners']): Observed {
  return { key: 'shop/web', at: 0, addresses: ['10.9.0.1'], listeners, closing: [], targets: [] };
}

test('of the forwarder of a controller those learn of it that the kernel serves, and no others', async () => {
  const news: News[] = [];
  const link = new Link(quiet, (told) => news.push(told));
  let forwarder: FakeForwarder | undefined;
  await link.start(({ onReport }) => {
    forwarder = new FakeForwarder(onReport);
    return forwarder;
  });
  const [web, header] = [listener('web'), listener('header')];
  for (const one of [web, header]) link.put(one, nodes);
  await Promise.all([link.opened(web.id), link.opened(header.id)]);
  const at = { state: 'listening', address: '10.9.0.1', port: 80 } as const;
  const ways = { [web.id]: { ...at, datapath: 'nftables' }, [header.id]: { ...at, datapath: 'userspace' } } as const;
  forwarder!.report({ listeners: ways });
  news.length = 0;

  forwarder!.report({ warnings: { ConntrackFull: full } });
  expect(news).toEqual([{ listeners: [web.id], targets: [], closed: [] }]);
  expect(link.state(web.id)).toMatchObject({ state: 'listening', impairment });
  expect(link.state(header.id)).toEqual(ways[header.id]);

  forwarder!.report({ warnings: { ConntrackFull: full } });
  expect(news).toHaveLength(1);
  forwarder!.report({ warnings: { ConntrackFull: null } });
  expect(news).toHaveLength(2);
  expect(link.state(web.id)).toEqual(ways[web.id]);
});

test('of an agent the controller learns of it by its report, with its name, once', async () => {
  const kernel = { datapath: 'nftables', why: 'as asked for' };
  const header = { datapath: 'userspace', why: 'the PROXY protocol is written by userspace', of: [dns] };
  const { link, changed, tell } = await follow(
    report('n1', { paths: [kernel, header] }),
    report('n2', { paths: [kernel, header] }),
  );
  tell(report('n2', { paths: [{ ...kernel, impairment }, header] }));
  expect(changed).toEqual([['shop/web']]);
  expect(link.paths(web)).toEqual([kernel, { ...kernel, impairment: { ...impairment, message: `agent n2: ${full}` } }]);
  expect(link.paths(dns)).toEqual([header, header]);
  tell(report('n2', { paths: [kernel, header] }));
  expect(changed).toEqual([['shop/web'], ['shop/web']]);

  const odd = {
    ...JSON.parse(report('n1', {}).report),
    paths: [
      { ...kernel, impairment: { code: 7 } },
      { ...kernel, impairment },
    ],
  };
  expect(readReport(JSON.stringify(odd))?.paths).toEqual([kernel, { ...kernel, impairment }]);
});

test('the Service is told once, whatever the number of its ports', () => {
  const [one, two] = [listener('one'), listener('two')];
  const state = { state: 'listening', address: '10.9.0.1', port: 80, datapath: 'nftables', impairment } as const;
  const both = [one, two].map((wanted) => ({ listener: wanted, nodes, state }));
  expect(reportObserved(observed(both)).notes).toEqual([{ ...impairment, impairs: true }]);
  const plain = { state: 'listening', address: '10.9.0.1', port: 80, datapath: 'nftables' } as const;
  expect(reportObserved(observed([{ listener: one, nodes, state: plain }])).notes).toBeUndefined();
});
