import { beforeEach, expect, test } from '@jest/globals';
import { makeWriter, type Writer } from '../../src/controller/writer.ts';
import type { KubeApi, Services } from '../../src/kube/api.ts';
import { service } from '../builders.ts';

let told: string[];
let writer: Writer;
const web = service();

beforeEach(() => {
  told = [];
  const services: Services = { get: () => undefined, all: () => [], put() {} };
  const events = {
    tell: (_about: object, _type: string, reason: string, message: string) => void told.push(`${reason} ${message}`),
  };
  writer = makeWriter({ api: {} as KubeApi, services, events, now: () => 0, mayWrite: () => true });
});

test('a warning is told once, however often the Service becomes ready', () => {
  for (let passes = 0; passes < 3; passes += 1) {
    writer.eventOnce(web, 'Warning', 'AnnotationIgnored', 'share is misspelt');
    writer.becameReady(web.uid);
  }
  expect(told).toEqual(['AnnotationIgnored share is misspelt']);
});

test('each time that a balancer is made, and each time that it fails, is told', () => {
  for (let times = 0; times < 2; times += 1) {
    writer.eventOnce(web, 'Normal', 'EnsuringLoadBalancer', 'being made');
    writer.eventOnce(web, 'Normal', 'EnsuringLoadBalancer', 'being made');
    writer.sayNotReady(web, { code: 'SyncFailed', message: 'closed' });
    writer.sayNotReady(web, { code: 'SyncFailed', message: 'closed' });
    writer.becameReady(web.uid);
  }
  const once = ['EnsuringLoadBalancer being made', 'SyncLoadBalancerFailed SyncFailed: closed'];
  expect(told).toEqual([...once, ...once]);
});

test('of a Service that has gone nothing is remembered', () => {
  for (let lives = 0; lives < 2; lives += 1) {
    writer.eventOnce(web, 'Warning', 'AnnotationIgnored', 'share is misspelt');
    writer.forget(web.uid);
  }
  expect(told.length).toBe(2);
});
