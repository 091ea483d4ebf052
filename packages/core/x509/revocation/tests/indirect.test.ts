import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCertificate } from '../../certificate.ts';
import { readRevocationList } from '../../crl/list.ts';
import { tlv } from '../../der/writer.ts';
import { CertificateBag } from '../../path/build.ts';
import { findPath } from '../../path/check.ts';
import {
  type CrlWish,
  crlPoints,
  distributionPoint,
  dn,
  END,
  type ForgedCertificate,
  Forger,
  forge,
  forgeCrl,
  NOW,
  START,
} from '../../tests/forge.ts';
import { checkRevocation } from '../check.ts';
import { RevocationLists } from '../lists.ts';

const TELLER = ['O=Acme', 'CN=root CRL signer'];
const indirectly = { extensions: [crlPoints(distributionPoint({ crlIssuer: dn(...TELLER) }))] };
const root = forge({ subject: ['CN=root'], ca: true });
const teller = forge({ subject: TELLER, by: root, keyUsage: ['cRLSign'] });
const ca = forge({ subject: ['CN=operational'], ca: true, by: root, ...indirectly });
const sibling = forge({ subject: ['CN=manufacturing'], ca: true, by: root, ...indirectly });
const later = new Date(START.getTime() + 3_600_000);

const indirect = (v: Partial<CrlWish> = {}): Uint8Array =>
  forgeCrl({ by: teller, point: [tlv(0x84, Uint8Array.of(0xff))], ...v });
const own = (v: Partial<CrlWish> = {}): Uint8Array => forgeCrl({ by: root, ...v });
const entry = (of: ForgedCertificate, issuer: Uint8Array = root.subject) => ({ serial: of.serial, reason: 2, issuer });
const direct = (of: ForgedCertificate) => ({ serial: of.serial, reason: 2 });

/** 'good', or the rule by which `ca` is refused. */
function judged(crls: readonly Uint8Array[], bag: readonly ForgedCertificate[] = [teller], of = ca): string {
  const known = new CertificateBag([root, ca, sibling, ...bag].map(({ der }) => readCertificate(der)));
  const path = findPath(readCertificate(of.der), known, new CertificateBag([readCertificate(root.der)]), { now: NOW });
  assert.ok(path.ok);
  const lists = new RevocationLists(crls.map(readRevocationList));
  const result = checkRevocation(path.chain, { lists }, { now: NOW, bag: known });
  return result.ok ? 'good' : result.rule;
}

test('TEST-KEY-07 a CA that names an indirect CRL is revoked when either that list or the own list of its root says so', () => {
  assert.equal(judged([own(), indirect()]), 'good');
  assert.equal(judged([own(), indirect({ revoked: [entry(ca)] })]), 'revoked');
  assert.equal(judged([own({ revoked: [direct(ca)] }), indirect()]), 'revoked');
  const newest = { thisUpdate: later };
  assert.equal(judged([own(newest), indirect({ revoked: [entry(ca)] })]), 'revoked', 'the clean one is newer');
  assert.equal(judged([own({ revoked: [direct(ca)] }), indirect(newest)]), 'revoked', 'the other way round');
});

test('TEST-KEY-07 who has one of the two lists alone takes nobody for good', () => {
  assert.equal(judged([own()]), 'status-unavailable');
  assert.equal(judged([own({ revoked: [direct(ca)] })]), 'revoked');
  // The signer's own status stands on the root's list: without that the signer is nobody, whatever it says.
  assert.equal(judged([indirect()]), 'status-unverified');
  assert.equal(judged([indirect({ revoked: [entry(ca)] })]), 'status-unverified');
});

test('TEST-KEY-07 an indirect CRL that has ended tells nothing, not even with the own list of the root beside it', () => {
  const ended = { nextUpdate: new Date(NOW.getTime() - 1000) };
  assert.equal(judged([own(), indirect(ended)]), 'status-stale');
  assert.equal(judged([own(), indirect(ended), indirect({ ...ended, revoked: [entry(ca)] })]), 'status-stale');
});

test('TEST-KEY-07 an indirect CRL of a key without that certificate tells nothing', () => {
  assert.equal(judged([own(), indirect({ key: new Forger() })]), 'status-unverified');
  assert.equal(judged([own(), indirect()], []), 'status-unverified', 'nobody knows the signer');
  const noSigner = forge({ subject: TELLER, by: root, keyUsage: ['digitalSignature'] });
  assert.equal(judged([own(), indirect({ by: noSigner })], [noSigner]), 'status-unverified', 'without cRLSign');
});

test('TEST-KEY-07 an indirect CRL of the right key tells nothing once its certificate has ended or is revoked', () => {
  const key = new Forger();
  const over = forge({ subject: TELLER, by: root, key, keyUsage: ['cRLSign'], notAfter: later });
  assert.equal(judged([own(), indirect({ by: over })], [over]), 'status-unverified');
  const renewed = forge({ subject: TELLER, by: root, key, keyUsage: ['cRLSign'], notAfter: END });
  assert.equal(judged([own(), indirect({ by: over })], [over, renewed]), 'good', 'the key has a newer certificate');
  assert.equal(judged([own({ revoked: [direct(teller)] }), indirect()]), 'status-unverified');
});

test('TEST-KEY-07 a revoked CA cannot certify a signer who calls it good, nor can another CA beside it', () => {
  const newest = { thisUpdate: later };
  for (const by of [ca, sibling]) {
    const forged = forge({ subject: TELLER, by, keyUsage: ['cRLSign'] });
    const lists = [own(), forgeCrl({ by }), indirect({ by: forged, ...newest })];
    assert.equal(judged(lists, [forged]), 'status-unverified');
    assert.equal(judged([...lists, indirect({ revoked: [entry(ca)] })], [teller, forged]), 'revoked');
    // By way of a CA that bears the name of the root.
    const namesake = forge({ subject: ['CN=root'], by, ca: true });
    const second = forge({ subject: TELLER, by: namesake, keyUsage: ['cRLSign'] });
    const through = [
      ...lists,
      ...[forgeCrl({ by: namesake, ...newest }), indirect({ by: second, ...newest })],
      indirect({ revoked: [entry(ca), entry(sibling)] }),
    ];
    assert.equal(judged(through, [teller, forged, namesake, second]), 'revoked');
  }
});

test('TEST-KEY-07 an entry counts for the issuer that stands with it or with the nearest entry before it', () => {
  const serial = { serial: ca.serial, reason: 2 };
  const first = { serial: 1, issuer: root.subject };
  const other = { serial: 2, issuer: sibling.subject };
  assert.equal(judged([own(), indirect({ revoked: [entry(ca, sibling.subject)] })]), 'good', 'of another CA');
  assert.equal(judged([own(), indirect({ revoked: [serial] })]), 'good', 'before any: of the signer itself');
  assert.equal(judged([own(), indirect({ revoked: [first, serial] })]), 'revoked');
  assert.equal(judged([own(), indirect({ revoked: [first, other, serial] })]), 'good');
  assert.equal(judged([own(), indirect({ revoked: [other, serial, entry(ca)] })]), 'revoked');
});
