import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import type { Serial } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { buildOcspRequest, newSerial, OcspIssuer, parseOcspResponse, readOcspResponse } from '@keystead/core/x509';
import fc from 'fast-check';
import { sequence } from '../../../../core/x509/der/writer.ts';
import { bytesOf, OcspRig } from './rig.ts';

const rig = await OcspRig.start();
after(() => rig.stop());
rig.change('fa02', { status: 'revoked', revokedAt: new Date('2026-11-01T08:09:10Z'), reason: 'keyCompromise' });

const run = promisify(execFile);
/** A foreign client, which must not block the responder that answers it. */
const foreign = async (command: string, ...args: string[]): Promise<string> => {
  const { stdout, stderr } = await run(command, args, { cwd: rig.pki.dir });
  return `${stdout}${stderr}`;
};
const fetchStatus = async (serial: string, nonce?: Uint8Array) => {
  const der = await bytesOf(await rig.post(buildOcspRequest({ issuer: rig.ca, serial: serial as Serial, nonce })));
  return readOcspResponse(der, { issuer: rig.ca, serial: serial as Serial, now: rig.clock.now(), nonce });
};

test('TEST-KEY-09: openssl ocsp asks over HTTP, with a nonce and without, and verifies each answer [openssl ocsp: OCSP nonce]', async () => {
  for (const args of [[], ['-no_nonce'], ['-sha256']]) {
    const certificates = ['-cert', 'kept.pem', '-cert', 'stolen.pem', '-serial', '0xdeadbeef'];
    const seen = await foreign(
      'openssl',
      'ocsp',
      ...args,
      '-issuer',
      'ca.pem',
      ...certificates,
      '-CAfile',
      'ca.pem',
      '-url',
      `${rig.url}/ocsp/operational`,
    );
    assert.match(seen, /Response verify OK/);
    if (args[0] !== '-no_nonce') assert.doesNotMatch(seen, /WARNING: no nonce|Nonce Verify error/);
    assert.match(seen, /kept\.pem: good/);
    assert.match(seen, /stolen\.pem: revoked[\s\S]*Reason: keyCompromise/);
    assert.match(seen, /0xdeadbeef: unknown/);
  }
});

test('TEST-KEY-09: ocsptool asks over HTTP with a nonce and verifies each answer [GnuTLS ocsptool: OCSP nonce]', async () => {
  for (const [name, status] of [
    ['kept', 'good'],
    ['stolen', 'revoked'],
  ] as const) {
    const seen = await foreign(
      'ocsptool',
      `--ask=${rig.url}/ocsp/operational`,
      '--nonce',
      '--load-issuer',
      'ca.pem',
      '--load-cert',
      `${name}.pem`,
      '--load-trust',
      'ca.pem',
    );
    assert.match(seen, /Verifying OCSP Response: Success/);
    assert.match(seen, new RegExp(`Certificate Status: ${status}`));
  }
});

test('TEST-KEY-09: openssl ocsp verifies an answer that curl fetched by GET, however the path is encoded', async () => {
  const base64 = Buffer.from(rig.request('-no_nonce', '-issuer', 'ca.pem', '-cert', 'stolen.pem')).toString('base64');
  for (const path of [encodeURIComponent(base64), base64]) {
    await foreign('curl', '-sS', '--fail', '-o', 'get.der', `${rig.url}/ocsp/operational/${path}`);
    const seen = await foreign(
      'openssl',
      'ocsp',
      '-no_nonce',
      '-respin',
      'get.der',
      '-issuer',
      'ca.pem',
      '-cert',
      'stolen.pem',
      '-CAfile',
      'ca.pem',
    );
    assert.match(seen, /Response verify OK/);
    assert.match(seen, /stolen\.pem: revoked/);
  }
});

test('TEST-KEY-09: for a serial that was not issued the answer is unknown, never good', async () => {
  for (let i = 0; i < 50; i += 1) assert.equal((await fetchStatus(newSerial())).status, 'unknown');
  assert.equal((await fetchStatus(newSerial(), randomBytes(32))).status, 'unknown');
  // A neighbour of an issued serial, and one that only its leading zeros set apart.
  for (const near of ['7a00', '7a02', '7a0100', '01', '00']) assert.equal((await fetchStatus(near)).status, 'unknown');
});

test('TEST-KEY-09: for a certificate of another CA the answer is unauthorized, or unknown beside others, never good', async () => {
  const alone = rig.request('-no_nonce', '-issuer', 'other.pem', '-serial', '0x7a01');
  const refused = await bytesOf(await rig.post(alone));
  assert.throws(() => parseOcspResponse(refused), { code: 'ocsp.answer-refused', seen: 'unauthorized' });
  const mixed = rig.request(
    '-no_nonce',
    '-issuer',
    'ca.pem',
    '-serial',
    '0x7a01',
    '-issuer',
    'other.pem',
    '-serial',
    '0x7a01',
  );
  const { singles } = parseOcspResponse(await bytesOf(await rig.post(mixed)));
  assert.deepEqual(
    singles.map(({ status }) => status),
    ['good', 'unknown'],
  );
  // The name of the one CA with the key of the other.
  const [ours, theirs] = [new OcspIssuer(rig.ca), new OcspIssuer(rig.pki.certificate('other'))];
  const name = ours.certId('7a01' as Serial, 'sha1');
  const key = theirs.certId('7a01' as Serial, 'sha1');
  const crossed = new Uint8Array(name);
  // Both have the form SEQUENCE { AlgorithmIdentifier, name hash (22 octets), key hash (22 octets), serial (4) }.
  crossed.set(key.subarray(key.length - 26, key.length - 4), name.length - 26);
  const answer = await bytesOf(await rig.post(sequence(sequence(sequence(sequence(crossed))))));
  assert.throws(() => parseOcspResponse(answer), { code: 'ocsp.answer-refused', seen: 'unauthorized' });
});

test('TEST-KEY-09: each CertID is echoed byte for byte, in the order of the request', async () => {
  const der = rig.request(
    '-no_nonce',
    '-sha1',
    '-issuer',
    'ca.pem',
    '-cert',
    'kept.pem',
    '-sha256',
    '-cert',
    'stolen.pem',
    '-serial',
    '0x99',
  );
  const { singles } = parseOcspResponse(await bytesOf(await rig.post(der)));
  assert.deepEqual(
    singles.map(({ certId }) => certId.hashAlgorithm),
    ['sha1', 'sha256', 'sha256'],
  );
  for (const { certId } of singles) assert.ok(Buffer.from(der).includes(Buffer.from(certId.der)));
});

test('TEST-KEY-09: the nonce of the request comes back, from 1 to 128 octets (RFC 9654)', async () => {
  for (const octets of [1, 16, 32, 128]) {
    const nonce = randomBytes(octets);
    assert.equal((await fetchStatus('7a01', nonce)).status, 'good');
  }
});

test('whatever bytes are sent, the answer is an OCSP answer, and never says good of what was not asked for', async () => {
  const good = buildOcspRequest({ issuer: rig.ca, serial: '7a01' as Serial });
  const mutated = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, value]) => {
    const bytes = new Uint8Array(good);
    bytes[at] = value;
    return bytes;
  });
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })), async (bytes) => {
      const response = await rig.post(bytes);
      assert.equal(response.status, 200);
      const der = await bytesOf(response);
      try {
        const { singles } = parseOcspResponse(der);
        for (const { status, certId } of singles)
          assert.ok(
            status !== 'good' || (['7a01', '7a03'].includes(certId.serial) && new OcspIssuer(rig.ca).issued(certId)),
          );
      } catch (error) {
        assert.ok(
          error instanceof Error && 'seen' in error && /^(malformedRequest|unauthorized)$/.test(String(error.seen)),
          String(error),
        );
      }
    }),
    { numRuns: 400 },
  );
  assert.deepEqual(rig.failures, []);
});
