import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CertificationRequest } from '@peculiar/asn1-csr';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Certificate, type TBSCertificate } from '@peculiar/asn1-x509';
import fc from 'fast-check';
import { type DerCertificate, sameBytes, toHex } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { assembleSigned } from '../assemble.ts';
import { readCertificate } from '../certificate.ts';
import { parseCsr, verifyProofOfPossession } from '../csr.ts';
import { readDer } from '../der/strict.ts';
import { context, integer, octetString, oid, sequence, setOf } from '../der/writer.ts';
import { generalNamesDer } from '../general-names.ts';
import { lintCertificate } from '../lint/certificate.ts';
import { nameDer, readName } from '../names.ts';
import { REQUEST_ATTRIBUTES } from '../oids.ts';
import { CertificateTemplate } from '../template.ts';
import { mutated } from './mutate.ts';
import { issue, newHierarchy, newSigner, profileOf, SERVER, URLS, valuesOf } from './profiles.ts';

const { root, ca } = await newHierarchy();
const template = new CertificateTemplate(profileOf(), ca, URLS);
const server = new CertificateTemplate(SERVER, ca, URLS);
const key = newSigner('P-256');
const hosts = ['localhost', '127.0.0.1', '::1'];
const CERTIFICATES: readonly DerCertificate[] = [
  root.certificate,
  ca.certificate,
  await issue(template, valuesOf(profileOf(), { deviceId: 'pump-1' }, ca.signer, key.spki), ca.signer),
  await issue(server, valuesOf(SERVER, { hosts }, ca.signer, newSigner('Ed25519').spki), ca.signer),
];
const asked = sequence(
  sequence(
    oid('2.5.29.17'),
    octetString(generalNamesDer(hosts.map((host) => (/^[a-z]/.test(host) ? `DNS:${host}` : `IP:${host}`)))),
  ),
);
const info = sequence(
  integer(0),
  nameDer({
    rdns: [
      { type: 'O', value: 'Acme' },
      { type: 'CN', value: 'pump-1' },
    ],
  }),
  key.spki,
  context(0, sequence(oid(REQUEST_ATTRIBUTES.extensionRequest), setOf(asked))),
);
const REQUESTS: readonly Uint8Array[] = [assembleSigned(info, key.signatureAlgorithm, await key.sign(info))];

/** Far above the microseconds that a reading takes, far below what would hurt. */
const MOST_MS = 250;

/** Runs `read` and gives what it returns, or undefined for a KeysteadError; anything else, or a long time, fails. */
function read<T>(run: () => T, bytes: Uint8Array): T | undefined {
  const first = timed(run, bytes);
  // A machine that paused does so once; what the bytes cost, they cost each time.
  for (let tries = 3; first.ms >= MOST_MS && timed(run, bytes).ms >= MOST_MS; tries -= 1)
    assert.ok(tries > 0, toHex(bytes));
  return first.value;
}

function timed<T>(run: () => T, bytes: Uint8Array): { readonly value: T | undefined; readonly ms: number } {
  const started = performance.now();
  const value = refusedOr(run, bytes);
  return { value, ms: performance.now() - started };
}

function refusedOr<T>(run: () => T, bytes: Uint8Array): T | undefined {
  try {
    return run();
  } catch (error) {
    assert.ok(error instanceof KeysteadError, `${toHex(bytes)}: ${error instanceof Error ? error.stack : error}`);
    return undefined;
  }
}

/** As asn1-x509 reads it; undefined where it does not. */
function elsewhere(der: Uint8Array): (TBSCertificate & { readonly spki: Uint8Array }) | undefined {
  try {
    const { tbsCertificate } = AsnConvert.parse(der, Certificate);
    return Object.assign(tbsCertificate, {
      spki: new Uint8Array(AsnConvert.serialize(tbsCertificate.subjectPublicKeyInfo)),
    });
  } catch {
    return undefined;
  }
}

test('a changed certificate is refused, or read exactly as OpenSSL and asn1-x509 read it', () => {
  let accepted = 0;
  let compared = 0;
  fc.assert(
    fc.property(mutated(CERTIFICATES), (der) => {
      const seen = read(() => readCertificate(der), der);
      if (seen === undefined) return;
      accepted += 1;
      const parsed = elsewhere(der);
      // What an algorithm's parameters may be is no part of the form: asn1-x509 refuses a key whose parameters are a
      // time that is none, or of a type that ASN.1 keeps for later; whoever uses the key refuses it here.
      if (parsed === undefined) return;
      compared += 1;
      assert.ok(sameBytes(parsed.spki, seen.spki));
      assert.equal(parsed.validity.notAfter.getTime().getTime(), seen.notAfter.getTime());
      assert.equal(parsed.extensions?.length ?? 0, seen.extensions.length);
      let other: X509Certificate;
      try {
        other = new X509Certificate(der);
      } catch {
        // OpenSSL refuses more: for example a point that is off its curve.
        return;
      }
      assert.ok(sameBytes(other.raw, der));
      assert.equal(BigInt(`0x${other.serialNumber.replace('-', '')}`), BigInt(`0x${seen.serial.replace('-', '')}`));
      assert.equal(other.validFromDate.getTime(), seen.notBefore.getTime());
      if (seen.ski !== undefined) lintCertificate(der as DerCertificate, profileOf(), ca.certificate);
    }),
    { numRuns: 8000 },
  );
  assert.ok(accepted > 100, `${accepted} of the changed certificates were readable`);
  assert.ok(compared > accepted * 0.95, `asn1-x509 read ${compared} of ${accepted}`);
});

test('a changed request is refused, or read as asn1-csr reads it; its proof of possession then fails', () => {
  let accepted = 0;
  fc.assert(
    fc.property(mutated(REQUESTS), (der) => {
      const seen = read(() => parseCsr(der), der);
      if (seen === undefined || sameBytes(der, REQUESTS[0] ?? der)) return;
      accepted += 1;
      const parsed = AsnConvert.parse(der, CertificationRequest).certificationRequestInfo;
      assert.ok(sameBytes(new Uint8Array(AsnConvert.serialize(parsed.subjectPKInfo)), seen.spki));
      assert.deepEqual(readName(readDer(new Uint8Array(AsnConvert.serialize(parsed.subject))), 'it'), seen.subject);
      const proven = read(() => verifyProofOfPossession(seen) ?? 'proven', der);
      assert.equal(proven, undefined, toHex(der));
    }),
    { numRuns: 8000 },
  );
  assert.ok(accepted > 100, `${accepted} of the changed requests were readable`);
});

test('random bytes, and random bytes inside a SEQUENCE, are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      for (const der of [bytes, sequence(bytes), sequence(sequence(bytes), sequence(bytes), bytes)]) {
        assert.equal(
          read(() => readCertificate(der), der),
          undefined,
        );
        assert.equal(
          read(() => parseCsr(der), der),
          undefined,
        );
      }
    }),
    { numRuns: 3000 },
  );
});

test('input that is deep, wide or long is refused in milliseconds', () => {
  let deep: Uint8Array = integer(1);
  for (let i = 0; i < 10_000 && deep.length < 64_000; i += 1) deep = sequence(deep);
  const wide = sequence(new Uint8Array(60_000).map((_, i) => (i % 2 === 0 ? 5 : 0)));
  const headers = new Uint8Array(65_536).fill(0x30);
  const indefinite = new Uint8Array(65_536).map((_, i) => (i % 2 === 0 ? 0x30 : 0x80));
  const longOid = sequence(
    oid('1.2.3'),
    Buffer.concat([Uint8Array.of(6, 0x82, 0xf0, 0), new Uint8Array(0xf000).fill(0xff)]),
  );
  for (const der of [deep, wide, headers, indefinite, longOid, new Uint8Array(65_537), new Uint8Array(10_000_000)]) {
    assert.equal(
      read(() => readCertificate(der), der.subarray(0, 20)),
      undefined,
    );
    assert.equal(
      read(() => parseCsr(der), der.subarray(0, 20)),
      undefined,
    );
  }
});

test('every certificate of the NIST path validation suite is read as OpenSSL reads it', () => {
  const dir = new URL('../../../../vectors/pkits/certs/', import.meta.url);
  // The suite broke the BIT STRING of these two signatures: they are refused here, where OpenSSL reads on.
  const broken = ['BadSignedCACert.crt', 'InvalidDSASignatureTest6EE.crt'];
  for (const file of broken)
    assert.throws(() => readCertificate(readFileSync(new URL(file, dir))), /not a whole number of octets/);
  const files = readdirSync(dir).filter((file) => file.endsWith('.crt') && !broken.includes(file));
  assert.ok(files.length > 400, `${files.length} certificates`);
  for (const file of files) {
    const der = readFileSync(new URL(file, dir));
    const seen = readCertificate(der);
    const other = new X509Certificate(der);
    assert.equal(seen.serial.toLowerCase(), other.serialNumber.toLowerCase(), file);
    assert.equal(seen.notBefore.getTime(), other.validFromDate.getTime(), file);
    assert.equal(seen.notAfter.getTime(), other.validToDate.getTime(), file);
    // OpenSSL's answer takes the key usage into it.
    const maySign = seen.keyUsage.length === 0 || seen.keyUsage.includes('keyCertSign');
    assert.equal(seen.ca && maySign, other.ca, file);
    assert.equal(seen.sha256, other.fingerprint256.replaceAll(':', '').toLowerCase(), file);
    assert.deepEqual(
      seen.subject.rdns.map(({ value }) => value).filter((value) => !value.includes('=')),
      other.subject === undefined
        ? []
        : other.subject.split(/\n|\+(?=[A-Za-z]+=)/).map((line) => line.slice(line.indexOf('=') + 1)),
      file,
    );
  }
});
