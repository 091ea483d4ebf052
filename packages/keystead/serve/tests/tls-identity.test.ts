import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostsOf } from '../tls-identity.ts';

const LOOPBACK = ['localhost', '127.0.0.1', '::1'];

test('headquarters is reached under its host and the names of its own machine', () => {
  assert.deepEqual(hostsOf('localhost'), LOOPBACK);
  assert.deepEqual(hostsOf('hq.example'), ['hq.example', ...LOOPBACK]);
});

test('a factory node names what its commission names and no other host of this machine', () => {
  assert.deepEqual(hostsOf('localhost', ['berlin-1.example', '192.0.2.7']), ['berlin-1.example', '192.0.2.7']);
  assert.deepEqual(hostsOf('localhost', ['berlin-1.example', '127.0.0.1']), ['berlin-1.example', '127.0.0.1']);
  assert.deepEqual(hostsOf('localhost', ['berlin-1.example', 'localhost']), ['localhost', 'berlin-1.example']);
  assert.deepEqual(hostsOf('rig.berlin-1.example', ['berlin-1.example']), ['rig.berlin-1.example', 'berlin-1.example']);
});

test('a host that was set and that the commission does not name is left for keyd to refuse', () => {
  assert.deepEqual(hostsOf('hq.example', ['berlin-1.example']), ['hq.example', 'berlin-1.example']);
});
