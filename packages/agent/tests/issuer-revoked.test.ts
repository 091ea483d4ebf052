import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '@keystead/core/clock';
import {
  altNames,
  crlPoints,
  distributionPoint,
  type ForgedCertificate,
  forge,
  forgeCrl,
  NOW,
} from '../../core/x509/tests/forge.ts';
import { type Credential, CrlCache, issuerRevoked } from '../index.ts';

/** When a device may enrol around the refusal of its own certificate: then alone when a CA above it was revoked. */
const clock = new SimulatedClock(NOW);
const point = (name: string): Uint8Array => crlPoints(distributionPoint({ url: `http://crl.example/${name}` }));
const root = forge({ subject: ['CN=root'], ca: true });
const ca = forge({ subject: ['CN=ca'], ca: true, by: root, extensions: [point('root.crl')] });
const ldevid = forge({
  subject: ['CN=pump-1'],
  by: ca,
  extKeyUsage: ['clientAuth'],
  extensions: [altNames('URI:urn:keystead:device:pump-1'), point('ca.crl')],
});
const current: Credential = {
  ...{ keyId: 'ldevid', certificate: ldevid.der, chain: [ca.der], receivedAt: NOW.toISOString() },
};

/** What the device finds out with these CRLs at hand and no others. */
const found = (lists: Readonly<Record<string, Uint8Array>>, anchor = root): Promise<boolean> => {
  const crls = new CrlCache({
    clock,
    get: async (url) => {
      const der = lists[url.split('/').at(-1) ?? ''];
      if (der === undefined) throw new Error('nobody answers');
      return { der, etag: undefined };
    },
  });
  return issuerRevoked(current, { anchors: [anchor.der], clock, crls });
};
const list = (by: ForgedCertificate, ...revoked: ForgedCertificate[]): Uint8Array =>
  forgeCrl({
    ...{ by, number: 1, thisUpdate: NOW, nextUpdate: new Date(NOW.getTime() + 3_600_000) },
    revoked: revoked.map(({ serial }) => ({ serial, reason: 1 })),
  });

test('TEST-KEY-14 a device enrols around a refusal only when a list of those above says that its CA is revoked: not for its own revocation, not on a list that is forged, old or away', async () => {
  assert.equal(await found({ 'root.crl': list(root, ca) }), true);
  assert.equal(await found({ 'root.crl': list(root), 'ca.crl': list(ca, ldevid) }), false, 'its own certificate');
  assert.equal(await found({ 'ca.crl': list(ca, ldevid) }), false, 'the list of the root is away');
  assert.equal(await found({}), false);
  const namesake = forge({ subject: ['CN=root'], ca: true });
  assert.equal(await found({ 'root.crl': list(namesake, ca) }), false, 'by a namesake of the root');
  assert.equal(await found({ 'root.crl': list(ca, ca) }), false, 'by the CA itself');
  assert.equal(await found({ 'root.crl': list(root, ldevid) }), false, 'another serial number');
  assert.equal(await found({ 'root.crl': list(root, ca) }, namesake), false, 'a path that leads to no anchor');
  clock.advance(2 * 3600);
  assert.equal(await found({ 'root.crl': list(root, ca) }), false, 'a list that has ended');
});
