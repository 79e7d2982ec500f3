import { beforeEach, describe, expect, test } from '@jest/globals';
import { Reports } from '../../src/forwarder/reports.ts';
import type { ForwarderReport, ListenerState } from '../../src/forwarder/rules.ts';

const listening = (port: number): ListenerState => ({ state: 'listening', address: '192.0.2.1', port });
const draining: ListenerState = { state: 'draining', connections: 1 };
const states = () => new Map(['a', 'b'].map((id, i) => [id, listening(80 + i)]));

let told: ForwarderReport['listeners'][] = [];
let reports = new Reports(() => {});

beforeEach(() => {
  told = [];
  reports = new Reports(({ listeners }) => told.push(listeners));
});

describe('what is foretold', () => {
  test('is told when it has come about, once', () => {
    const tell = reports.foretell(states());
    reports.flush();
    expect(told).toEqual([]);
    tell();
    reports.flush();
    reports.listener('a', listening(80));
    reports.flush();
    expect(told).toEqual([Object.fromEntries(states())]);
  });

  test('gives way to what is told after it', () => {
    reports.foretell(states())();
    reports.listener('b', draining);
    reports.flush();
    reports.listener('b', null);
    reports.flush();
    expect(told).toEqual([{ a: listening(80), b: draining }, { b: null }]);
  });

  test('is compared with what was told before', () => {
    reports.listener('a', listening(80));
    reports.flush();
    reports.foretell(states())();
    reports.flush();
    expect(told).toEqual([{ a: listening(80) }, { b: listening(81) }]);
  });
});
