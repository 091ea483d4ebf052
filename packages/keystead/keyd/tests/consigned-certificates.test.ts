import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type DerCertificate, toBase64, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import {
  contentsSha256,
  parseConsignment,
  parseReceipt,
  parseTicket,
  signConsignment,
  signSeal,
} from '@keystead/core/lifecycle';
import { type Profile, readCertificate } from '@keystead/core/x509';
import { profileFault } from '../consigned/certificate-profile.ts';
import { KeydBed, makeKey } from './bed.ts';
import { commissioned, TestNode } from './factory-bed.ts';

/** Certificates that the key of a sub-CA made, and the keyd of its node would not: headquarters takes them in, and believes none. */
let bed: KeydBed;
let berlin: Consigning;

/** A factory that consigns. */
interface Consigning {
  readonly node: TestNode;
  readonly sub: DerCertificate;
  readonly ticket: string;
  previous: string | null;
  number: number;
}

async function consigning(name: string): Promise<Consigning> {
  const node = await TestNode.make(name);
  const sub = (await commissioned(bed, node)).certified.manufacturing.certificate;
  const ticket = await bed.ticket({ id: `batch-${name}`, factory: name });
  return { node, sub, ticket, previous: null, number: 0 };
}

before(async () => {
  bed = await KeydBed.make({ factory: {} });
  berlin = await consigning('berlin-1');
});
after(() => bed.remove());

const sane = (profile: Profile): Profile => profile;

/** Consigns one unit whose certificate is made by a changed profile. @returns what the receipt says against it. */
async function take(
  of: Consigning,
  deviceId: string,
  { changed = sane, key = makeKey(), at = bed.clock.now(), believed = true } = {},
): Promise<string[]> {
  const { node, sub, ticket, previous } = of;
  const { certificate, unit } = await node.idevid(bed, sub, deviceId, key, node.name, changed);
  const record = `device: "${deviceId}" ${unit.serial}\n`;
  of.number += 1;
  const { number } = of;
  const { sha256: ticketSha256, ticket: terms } = parseTicket(ticket);
  const consignment = await signConsignment(
    {
      ...{ factory: node.name, number, previousSha256: previous, madeAt: bed.clock.now().toISOString() },
      journal: { from: number, to: number },
      units: [
        {
          ...{ deviceId, serial: unit.serial as never, spkiSha256: unit.spkiSha256 as never },
          recordSha256: toHex(sha256(Buffer.from(record))),
          ticket: { id: terms.id, sha256: ticketSha256 },
          keyOrigin: 'proof-of-possession',
          at: at.toISOString(),
        },
      ],
      tickets: [],
      counter: { kind: 'none', value: 0 },
      checkpoint: null,
    },
    node.keys.evidence.signer,
  );
  of.previous = parseConsignment(consignment).sha256;
  const signature = toBase64(await node.keys.evidence.signer.sign(Buffer.from(record)));
  const packed = { tickets: [ticket], contents: [{ certificate: toBase64(certificate), record, signature }] };
  const hashes = { consignmentSha256: of.previous, contentsSha256: contentsSha256(packed) };
  const seal = await signSeal({ factory: node.name, number, ...hashes }, node.keys.evidence.signer);
  const taken = await bed.client.takeConsignment({
    ...{ consignment, ...packed, seal, seen: [], requestId: `take-${number}` },
  });
  const { quarantined } = parseReceipt(taken.receipt).content;
  const conflicts = quarantined.flatMap((one) => one.conflicts).map((one) => `${one.conflict} ${one.with}`);
  if (!believed) await assert.rejects(bed.enrol(deviceId, certificate), { code: 'requester.unproven' });
  else if (conflicts.length === 0) await bed.enrol(deviceId, certificate);
  else await assert.rejects(bed.enrol(deviceId, certificate), { code: 'requester.quarantined' });
  return conflicts;
}

test('TEST-KEY-19 headquarters takes what the profile gives, and quarantines each certificate of the sub-CA that has something else in it, with what it is', async () => {
  assert.deepEqual(await take(berlin, 'KS-0001'), []);
  const cases: [RegExp, (profile: Profile) => Profile][] = [
    [
      /^certificate-differs profile-extended-key-usage: .*serverAuth/,
      (p) => ({ ...p, extKeyUsage: ['clientAuth', 'serverAuth'] }),
    ],
    [/^certificate-differs profile-key-usage: /, (p) => ({ ...p, keyUsage: ['digitalSignature', 'keyAgreement'] })],
    // Another O or OU is nothing that a verifier would let through; keyd of headquarters compares the whole subject.
    [
      /^certificate-differs the subject (?!.*serialNumber).*KS-0012/,
      (p) => ({ ...p, subject: { ...p.subject, serialNumber: undefined } }),
    ],
    [
      /^certificate-differs profile-validity: an end/,
      (p) => ({ ...p, validity: { seconds: 86_400, backdateSeconds: 0 } }),
    ],
  ];
  for (const [index, [said, changed]] of cases.entries()) {
    const [first = '', ...more] = await take(berlin, `KS-001${index}`, { changed });
    assert.match(first, said);
    assert.deepEqual(more, []);
  }
});

test('another name, another organization or the device of another factory is none that the profile gives; a policy of before is as good as the one in force', async () => {
  const { certificate } = await berlin.node.idevid(bed, berlin.sub, 'KS-0020');
  const [info, issuer] = [readCertificate(certificate), readCertificate(berlin.sub)];
  const of = { factory: 'berlin-1', deviceId: 'KS-0020' };
  const other = { ...bed.policy, profiles: bed.policy.profiles.map((one) => ({ ...one, extKeyUsage: [] })) };
  assert.equal(profileFault(info, of, [issuer], [other, bed.policy]), undefined);
  assert.match(profileFault(info, of, [issuer], [other]) ?? '', /^profile-extended-key-usage: /);
  for (const name of ['DNS:hq.example', 'URI:urn:keystead:device:KS-0001']) {
    const more = { ...info, san: [...info.san, name] };
    assert.match(profileFault(more, of, [issuer], [bed.policy]) ?? '', /^the alternative names /, name);
  }
  assert.match(profileFault({ ...info, san: [] }, of, [issuer], [bed.policy]) ?? '', /^the alternative names /);
  for (const type of ['O', 'OU', 'CN']) {
    const rdns = info.subject.rdns.map((one) => (one.type === type ? { ...one, value: 'another' } : one));
    assert.match(profileFault({ ...info, subject: { rdns } }, of, [issuer], [bed.policy]) ?? '', /^the subject /, type);
  }
  assert.match(profileFault(info, { ...of, factory: 'lyon-2' }, [issuer], [bed.policy]) ?? '', /^the subject /);
});

test('a unit that is believed and comes again with a certificate of another kind is in quarantine with both', async () => {
  const key = makeKey();
  assert.deepEqual(await take(berlin, 'KS-0002', { key }), []);
  assert.deepEqual(await take(berlin, 'KS-0002', { key }), []);
  const [said = ''] = await take(berlin, 'KS-0002', {
    key,
    changed: (p) => ({ ...p, extKeyUsage: ['clientAuth', 'serverAuth'] }),
  });
  assert.match(said, /^certificate-differs /);
});

test('of a factory that was closed, what was made before comes as late as it may, and what was made after is in quarantine', async () => {
  const before = bed.clock.now();
  bed.clock.advance(60);
  await commissioned(bed, berlin.node, { act: 'close' });
  const key = makeKey();
  assert.deepEqual(await take(berlin, 'KS-0003', { at: before, key }), []);
  bed.clock.advance(1);
  const known = await take(berlin, 'KS-0003', { key });
  assert.match(known.join(), /^after-close /, 'another certificate for a device that is known');
  const [said = '', ...more] = await take(berlin, 'KS-0004');
  assert.match(said, /^after-close berlin-1 closed 20/);
  assert.deepEqual(more, []);
});

test('of one that was closed with revocation, what was made before is taken for the records and not believed, and what was made after is in quarantine', async () => {
  const lyon = await consigning('lyon-2');
  const before = bed.clock.now();
  bed.clock.advance(60);
  await commissioned(bed, lyon.node, { act: 'close', revoke: true });
  assert.deepEqual(await take(lyon, 'KS-0005', { at: before, believed: false }), []);
  bed.clock.advance(1);
  const [said = ''] = await take(lyon, 'KS-0006', { believed: false });
  assert.match(said, /^after-close lyon-2 closed 20/);
});
