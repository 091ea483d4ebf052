import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { KeysteadError } from '../../errors/index.ts';
import {
  CERTIFICATE_STATES,
  CERTIFICATE_WAYS,
  type CertificateStanding,
  certificateStatesMarkdown,
  nextStanding,
  REVOCATION_ACTS,
} from '../index.ts';

const STATES = Object.keys(CERTIFICATE_STATES) as CertificateStanding[];

test('TEST-KEY-08 every status and act: a way of the table, nothing new, or a code of its own', () => {
  const refused: string[] = [];
  for (const from of STATES) {
    for (const act of REVOCATION_ACTS) {
      const way = CERTIFICATE_WAYS.find((one) => one.from === from && one.act === act);
      try {
        assert.equal(nextStanding(from, act), way?.to ?? from);
      } catch (error) {
        if (!(error instanceof KeysteadError)) throw error;
        assert.equal(way, undefined);
        refused.push(`${act} of ${from}: ${error.code}`);
      }
    }
  }
  assert.deepEqual(refused, [
    'release of good: revocation.not-on-hold',
    'hold of revoked: revocation.final',
    'release of revoked: revocation.final',
  ]);
});

test('no way leads out of revoked, and the only way back to good is a release', () => {
  assert.equal(
    CERTIFICATE_WAYS.some(({ from }) => from === 'revoked'),
    false,
  );
  assert.deepEqual(
    CERTIFICATE_WAYS.filter(({ to }) => to === 'good').map(({ act }) => act),
    ['release'],
  );
});

test('docs/operate.md has the tables as they are here', () => {
  const page = readFileSync(fileURLToPath(new URL('../../../../docs/operate.md', import.meta.url)), 'utf8');
  assert.ok(page.includes(certificateStatesMarkdown()), certificateStatesMarkdown());
});
