import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeysteadError } from '../../errors/index.ts';
import { matchesHost, parseAuthorisation } from '../index.ts';

test('a pattern allows the names that end so, and never the name itself, a neighbour or a longer label', () => {
  assert.ok(matchesHost('gw.plant.example', 'gw.plant.example'));
  assert.ok(matchesHost('*.plant.example', 'a.plant.example'));
  assert.ok(matchesHost('*.plant.example', 'a.b.plant.example'));
  for (const host of ['plant.example', 'xplant.example', 'a.plant.example.evil', '.plant.example', 'plant.example.']) {
    assert.equal(matchesHost('*.plant.example', host), false, host);
  }
  assert.equal(matchesHost('plant.example', 'a.plant.example'), false);
});

test('a suffix allows no address, and an address is the same in each of its spellings', () => {
  assert.equal(matchesHost('*.0.0.1', '127.0.0.1'), false);
  assert.ok(matchesHost('2001:DB8:0::1', '2001:db8::1'));
  assert.equal(matchesHost('2001:db8::1', '2001:db8::2'), false);
  assert.equal(matchesHost('10.0.0.1', '::ffff:10.0.0.1'), false);
});

test('whatever is read as an authorisation is one, or is refused as malformed', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        parseAuthorisation(text);
      } catch (error) {
        assert.ok(error instanceof KeysteadError && error.code === 'authorisation.malformed');
        return;
      }
      assert.fail('no text that was made at random is an authorisation');
    }),
  );
});

const text = (content: object): string => {
  const payload = Buffer.from(JSON.stringify(content)).toString('base64url');
  return JSON.stringify({ payload, signer: 'ada', signature: '' });
};
/** In canonical order, so that only the rule under test is broken. */
const whole = {
  approval: false,
  hosts: ['gw.plant.example'],
  id: 'a-1',
  notAfter: '2026-03-02T00:00:00Z',
  notBefore: '2026-03-01T00:00:00Z',
  profile: 'tls-server',
  uses: 1,
  v: 1,
  ways: ['acme'],
};

test('each field of an authorisation is held to its form, and the message names it', () => {
  assert.equal(parseAuthorisation(text(whole)).content.id, 'a-1');
  const cases: [string, object][] = [
    ['hosts[0]', { hosts: ['*.example'] }],
    ['hosts[0]', { hosts: ['*.*.example.org'] }],
    ['hosts[0]', { hosts: ['*.10.0.0.1'] }],
    ['hosts[0]', { hosts: ['*.0.0.1'] }],
    ['hosts[0]', { hosts: ['*.2001:db8::1'] }],
    ['hosts[0]', { hosts: ['GW.plant.example'] }],
    ['hosts[0]', { hosts: [''] }],
    ['hosts', { hosts: [] }],
    ['uses', { uses: 0 }],
    ['notAfter', { notAfter: '2026-03-01T00:00:00Z' }],
    ['notAfter', { notAfter: '2026-03-02' }],
    ['ways[0]', { ways: ['telnet'] }],
    ['ways', { ways: ['acme', 'acme'] }],
    ['id', { id: '../etc' }],
    ['more', { more: 1 }],
    ['request', { request: { sha256: '0'.repeat(64), under: 'b' }, uses: 2 }],
  ];
  for (const [field, change] of cases) {
    assert.throws(
      () => parseAuthorisation(text({ ...whole, ...change })),
      (error) => error instanceof KeysteadError && error.code === 'authorisation.malformed' && error.field === field,
      `${field} ${JSON.stringify(change)}`,
    );
  }
});
