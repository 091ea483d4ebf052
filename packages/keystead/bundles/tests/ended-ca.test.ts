import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DerCertificate, SpkiSha256 } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { signKeyOrder } from '@keystead/core/lifecycle';
import { CarriedFilter, decodeFilter, encodeFilter } from '@keystead/core/trust';
import { newSerial, readCertificate } from '@keystead/core/x509';
import { makeKey } from '../../keyd/tests/bed.ts';
import type { TrustBed } from '../../keyd/tests/trust-bed.ts';
import type { StoreBed } from '../../store/tests/bed.ts';
import type { BundlePublisher } from '../publisher.ts';
import { makePublisherBed, publisherOn, removePublisherBed } from './bed.ts';

const asked = { actor: { kind: 'operator' as const, id: 'ca' }, requestId: 'test' };
let bed: TrustBed;
let records: StoreBed;
let publisher: BundlePublisher;
let issuer: SpkiSha256;
const pass = (seconds: number) => bed.keyd.clock.set(new Date(bed.keyd.clock.now().getTime() + seconds * 1000));

/** What the newest bundle names, with all that it changes. */
async function carried(): Promise<CarriedFilter> {
  const [base, ...deltas] = (await publisher.files.chain(publisher.last()?.filterSha256 ?? '', 24)) ?? [];
  assert.ok(base);
  return CarriedFilter.open(base, deltas);
}

before(async () => {
  ({ bed, records } = await makePublisherBed());
  publisher = publisherOn({ bed, records });
  await publisher.start();
  const { issuers } = await bed.keyd.client.trust();
  issuer = spkiSha256(
    readCertificate((issuers.find(({ id }) => id === 'operational') ?? assert.fail()).certificate).spki,
  );
});
after(() => removePublisherBed({ bed, records }, publisher));

test('TEST-KEY-10 when the key of a CA is reported compromised the next filter is urgent, and says revoked of all that it signed and of what a thief may have it sign; keyd signs none that calls any of it good', async () => {
  const { certificate } = await bed.keyd.provision('KS-0001', await bed.keyd.ticket());
  const enrol = async () =>
    readCertificate((await bed.keyd.enrol('KS-0001', certificate as DerCertificate, makeKey())).certificate).serial;
  const [good, revoked] = [await enrol(), await enrol()];
  const entries = [{ serial: revoked, revokedAt: bed.keyd.clock.now(), reason: 'keyCompromise' as const }];
  await bed.keyd.client.listRevocations({ issuer: 'operational', entries });
  pass(3700);
  await publisher.publish(await bed.approved(await bed.order(1, await bed.content())), asked);
  assert.deepEqual(
    [good, revoked].map((serial) => [serial, serial === revoked]),
    await carried().then((filter) => [good, revoked].map((serial) => [serial, filter.says(issuer, serial)])),
  );
  const order = await signKeyOrder(
    { spkiSha256: issuer, change: 'compromise', reason: 'a drill', after: 0, at: bed.keyd.clock.now() },
    'ca',
    bed.people.ca.signer,
  );
  pass(10);
  const before = await publisher.files.filter(publisher.last()?.filterSha256 ?? '');
  assert.ok(before);
  await bed.keyd.client.changeKey({ order, requestId: 'stop' });
  assert.equal((await bed.keyd.client.trustStatus()).urgent, true);
  const file = decodeFilter(before);
  const date = bed.now;
  const later = encodeFilter({ ...file, date, through: date - 420, expires: date + file.expires - file.date });
  await assert.rejects(bed.keyd.client.signTrustBundle({ statements: [], filter: [later], requestId: 'hidden' }), {
    code: 'trust-bundle.filter-refused',
    seen: /operational is believed no more/,
  });
  await publisher.tick();
  const filter = await carried();
  assert.equal(filter.saysOfAll(issuer), true);
  for (const serial of [good, revoked, newSerial(), newSerial()]) assert.equal(filter.says(issuer, serial), true);
  assert.equal((await bed.keyd.client.trustStatus()).urgent, false);
  // The next one goes on from there.
  pass(3700);
  await publisher.tick();
  assert.equal((await carried()).saysOfAll(issuer), true);
});
