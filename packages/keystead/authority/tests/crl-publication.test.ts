import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { crlListName, shardIndex, shardsOf } from '@keystead/core/lifecycle';
import type { KeydClient } from '../../keyd-client/index.ts';
import { codeOf, DomainBed } from './bed.ts';

const SHARDS = 3;
const DELTA = { seconds: 600, refreshSeconds: 300 };
let bed: DomainBed;
let keydAway = false;
/** keyd, of which the answers can stay away. */
const interposed = {
  keyd: (client: KeydClient) => ({
    issue: client.issue.bind(client),
    provision: client.provision.bind(client),
    signEvidence: client.signEvidence.bind(client),
    journal: client.journal.bind(client),
    status: client.status.bind(client),
    trust: client.trust.bind(client),
    listRevocations: client.listRevocations.bind(client),
    crlFile: client.crlFile.bind(client),
    releaseHold: client.releaseHold.bind(client),
    signCrl: (params: Parameters<typeof client.signCrl>[0]) =>
      keydAway ? Promise.reject(new KeysteadError('keyd.unreachable')) : client.signCrl(params),
  }),
};

before(async () => {
  const urls = { crl: 'http://crl.example/{ca}.crl' };
  const revocation = { crlSeconds: 3600, crlRefreshSeconds: 1200, lists: { shards: SHARDS, delta: DELTA } };
  bed = await DomainBed.make(interposed, { urls, revocation });
});
after(() => bed.remove());

const pathOf = (list: string): string => join(dirname(bed.crlPath('operational')), `${list}.crl`);
const numbersOf = (issuer: 'operational' | 'server'): Map<string, number> =>
  new Map(bed.store.read((records) => records.crlLists(issuer)).map(({ list, number }) => [list, number]));

/** A list as openssl prints it after it has verified it. */
function printed(list: string): string {
  const ca = join(bed.keyd.rehearsal.dir, 'issuer.pem');
  writeFileSync(ca, toPem('CERTIFICATE', bed.cas.operational));
  const args = ['crl', '-inform', 'DER', '-in', pathOf(list), '-CAfile', ca, '-noout', '-text'];
  const { stdout, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
  assert.match(stderr, /verify OK/);
  return stdout;
}

const ALL = [undefined, ...shardsOf(SHARDS)].flatMap((shard) =>
  [false, true].map((delta) => crlListName({ issuer: 'operational', shard, delta })),
);

test('TEST-KEY-08 all lists of a CA are there from the first start: of all, of each partition, and the delta CRL of each', () => {
  assert.deepEqual([...numbersOf('operational').keys()].sort(), [...ALL].sort());
  for (const list of ALL) assert.match(printed(list), /No Revoked Certificates/);
  const files = readdirSync(dirname(pathOf('operational'))).filter((name) => name.startsWith('.'));
  assert.deepEqual(files, [], 'nothing half done lies about');
});

test('TEST-KEY-08 a revoked certificate is on the list of all, on that of its partition and on their delta CRLs when the answer comes', async () => {
  const device = await bed.device('KS-0001');
  const { serial } = await bed.enrol(device);
  const actor = { kind: 'operator', id: 'ada' } as const;
  const order = { selector: { serial }, reason: 'superseded', actor, requestId: 'r-1' } as const;
  assert.equal((await bed.authority.revoke(order)).onCrl, true);
  const mine = shardIndex(serial, SHARDS);
  for (const shard of [undefined, ...shardsOf(SHARDS)]) {
    for (const delta of [false, true]) {
      const text = printed(crlListName({ issuer: 'operational', shard, delta }));
      assert.equal(text.includes(serial.toUpperCase()), shard === undefined || shard.index === mine);
    }
  }
  const entry = bed.entries('crl.published').at(-1);
  assert.match(String(entry?.detail?.lists), /operational-delta \d+, operational-0-of-3 \d+/);
});

test('TEST-KEY-08 delta CRLs alone are made when they are due, and full ones before they end; numbers only go up', async () => {
  const before = numbersOf('operational');
  bed.clock.advance(DELTA.refreshSeconds + 1);
  await bed.authority.tick();
  const then = numbersOf('operational');
  for (const list of ALL) {
    if (list.endsWith('-delta')) assert.ok((then.get(list) ?? 0) > (before.get(list) ?? 0), list);
    else assert.equal(then.get(list), before.get(list), list);
  }
  bed.clock.advance(1200 - DELTA.refreshSeconds);
  await bed.authority.tick();
  await bed.restart(interposed);
  const last = numbersOf('operational');
  for (const list of ALL) {
    assert.ok((last.get(list) ?? 0) > (then.get(list) ?? 0), list);
    printed(list);
  }
});

test('TEST-KEY-08 a publication that is missed is loud: each round fails with the list and when it ends, and the end is an entry of the log', async () => {
  await bed.authority.tick();
  keydAway = true;
  bed.clock.advance(DELTA.refreshSeconds + 1);
  await assert.rejects(bed.authority.tick(), { code: 'crl.late', field: /-delta$/, seen: /which ends at/ });
  assert.equal(bed.entries('crl.missed').length, 0);
  bed.clock.advance(DELTA.seconds);
  await assert.rejects(bed.authority.tick(), { code: 'crl.late', seen: /which ended at/ });
  const missed = bed.entries('crl.missed').length;
  assert.ok(missed >= SHARDS + 1);
  assert.equal(await codeOf(bed.authority.tick()), 'crl.late');
  assert.equal(bed.entries('crl.missed').length, missed, 'once');
  keydAway = false;
  await bed.authority.tick();
  assert.match(printed('operational-delta'), /Delta CRL Indicator/);
});

test('a CRL whose file is lost or damaged is made anew at the start, and so is one that was recorded and did not come into place', async () => {
  writeFileSync(pathOf('operational-1-of-3'), 'half a file');
  const before = numbersOf('operational');
  await bed.restart(interposed);
  assert.match(printed('operational-1-of-3'), /Issuing Distribution Point/);
  assert.ok((numbersOf('operational').get('operational') ?? 0) > (before.get('operational') ?? 0));
  assert.ok(existsSync(pathOf('server')) && readFileSync(pathOf('server')).length > 100);
});
