import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DerCertificate } from '../../../bytes/index.ts';
import { type CertificateInfo, readCertificate } from '../../certificate.ts';
import { readRevocationList } from '../../crl/list.ts';
import { context, contextPrimitive, namedBits, tlv } from '../../der/writer.ts';
import { CertificateBag } from '../../path/build.ts';
import { findPath } from '../../path/check.ts';
import {
  crlPoints,
  distributionPoint,
  dn,
  END,
  extension,
  type ForgedCertificate,
  Forger,
  forge,
  forgeCrl,
  NOW,
  START,
} from '../../tests/forge.ts';
import { checkRevocation, type RevocationEvidence, type RevocationOptions } from '../check.ts';
import { RevocationLists } from '../lists.ts';

const root = forge({ subject: ['CN=root'], ca: true });
const ca = forge({ subject: ['CN=ca'], ca: true, by: root });
const leaf = forge({ subject: ['CN=leaf'], by: ca });
const rootList = forgeCrl({ by: root });

/** 'good', or the rule and the depth at which the path of `end` is refused. */
function judged(
  crls: readonly Uint8Array[],
  v: {
    end?: ForgedCertificate;
    bag?: readonly ForgedCertificate[];
    evidence?: RevocationEvidence;
  } & Partial<Omit<RevocationOptions, 'bag'>> = {},
): string {
  const { end = leaf, bag = [], evidence, ...options } = v;
  const known = new CertificateBag([root, ca, ...bag].map(({ der }) => readCertificate(der)));
  const path = findPath(readCertificate(end.der), known, new CertificateBag([readCertificate(root.der)]), { now: NOW });
  assert.ok(path.ok);
  const lists = new RevocationLists(crls.map(readRevocationList));
  const result = checkRevocation(path.chain, { lists, ...evidence }, { now: NOW, bag: known, ...options });
  return result.ok ? 'good' : `${result.rule} ${result.depth}`;
}
const list = (v: Partial<Parameters<typeof forgeCrl>[0]> = {}): Uint8Array => forgeCrl({ by: ca, ...v });
const revoking = (serial: number, reason = 1) => ({ revoked: [{ serial, reason }] });

test('TEST-KEY-07 each certificate of the path is judged: leaf and CA revoked, or of no known status, are refused', () => {
  assert.equal(judged([rootList, list()]), 'good');
  assert.equal(judged([rootList, list(revoking(leaf.serial))]), 'revoked 0');
  assert.equal(judged([forgeCrl({ by: root, ...revoking(ca.serial, 2) }), list()]), 'revoked 1');
  assert.equal(judged([rootList]), 'status-unavailable 0');
  assert.equal(judged([list()]), 'status-unavailable 1');
  assert.equal(judged([list()], { cover: 'leaf' }), 'good');
  assert.equal(judged([rootList, list(revoking(leaf.serial + 1))]), 'good', 'another serial number');
});

test('TEST-KEY-07 a CRL past its end tells a status within the tolerated window and not a second longer', () => {
  const ended = list({ nextUpdate: new Date(NOW.getTime() - 60_000) });
  assert.equal(judged([rootList, ended]), 'status-stale 0');
  assert.equal(judged([rootList, ended], { tolerateSeconds: 59 }), 'status-stale 0');
  assert.equal(judged([rootList, ended], { tolerateSeconds: 60 }), 'good');
  const revoked = list({ nextUpdate: new Date(NOW.getTime() - 60_000), ...revoking(leaf.serial) });
  assert.equal(judged([rootList, revoked], { tolerateSeconds: 60 }), 'revoked 0');
  assert.equal(
    judged([rootList, list({ thisUpdate: new Date(NOW.getTime() + 61_000) })]),
    'status-stale 0',
    'of the future',
  );
});

test('of two lists in their time the newer one tells', () => {
  const older = list({ number: 1 });
  const newer = list({ number: 2, thisUpdate: new Date(NOW.getTime() - 1000), ...revoking(leaf.serial) });
  for (const pair of [
    [older, newer],
    [newer, older],
  ])
    assert.equal(judged([rootList, ...pair]), 'revoked 0');
});

test('a list that another key signed, or that has a changed byte, tells nothing', () => {
  assert.equal(judged([rootList, list({ key: new Forger() })]), 'status-unverified 0');
  const changed = list();
  changed[changed.length - 3] = (changed[changed.length - 3] ?? 0) ^ 1;
  assert.equal(judged([rootList, changed]), 'status-unverified 0');
});

test('a namesake of the CA under another CA of the same anchor may not tell the status of its certificates', () => {
  const other = forge({ subject: ['CN=other'], ca: true, by: root });
  const namesake = forge({ subject: ['CN=ca'], by: other, keyUsage: ['cRLSign'] });
  const lists = [rootList, forgeCrl({ by: other }), forgeCrl({ by: namesake })];
  assert.equal(judged(lists, { bag: [other, namesake] }), 'status-unverified 0');
  const own = forge({ subject: ['CN=ca'], by: root, keyUsage: ['cRLSign'] });
  assert.equal(
    judged([rootList, forgeCrl({ by: own })], { bag: [own] }),
    'good',
    'a CRL key that the CA above certified',
  );
  const revokedSigner = forgeCrl({ by: root, ...revoking(own.serial) });
  assert.equal(judged([revokedSigner, forgeCrl({ by: own })], { bag: [own] }), 'status-unverified 0');
});

test('a CRL key that was stolen cannot call itself good, in whatever new list, nor what it signs after', () => {
  const stolen = forge({ subject: ['CN=ca'], by: ca, keyUsage: ['cRLSign'] });
  const byCa = list({ number: 2, ...revoking(stolen.serial) });
  const later = new Date(NOW.getTime() - 1000);
  const byThief = forgeCrl({ by: stolen, number: 9, thisUpdate: later });
  // The CA's own list is newer or older, there or not: the thief's tells nothing.
  assert.equal(judged([rootList, byCa, byThief], { bag: [stolen] }), 'good', "by the CA's own list");
  const leafToo = list({ number: 2, revoked: [stolen, leaf].map(({ serial }) => ({ serial, reason: 1 })) });
  assert.equal(judged([rootList, leafToo, byThief], { bag: [stolen] }), 'revoked 0');
  assert.equal(judged([rootList, byThief], { bag: [stolen] }), 'status-unverified 0');
  assert.equal(judged([rootList, byThief], { bag: [stolen], end: stolen }), 'status-unverified 0');
});

test('a key that is not meant for CRLs signs none', () => {
  const mute = forge({ subject: ['CN=mute'], ca: true, by: root, keyUsage: ['keyCertSign'] });
  const end = forge({ by: mute });
  assert.equal(judged([rootList, forgeCrl({ by: mute })], { end, bag: [mute] }), 'status-unverified 0');
});

test('a delta CRL carries its base on: adds, takes back from hold, and is of no use without the base', () => {
  const held = list({ number: 5, ...revoking(leaf.serial, 6) });
  const delta = (v: Parameters<typeof list>[0]) => list({ base: 5, number: 6, ...v });
  assert.equal(judged([rootList, list({ number: 5 }), delta(revoking(leaf.serial))]), 'revoked 0');
  assert.equal(judged([rootList, held, delta(revoking(leaf.serial, 8))]), 'good', 'removeFromCRL');
  assert.equal(judged([rootList, held, delta({})]), 'revoked 0');
  assert.equal(judged([rootList, delta({})]), 'status-unavailable 0', 'a delta alone');
  assert.equal(
    judged([rootList, list({ number: 4 }), delta(revoking(leaf.serial))]),
    'good',
    'of a later base: not of this one',
  );
  assert.equal(
    judged([rootList, held, delta({ key: new Forger(), ...revoking(leaf.serial, 8) })]),
    'revoked 0',
    'forged',
  );
});

test('a partition is for the certificates that name it alone, and reasons must be covered together', () => {
  const [one, two] = ['http://crl.example/1.crl', 'http://crl.example/2.crl'];
  const uri = (url: string) => context(0, context(0, contextPrimitive(6, Buffer.from(url, 'latin1'))));
  const end = forge({ by: ca, extensions: [crlPoints(distributionPoint({ url: one }))] });
  assert.equal(judged([rootList, list({ point: [uri(one)] })], { end }), 'good');
  assert.equal(
    judged([rootList, list({ point: [uri(two)], ...revoking(end.serial) })], { end }),
    'status-unavailable 0',
  );
  assert.equal(judged([rootList, list({ point: [uri(one)], ...revoking(end.serial) })], { end }), 'revoked 0');
  const some = (bits: number[]) => tlv(0x83, namedBits(bits).subarray(2));
  const compromise = list({ point: [some([1, 2])] });
  const others = list({ point: [some([3, 4, 5, 6, 7, 8])] });
  assert.equal(judged([rootList, compromise]), 'status-partial 0');
  assert.equal(judged([rootList, compromise, others]), 'good');
  assert.equal(
    judged([rootList, list({ point: [tlv(0x82, Uint8Array.of(0xff))] })]),
    'status-unavailable 0',
    'for CAs only',
  );
});

test('an indirect CRL tells of certificates by the issuer that each entry names', () => {
  const teller = forge({ subject: ['CN=teller'], by: root, keyUsage: ['cRLSign'] });
  const end = forge({ by: ca, extensions: [crlPoints(distributionPoint({ crlIssuer: teller.subject }))] });
  const indirect = tlv(0x84, Uint8Array.of(0xff));
  const told = (issuer: Uint8Array | undefined, point: Uint8Array[] = [indirect]) =>
    judged([rootList, forgeCrl({ by: teller, point, revoked: [{ serial: end.serial, issuer }] })], {
      end,
      bag: [teller],
    });
  assert.equal(told(ca.subject), 'revoked 0');
  assert.equal(told(dn('CN=elsewhere')), 'good');
  assert.equal(told(undefined), 'good', 'an entry of the teller itself');
  assert.equal(told(undefined, []), 'status-unavailable 0', 'a list that is not indirect');
});

test('a critical extension that is not processed makes a list tell nothing', () => {
  const strange = list({ extensions: [extension('1.2.3.4', true, Uint8Array.of(5, 0))] });
  assert.equal(judged([rootList, strange]), 'status-unprocessed 0');
});

test('a filter refuses, vouches or stays silent, and revoked by one source wins over good by another', () => {
  const filter = (verdict: 'revoked' | 'good' | 'not-covered') => ({ filter: { verdict: () => verdict } });
  assert.equal(judged([rootList, list()], { evidence: filter('revoked') }), 'revoked 1');
  assert.equal(judged([rootList, list(revoking(leaf.serial))], { evidence: filter('good') }), 'revoked 0');
  assert.equal(judged([], { evidence: filter('good') }), 'good');
  assert.equal(judged([], { evidence: filter('not-covered') }), 'status-unavailable 1');
  const seen: string[] = [];
  const watching = {
    filter: {
      verdict(certificate: CertificateInfo, issuer: CertificateInfo): 'good' {
        seen.push(`${certificate.serial} ${issuer.serial}`);
        return 'good';
      },
    },
  };
  judged([], { evidence: watching });
  const hex = (n: ForgedCertificate) => readCertificate(n.der as DerCertificate).serial;
  assert.deepEqual(seen, [`${hex(ca)} ${hex(root)}`, `${hex(leaf)} ${hex(ca)}`]);
});

test('a crowd of would-be signers of a CRL ends in bounded time', () => {
  const key = new Forger();
  const crowd = Array.from({ length: 60 }, () =>
    forge({ subject: ['CN=ca'], by: root, key, keyUsage: ['cRLSign'], notAfter: END }),
  );
  const lists = Array.from({ length: 30 }, (_, i) => list({ key, number: i + 1, thisUpdate: START }));
  const started = performance.now();
  // Nobody tells the status of the crowd itself.
  assert.notEqual(judged([...lists], { bag: crowd, cover: 'leaf' }), 'good');
  assert.ok(performance.now() - started < 5000);
});
