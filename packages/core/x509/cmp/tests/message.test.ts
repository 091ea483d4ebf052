import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac, pbkdf2Sync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { toBase64url } from '../../../bytes/index.ts';
import { base64urlOctets, passwordMac, SecretBytes } from '../../../crypto/index.ts';
import { KeysteadError } from '../../../errors/index.ts';
import { verifyProofOfPossession } from '../../csr.ts';
import {
  certConfBody,
  cmpMessage,
  defaultPasswordMac,
  directoryName,
  errorBody,
  headerDer,
  isMacOf,
  issueBody,
  parseCertReqMsg,
  parseCmpMessage,
  passwordMacDer,
  pollRepBody,
  readProtection,
} from '../index.ts';

/* Messages that OpenSSL wrote are read here, and what is changed in them is found. */
const work = mkdtempSync(join(tmpdir(), 'keystead-cmp-codec-'));
after(() => rmSync(work, { recursive: true }));
const at = (name: string): string => join(work, name);
const openssl = (...args: string[]): void => {
  execFileSync('openssl', args, { cwd: work, stdio: 'pipe' });
};

openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', 'key.pem');
writeFileSync(at('secret'), 'a secret of the test');

/** The first message of `openssl cmp`, which its mock server need not answer. */
function request(command: string, ...args: string[]): Uint8Array {
  const common = ['cmp', '-config', '', '-batch', '-use_mock_srv', '-srv_secret', 'file:secret', '-srv_ref', 'ref-1'];
  try {
    openssl(
      ...common,
      '-cmd',
      command,
      '-ref',
      'ref-1',
      '-secret',
      'file:secret',
      '-reqout',
      'req.der',
      '-newkey',
      'key.pem',
      ...args,
    );
  } catch {
    // The mock server has no certificate to give.
  }
  return new Uint8Array(readFileSync(at('req.der')));
}
const ir = request('ir', '-subject', '/CN=KS-0001', '-certout', 'cert.pem', '-days', '3');

test("openssl's ir is read: header, request, proof of possession, and the MAC over what came", async () => {
  const message = parseCmpMessage(ir);
  assert.equal(message.bodyType, 'ir');
  assert.equal(Buffer.from(message.header.senderKid ?? []).toString(), 'ref-1');
  assert.equal(message.header.transactionId?.length, 16);
  const body = message.body();
  assert.ok(body.type === 'ir');
  const parsed = parseCertReqMsg(body.request);
  verifyProofOfPossession(parsed);
  assert.deepEqual([parsed.certReqId, parsed.asksValidity, parsed.subject.rdns[0]?.value], [0, true, 'KS-0001']);
  const protection = readProtection(message.header.protectionAlg ?? new Uint8Array(0));
  assert.ok(protection.kind === 'mac' && protection.mac.kind === 'password-based-mac');
  using secret = SecretBytes.copy(Buffer.from('a secret of the test'));
  using wrong = SecretBytes.copy(Buffer.from('another'));
  assert.equal(await isMacOf(message, protection.mac, secret), true);
  assert.equal(await isMacOf(message, protection.mac, wrong), false);
});

test('openssl reads what is written here: errors, answers, polls and confirmations', async () => {
  const header = headerDer({ version: 2, sender: directoryName(), recipient: directoryName(), generalInfo: [] });
  const bodies = {
    error: errorBody({ status: 'rejection', text: 'no', failure: 'badPOP' }, 'details'),
    ip: issueBody('ip', { certReqId: 0, status: { status: 'waiting' }, caPubs: [] }),
    pollRep: pollRepBody(-1, 30),
    certConf: certConfBody({ certReqId: 0, certHash: new Uint8Array(32), hash: 'sha256' }),
  };
  for (const [name, body] of Object.entries(bodies)) {
    const der = await cmpMessage({ header, body });
    writeFileSync(at(`${name}.der`), der);
    openssl('asn1parse', '-inform', 'DER', '-in', `${name}.der`);
    assert.equal(parseCmpMessage(der).body().type, name);
  }
});

test('PBMAC1 is PBKDF2 and HMAC, as node:crypto has them, and its parameters read back', async () => {
  using secret = SecretBytes.random(32);
  const mac = defaultPasswordMac();
  assert.ok(mac.kind === 'pbmac1');
  const data = Buffer.from('protected part');
  const expected = secret.use((bytes) => {
    const key = pbkdf2Sync(bytes, mac.salt, mac.iterations, mac.keyLength, mac.prf);
    return createHmac(mac.hmac, key).update(data).digest();
  });
  assert.deepEqual(Buffer.from(await passwordMac(mac, secret, data)), expected);
  assert.deepEqual(readProtection(passwordMacDer(mac)), { kind: 'mac', mac });
});

test('a secret as base64url octets is what node:crypto writes, for every length', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 70 }), (bytes) => {
      using secret = SecretBytes.copy(bytes);
      using text = base64urlOctets(secret);
      assert.equal(
        text.use((octets) => Buffer.from(octets).toString('latin1')),
        toBase64url(bytes),
      );
    }),
  );
});

/** Everything that a server does with a message before it believes any of it. */
function readAll(der: Uint8Array): void {
  const message = parseCmpMessage(der);
  if (message.header.protectionAlg !== undefined) readProtection(message.header.protectionAlg);
  const body = message.body();
  if (body.type === 'ir' || body.type === 'cr' || body.type === 'kur')
    verifyProofOfPossession(parseCertReqMsg(body.request));
}

const OURS = /^(?:cmp|csr|key|name)\./;

test('whatever is changed in a message, it is read or refused by name, and nothing else happens', () => {
  const seeds = [ir, request('rr', '-oldcert', cert()), request('genm', '-infotype', 'caCerts')];
  const change = fc.record({
    seed: fc.constantFrom(...seeds),
    edits: fc.array(fc.record({ at: fc.nat(), octet: fc.nat(255) }), { minLength: 1, maxLength: 4 }),
    cut: fc.option(fc.nat(), { freq: 4 }),
    insert: fc.option(fc.uint8Array({ minLength: 1, maxLength: 40 }), { freq: 4 }),
  });
  fc.assert(
    fc.property(change, ({ seed, edits, cut, insert }) => {
      let der = Uint8Array.from(seed);
      for (const { at: place, octet } of edits) der[place % der.length] = octet;
      if (insert !== null)
        der = Uint8Array.from([...der.subarray(0, der.length >> 1), ...insert, ...der.subarray(der.length >> 1)]);
      if (cut !== null) der = der.subarray(0, cut % (der.length + 1));
      try {
        readAll(der);
      } catch (error) {
        assert.ok(error instanceof KeysteadError && OURS.test(error.code), String(error));
      }
    }),
    { numRuns: 3000 },
  );
});

test('deep nesting, long lists and noise are refused in bounded time', () => {
  let deep = Uint8Array.of(0x05, 0x00);
  for (let depth = 0; depth < 2000; depth += 1) {
    const length = deep.length < 0x80 ? [deep.length] : [0x82, deep.length >> 8, deep.length & 0xff];
    deep = Uint8Array.from([0x30, ...length, ...deep]);
  }
  const wide = Uint8Array.from([
    0x30,
    0x82,
    0xea,
    0x60,
    ...new Uint8Array(60_000).map((_, index) => (index % 2 === 0 ? 0x05 : 0)),
  ]);
  for (const der of [deep, wide, new Uint8Array(64 * 1024).fill(0x30), new Uint8Array(64 * 1024 + 1)]) {
    assert.throws(() => readAll(der), { code: 'cmp.malformed' });
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.throws(() => readAll(bytes), KeysteadError);
    }),
  );
});

function cert(): string {
  openssl('req', '-x509', '-key', 'key.pem', '-subj', '/CN=KS-0001', '-out', 'own.pem', '-days', '1');
  return 'own.pem';
}
