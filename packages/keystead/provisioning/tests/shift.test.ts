import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import type { AppendAudit, StationClient } from '../../access/index.ts';
import { appendAudit } from '../../audit/index.ts';
import { codeOf, DomainBed } from '../../authority/tests/bed.ts';
import { ST_3, signOnOf, stationCertificate } from '../../keyd/tests/station-bed.ts';
import { Stations } from '../station/index.ts';

let bed: DomainBed;
let client: StationClient;
/** What keyd says of the sign-on that is to be ended; undefined where it is the real one that answers. */
let refusal: KeysteadError | undefined;
let stations: Stations;
before(async () => {
  bed = await DomainBed.make();
  const { store, provisioning, refusals } = bed;
  const { clock, policy, client: keyd } = bed.keyd;
  const audit: AppendAudit = (tx, event) => appendAudit(tx, event, clock);
  const signOff: typeof keyd.signOff = async (params) => {
    if (refusal !== undefined) throw refusal;
    return keyd.signOff(params);
  };
  stations = new Stations({
    ...{ store, provisioning, refusals, audit, clock, policy },
    keyd: { signOff, status: () => keyd.status() },
    site: 'headquarters',
  });
  const certificate = await stationCertificate(bed.keyd);
  const { serial, spkiSha256 } = readCertificate(certificate);
  client = { kind: 'station', id: ST_3, certificate, issuer: 'server', serial, spkiSha256, profile: 'station' };
});
after(() => bed.remove());

const signOn = async () => stations.signOn({ client, requestId: 'on' }, await signOnOf(bed.keyd), bed.keyd.clock.now());

test('TEST-KEY-17 who was dismissed while signed on does not keep their successor from the station', async () => {
  for (const code of ['sign-on.signer-unknown', 'sign-on.signer-forbidden', 'sign-on.too-long'] as const) {
    const dismissed = await signOn();
    refusal = new KeysteadError(code, { field: 'signer', seen: 'lin' });
    const next = await signOn();
    refusal = undefined;
    assert.deepEqual(
      stations.open().map(({ sha256 }) => sha256),
      [next.sha256],
    );
    assert.notEqual(next.sha256, dismissed.sha256);
    const ended = bed.entries('station.signed-off').at(-1);
    assert.deepEqual([ended?.detail?.sha256, ended?.detail?.operator], [dismissed.sha256, 'lin']);
  }
});

test('TEST-KEY-17 where keyd does not answer, nobody is relieved', async () => {
  const standing = await signOn();
  refusal = new KeysteadError('keyd.unreachable');
  assert.equal(await codeOf(signOn()), 'keyd.unreachable');
  refusal = undefined;
  assert.deepEqual(
    stations.open().map(({ sha256 }) => sha256),
    [standing.sha256],
  );
});
