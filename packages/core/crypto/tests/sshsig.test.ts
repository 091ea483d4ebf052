import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { DerSpki } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import {
  ecdsaNumbers,
  formatSshPublicKey,
  formatSshSig,
  parseSshPublicKey,
  readSshPublicKey,
  readSshSig,
  readSshSigBlob,
  readSshSigSubject,
  sha256,
  sshFingerprint,
  sshKeyBlob,
  sshMpint,
  sshSigSubject,
  sshString,
  verifySshSig,
} from '../index.ts';

const directory = mkdtempSync(join(tmpdir(), 'keystead-sshsig-'));
after(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string) => join(directory, name);
const ssh = (args: readonly string[], input?: Uint8Array): string =>
  execFileSync('ssh-keygen', args, { encoding: 'utf8', stdio: 'pipe', ...(input !== undefined && { input }) });

const code = (expected: string, seen?: RegExp) => (error: unknown) =>
  error instanceof KeysteadError && error.code === expected && (seen === undefined || seen.test(error.message));
const MESSAGE = Buffer.from('keystead firmware signature v1\n{"id":"order-1"}');
const NAMESPACE = 'keystead-order@example.com';

const KINDS = [
  ['ed25519', []],
  ['ecdsa', ['-b', '256']],
  ['ecdsa', ['-b', '384']],
  ['rsa', ['-b', '3072']],
] as const;

test('signatures of ssh-keygen by each kind of key are read, and are for one message and one namespace [ssh-keygen: SSHSIG sign]', () => {
  for (const [number, [type, bits]] of KINDS.entries()) {
    const key = at(`key-${number}`);
    ssh(['-q', '-t', type, ...bits, '-N', '', '-C', 'anna', '-f', key]);
    writeFileSync(at('message'), MESSAGE);
    for (const hash of ['sha256', 'sha512'] as const) {
      rmSync(at('message.sig'), { force: true });
      ssh(['-q', '-Y', 'sign', '-n', NAMESPACE, '-O', `hashalg=${hash}`, '-f', key, at('message')]);
      const sig = readSshSig(readFileSync(at('message.sig'), 'utf8'));
      const line = parseSshPublicKey(readFileSync(`${key}.pub`, 'utf8'));
      assert.equal(line.comment, 'anna');
      assert.equal(sig.hash, hash);
      assert.equal(sig.namespace, NAMESPACE);
      assert.deepEqual(sig.key.spki, line.spki);
      assert.equal(ssh(['-l', '-f', `${key}.pub`]).split(' ')[1], sshFingerprint(sig.key));
      assert.deepEqual(Buffer.from(sshKeyBlob(line.spki)), Buffer.from(sig.key.blob));
      assert.equal(formatSshPublicKey(line, 'anna'), readFileSync(`${key}.pub`, 'utf8').trim());
      assert.deepEqual(verifySshSig(sig, NAMESPACE, MESSAGE), { verdict: 'valid', securityKey: null });
      assert.equal(verifySshSig(sig, 'file', MESSAGE).verdict, 'invalid');
      assert.equal(verifySshSig(sig, NAMESPACE, Buffer.concat([MESSAGE, MESSAGE])).verdict, 'invalid');
      const other = { ...sig, hash: hash === 'sha256' ? ('sha512' as const) : ('sha256' as const) };
      assert.equal(verifySshSig(other, NAMESPACE, MESSAGE).verdict, 'invalid');
    }
  }
});

/** A security key in software: what PROTOCOL.u2f says that one signs. */
function securityKeySig(key: KeyObject, flags: number, counter: number, application = 'ssh:', named = application) {
  const ed = key.asymmetricKeyType === 'ed25519';
  const type = ed ? 'sk-ssh-ed25519@openssh.com' : 'sk-ecdsa-sha2-nistp256@openssh.com';
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const octets = ed ? [sshString(spki.subarray(-32))] : [sshString('nistp256'), sshString(spki.subarray(-65))];
  const blob = Buffer.concat([sshString(type), ...octets, sshString(named)]);
  const subject = { namespace: NAMESPACE, hash: 'sha512', digest: sha512(MESSAGE) } as const;
  const facts = Buffer.alloc(5);
  facts.writeUInt8(flags, 0);
  facts.writeUInt32BE(counter, 1);
  const signed = Buffer.concat([sha256(Buffer.from(application)), facts, sha256(sshSigSubject(subject))]);
  const made = sign(ed ? null : 'sha256', signed, key);
  const numbers = ed ? made : ecdsaNumbers(made, 32);
  const value = ed ? numbers : Buffer.concat([sshMpint(numbers.slice(0, 32)), sshMpint(numbers.slice(32))]);
  const signature = Buffer.concat([sshString(type), sshString(value), facts]);
  return { blob, text: formatSshSig(blob, subject, signature) };
}
const sha512 = (bytes: Uint8Array): Uint8Array =>
  execFileSync('openssl', ['dgst', '-sha512', '-binary'], { input: bytes });

const SECURITY_KEYS = [
  generateKeyPairSync('ed25519').privateKey,
  generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey,
];

test('a security key tells that it was touched and its counter; ssh-keygen judges the same [ssh-keygen: SSHSIG verify of a security key]', () => {
  for (const key of SECURITY_KEYS) {
    const { blob, text } = securityKeySig(key, 0x05, 41);
    writeFileSync(at('sk.sig'), text);
    writeFileSync(at('allowed'), `anna ${formatSshPublicKey(readSshPublicKey(blob), '')}\n`);
    const verify = ['-Y', 'verify', '-f', at('allowed'), '-I', 'anna', '-n', NAMESPACE, '-s', at('sk.sig')];
    assert.match(ssh(verify, MESSAGE), /Good "keystead-order@example.com" signature for anna/);
    assert.deepEqual(verifySshSig(readSshSig(text), NAMESPACE, MESSAGE), {
      verdict: 'valid',
      securityKey: { userPresent: true, userVerified: true, counter: 41 },
    });
    assert.deepEqual(verifySshSig(readSshSig(securityKeySig(key, 0x01, 0).text), NAMESPACE, MESSAGE), {
      verdict: 'valid',
      securityKey: { userPresent: true, userVerified: false, counter: 0 },
    });
  }
});

test('a security key that nobody touched, another counter, other flags and another application are each refused', () => {
  for (const key of SECURITY_KEYS) {
    const untouched = readSshSig(securityKeySig(key, 0x04, 7).text);
    assert.deepEqual(verifySshSig(untouched, NAMESPACE, MESSAGE), {
      verdict: 'invalid',
      why: 'nobody touched the key',
    });
    const sig = readSshSig(securityKeySig(key, 0x01, 7).text);
    for (const changed of [{ flags: 0x05 }, { counter: 8 }, { flags: null }, { counter: null }]) {
      const signature = { ...sig.signature, ...changed };
      assert.equal(verifySshSig({ ...sig, signature }, NAMESPACE, MESSAGE).verdict, 'invalid');
    }
    const renamed = readSshSig(securityKeySig(key, 0x01, 7, 'ssh:', 'ssh:other').text);
    assert.equal(verifySshSig(renamed, NAMESPACE, MESSAGE).verdict, 'invalid');
    // As a signature by the bare key, without the authenticator's facts, it is none.
    const bare = { ...sig, key: { ...sig.key, type: 'ssh-ed25519' as const, application: null } };
    assert.equal(verifySshSig(bare, NAMESPACE, MESSAGE).verdict, 'invalid');
  }
});

const ED25519 = generateKeyPairSync('ed25519').privateKey;
const spkiOf = (key: KeyObject): DerSpki => createPublicKey(key).export({ format: 'der', type: 'spki' }) as never;
const SUBJECT = { namespace: 'n', hash: 'sha256', digest: sha256(MESSAGE) } as const;
const SIGNATURE = Buffer.concat([sshString('ssh-ed25519'), sshString(sign(null, sshSigSubject(SUBJECT), ED25519))]);
const BLOB = sshKeyBlob(spkiOf(ED25519));
const armoured = (parts: readonly Uint8Array[]): string =>
  `-----BEGIN SSH SIGNATURE-----\n${Buffer.concat(parts).toString('base64')}\n-----END SSH SIGNATURE-----\n`;
const version = Buffer.of(0, 0, 0, 1);
const magic = Buffer.from('SSHSIG');
const [n, none, h] = [sshString('n'), sshString(''), sshString('sha256')];

test('what two readers could read differently is refused by its own name', () => {
  const good = [magic, version, sshString(BLOB), n, none, h, sshString(SIGNATURE)];
  assert.equal(verifySshSig(readSshSig(armoured(good)), 'n', MESSAGE).verdict, 'valid');
  const bad: readonly (readonly [RegExp, readonly Uint8Array[]])[] = [
    [/after the end/, [...good, Buffer.of(0)]],
    [/version 2/, [magic, Buffer.of(0, 0, 0, 2), ...good.slice(2)]],
    [/no SSHSIG/, [Buffer.from('SSHSIH'), ...good.slice(1)]],
    [/empty namespace/, [magic, version, sshString(BLOB), none, none, h, sshString(SIGNATURE)]],
    [/reserved/, [magic, version, sshString(BLOB), n, n, h, sshString(SIGNATURE)]],
    [/the hash sha1/, [magic, version, sshString(BLOB), n, none, sshString('sha1'), sshString(SIGNATURE)]],
    [/printable/, [magic, version, sshString(BLOB), sshString('n\n'), none, h, sshString(SIGNATURE)]],
    [/where \d+ are left/, [magic, version, sshString(BLOB), n, none, h, Buffer.of(255, 255, 255, 255)]],
    [/where \d+ are left/, good.slice(0, 5)],
    [/after the end/, [magic, version, sshString(Buffer.concat([BLOB, none])), ...good.slice(3)]],
    [/after the end/, [...good.slice(0, 6), sshString(Buffer.concat([SIGNATURE, none]))]],
    [/ssh-rsa by a key of ssh-ed25519/, [...good.slice(0, 6), sshString(Buffer.concat([sshString('ssh-rsa'), none]))]],
  ];
  for (const [seen, parts] of bad) {
    assert.throws(() => readSshSig(armoured(parts)), code('ssh.malformed', seen), String(seen));
  }
  const text = armoured(good);
  for (const broken of [
    '',
    text.replace('BEGIN', 'BEGINN'),
    `${text}x`,
    text.replace(/\n/g, ''),
    text.replace('U', '*'),
    text + text,
  ]) {
    assert.throws(() => readSshSig(broken), code('ssh.malformed'), broken);
  }
  // Armour from another system, and lines of another length.
  assert.equal(verifySshSig(readSshSig(text.replace(/\n/g, '\r\n')), 'n', MESSAGE).verdict, 'valid');
});

test('keys that are not good for a signature are refused: DSA, P-521, RSA of 1024 bits, points off the curve, certificates', () => {
  const key = (...parts: readonly Uint8Array[]) => Buffer.concat(parts);
  const unsuitable = [
    key(sshString('ssh-dss'), none),
    key(sshString('ecdsa-sha2-nistp521'), sshString('nistp521'), sshString(Buffer.alloc(133, 4))),
    key(sshString('ssh-ed25519-cert-v01@openssh.com'), none),
    key(sshString('ssh-rsa'), sshMpint(Buffer.of(1, 0, 1)), sshMpint(Buffer.alloc(128, 0xc1))),
  ];
  for (const blob of unsuitable)
    assert.throws(() => readSshPublicKey(blob), code('ssh.key-unsuitable'), blob.toString());
  const malformed = [
    key(sshString('ssh-ed25519'), sshString(Buffer.alloc(31))),
    key(sshString('ecdsa-sha2-nistp256'), sshString('nistp384'), none),
    key(sshString('ssh-rsa'), sshMpint(Buffer.of(1, 0, 1)), none),
    key(sshString('ssh-rsa'), sshString(Buffer.of(0, 1, 0, 1)), sshMpint(Buffer.alloc(256, 0xc1))),
    key(sshString('ssh-rsa'), sshString(Buffer.of(0x81)), sshMpint(Buffer.alloc(256, 0xc1))),
    Buffer.alloc(4096),
  ];
  for (const blob of malformed)
    assert.throws(() => readSshPublicKey(blob), code('ssh.malformed'), blob.toString('hex'));
  const off = key(sshString('ecdsa-sha2-nistp256'), sshString('nistp256'), sshString(Buffer.alloc(65, 4)));
  assert.throws(() => readSshPublicKey(off), code('key.weak'));
  for (const line of ['', 'ssh-ed25519', 'ssh-ed25519 AAAA*', `ssh-rsa ${Buffer.from(BLOB).toString('base64')}`]) {
    assert.throws(() => parseSshPublicKey(line), code('ssh.malformed'), line);
  }
});

test('an RSA signature with SHA-1, or by a hash that the key did not name, is none', () => {
  const rsa = createPrivateKey(
    generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'pem', type: 'pkcs8' }),
  );
  const made = (algorithm: string, digest: string) =>
    armoured([
      magic,
      version,
      sshString(sshKeyBlob(spkiOf(rsa))),
      n,
      none,
      h,
      sshString(Buffer.concat([sshString(algorithm), sshString(sign(digest, sshSigSubject(SUBJECT), rsa))])),
    ]);
  assert.equal(verifySshSig(readSshSig(made('rsa-sha2-512', 'sha512')), 'n', MESSAGE).verdict, 'valid');
  assert.equal(verifySshSig(readSshSig(made('rsa-sha2-256', 'sha256')), 'n', MESSAGE).verdict, 'valid');
  assert.equal(verifySshSig(readSshSig(made('rsa-sha2-256', 'sha512')), 'n', MESSAGE).verdict, 'invalid');
  assert.throws(() => readSshSig(made('ssh-rsa', 'sha1')), code('ssh.malformed', /ssh-rsa by a key/));
});

test('whatever bytes come, a signature, a key and a subject are read or refused', () => {
  const good = Buffer.concat([magic, version, sshString(BLOB), n, none, h, sshString(SIGNATURE)]);
  const sk = Buffer.from(securityKeySig(SECURITY_KEYS[1] ?? ED25519, 1, 1).blob);
  const subject = Buffer.from(sshSigSubject(SUBJECT));
  const broken = (source: Buffer) =>
    fc
      .tuple(fc.array(fc.tuple(fc.nat(source.length - 1), fc.nat(255)), { maxLength: 3 }), fc.nat(source.length))
      .map(([changes, length]) => {
        const bytes = Uint8Array.from(source);
        for (const [index, octet] of changes) bytes[index] = octet;
        return length % 3 === 0 ? bytes.subarray(0, length) : bytes;
      });
  const survives = (run: () => unknown): void => {
    try {
      run();
    } catch (error) {
      assert.ok(error instanceof KeysteadError && /^(ssh\.|key\.weak)/.test(error.code), String(error));
    }
  };
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), broken(good), broken(sk), broken(subject)), (bytes) => {
      survives(() => verifySshSig(readSshSigBlob(bytes), 'n', MESSAGE));
      survives(() => verifySshSig(readSshSig(armoured([bytes])), 'n', MESSAGE));
      survives(() => readSshPublicKey(bytes));
      survives(() => readSshSigSubject(bytes));
    }),
    { numRuns: 1000 },
  );
  fc.assert(fc.property(fc.string({ maxLength: 400 }), (text) => survives(() => readSshSig(text))));
  survives(() => readSshSig(`-----BEGIN SSH SIGNATURE-----\n${'A'.repeat(5_000_000)}`));
  survives(() => parseSshPublicKey(`ssh-rsa ${' '.repeat(3000)}A`));
});

test('a changed octet in a signature never leaves it valid for the same message', () => {
  const good = Buffer.concat([magic, version, sshString(BLOB), n, none, h, sshString(SIGNATURE)]);
  for (let index = 0; index < good.length; index += 1) {
    const bytes = Uint8Array.from(good);
    bytes[index] = (bytes[index] ?? 0) ^ 1;
    let verdict = 'refused';
    try {
      verdict = verifySshSig(readSshSigBlob(bytes), 'n', MESSAGE).verdict;
    } catch (error) {
      assert.ok(error instanceof KeysteadError);
    }
    assert.notEqual(verdict, 'valid', `octet ${index}`);
  }
});
