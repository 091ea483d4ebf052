import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fromBase64, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, SecretBytes, softwareSigner } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  checkpointNote,
  cosignNote,
  formatCheckpoint,
  formatVerifierKey,
  type NoteSigner,
  openCheckpoint,
  openNote,
  parseCheckpoint,
  parseNote,
  parseVerifierKey,
  parseVerifierKeys,
  signNote,
  verifierKey,
} from '@keystead/core/log';
import fc from 'fast-check';

const code =
  (expected: string) =>
  (error: unknown): boolean =>
    error instanceof KeysteadError && error.code === expected;

/** golang.org/x/mod/sumdb/note, note_test.go: two signers of one text. */
const GO = {
  peter: 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
  enoch: 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop',
  /** The seed in `PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz`, published for tests. */
  peterSeed: 'gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM=',
  text: "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
  peterLine:
    '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n',
  enochLine:
    '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n',
};

/** c2sp.org/signed-note, the example. */
const C2SP = {
  vkey: 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k',
  note: 'This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n',
};

/** A checkpoint of a Certificate Transparency log in service, with the cosignatures of public witnesses. */
const PUBLIC = {
  note: `arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
`,
  log: 'arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f',
  witnesses: [
    'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2',
    'transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM',
    'witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO',
    'witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv',
  ],
  timestamp: 0x6a122120,
};

/** A signer from an Ed25519 seed (RFC 8410 section 7: PrivateKeyInfo is 16 bytes and the seed). */
function signerFromSeed(name: string, seed: Uint8Array): NoteSigner {
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  return { name, signer: softwareSigner('Ed25519', SecretBytes.take(new Uint8Array(pkcs8))) };
}

function newSigner(name: string): NoteSigner {
  return { name, signer: softwareSigner('Ed25519', generateSoftwareKey('Ed25519').pkcs8) };
}

test("Go's sumdb note opens with either key or both, and names who signed", () => {
  const note = `${GO.text}\n${GO.peterLine}${GO.enochLine}`;
  const [peter, enoch] = [parseVerifierKey(GO.peter), parseVerifierKey(GO.enoch)];
  for (const keys of [[peter], [enoch], [peter, enoch]]) {
    const opened = openNote(note, keys);
    assert.equal(opened.text, GO.text);
    assert.deepEqual(
      opened.signatures.map(({ key }) => key.name),
      keys.map(({ name }) => name),
    );
  }
});

test("signing Go's text with Go's test key gives Go's note byte for byte", async () => {
  const peter = signerFromSeed('PeterNeumann', fromBase64(GO.peterSeed));
  assert.equal(await signNote(GO.text, peter), `${GO.text}\n${GO.peterLine}`);
  assert.equal(formatVerifierKey('PeterNeumann', 'ed25519', peter.signer.spki), GO.peter);
});

test('the example of the C2SP signed-note specification opens', () => {
  assert.equal(openNote(C2SP.note, [parseVerifierKey(C2SP.vkey)]).text, 'This is an example message.\n');
});

test('a public checkpoint opens with the log key, and its cosignatures with the keys of four public witnesses', () => {
  const log = parseVerifierKey(PUBLIC.log);
  for (const text of PUBLIC.witnesses) {
    const opened = openCheckpoint(PUBLIC.note, { log, cosigner: parseVerifierKey(text) });
    assert.equal(opened.size, 1432088532);
    assert.equal(opened.timestamp, PUBLIC.timestamp);
  }
  const moved = PUBLIC.note.replace('1432088532', '1432088533');
  assert.throws(() => openCheckpoint(moved, { log }), code('note.signature-invalid'));
  assert.throws(() => openNote(moved, [parseVerifierKey(PUBLIC.witnesses[0] ?? '')]), code('note.signature-invalid'));
});

test('a verifier key reads and writes as Go and the witnesses write it', () => {
  for (const text of [GO.peter, GO.enoch, C2SP.vkey, PUBLIC.log, ...PUBLIC.witnesses]) {
    const key = parseVerifierKey(text);
    assert.equal(formatVerifierKey(key.name, key.type, key.spki), text);
  }
  assert.deepEqual(
    parseVerifierKeys(`${GO.peter}\n\n ${PUBLIC.witnesses[0]}\n`).map(({ type }) => type),
    ['ed25519', 'cosignature-v1'],
  );
});

test('no mangled verifier key is taken', () => {
  // As in note_test.go: every substring, every byte moved by one, a wrong length and an unknown type with a fitting id.
  for (let i = 0; i <= GO.peter.length; i++) {
    for (let j = i + 1; j <= GO.peter.length; j++) {
      if (i === 0 && j === GO.peter.length) continue;
      assert.throws(() => parseVerifierKey(GO.peter.slice(i, j)), code('note.key-malformed'));
    }
    const moved = [...GO.peter].map((c, k) => (k === i ? String.fromCharCode(c.charCodeAt(0) + 1) : c)).join('');
    if (i < GO.peter.length) assert.throws(() => parseVerifierKey(moved), code('note.key-malformed'));
  }
  for (const bad of [
    'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==',
    'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
    'rekor.sigstore.dev+12345678+AwEB',
    'rekor.sigstore.dev+12345678+THIS_IS_NOT_BASE64!',
  ]) {
    assert.throws(() => parseVerifierKey(bad), code('note.key-malformed'));
  }
  fc.assert(
    fc.property(fc.string(), (text) => {
      assert.throws(() => parseVerifierKey(text), code('note.key-malformed'));
    }),
  );
});

test('a key that is not Ed25519 or a name that a note cannot carry is refused', () => {
  const { spki } = newSigner('x').signer;
  const ecdsa = generateSoftwareKey('P-256').spki;
  assert.throws(() => verifierKey('example.com/log', 'ed25519', ecdsa), code('note.key-malformed'));
  for (const name of ['', 'a b', 'a+b', 'a\u2003b', 'a\nb', 'x'.repeat(256)]) {
    assert.throws(() => formatVerifierKey(name, 'ed25519', spki), code('note.key-malformed'));
  }
});

test('one bit changed anywhere in a note keeps it from opening', () => {
  const note = `${GO.text}\n${GO.peterLine}`;
  const bytes = Buffer.from(note);
  for (let i = 0; i < bytes.length; i++) {
    const changed = Buffer.from(bytes);
    changed[i] = (changed[i] ?? 0) ^ 1;
    assert.throws(() => openNote(changed.toString('utf8'), [parseVerifierKey(GO.peter)]), KeysteadError);
  }
});

test('a note must be text, an empty line and signature lines', () => {
  const bad = ['', '\n', '\n\n', 'text', 'text\n', 'text\n\n', 'text\n\n— name\n', 'text\n\n— name !!!!\n'];
  bad.push(
    'text\n\n— name AAAA\n',
    'text\n\n- name AAAAAAAA\n',
    'text\n\n— name AAAAAAAA',
    'te\rxt\n\n— name AAAAAAAA\n',
  );
  bad.push('te\u0000xt\n\n— name AAAAAAAA\n', 'text\n\n— na+me AAAAAAAA\n', `text\n\n${'— n AAAAAAAA\n'.repeat(65)}`);
  bad.push('te\ud800xt\n\n— name AAAAAAAA\n', `${'x'.repeat(70_000)}\n\n— name AAAAAAAA\n`);
  for (const note of bad)
    assert.throws(() => parseNote(note), code('note.malformed'), JSON.stringify(note.slice(0, 60)));
  assert.equal(parseNote('a\n\nb\n\n— name AAAAAAAA\n').text, 'a\n\nb\n');
});

test('any text is a note or refused with a code', () => {
  const line = fc.oneof(fc.string(), fc.constant(''), fc.constant('— a AAAAAAAA'), fc.constant(GO.peterLine.trimEnd()));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
      try {
        openNote(lines.join('\n'), [parseVerifierKey(GO.peter)]);
        assert.fail('opened');
      } catch (error) {
        assert.ok(error instanceof KeysteadError, String(error));
      }
    }),
  );
});

test('a signature by an unknown key is passed over, a bad one by a known key refuses the whole note', async () => {
  const [known, stranger] = [newSigner('known'), newSigner('stranger')];
  const key = verifierKey('known', 'ed25519', known.signer.spki);
  const note = await signNote('text\n', stranger, known);
  assert.equal(openNote(note, [key]).signatures.length, 1);
  assert.throws(
    () => openNote(note, [verifierKey('third', 'ed25519', newSigner('third').signer.spki)]),
    code('note.unknown-key'),
  );
  const other = await signNote('other\n', known);
  const forged = `${note}${other.slice(other.indexOf('— '))}`;
  assert.throws(() => openNote(forged, [key]), code('note.signature-invalid'));
});

test('openssl verifies the signature of a note and of a cosignature', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'keystead-note-'));
  try {
    const [log, witness] = [newSigner('example.com/log'), newSigner('example.com/witness')];
    const root = new Uint8Array(32).fill(7);
    const note = await checkpointNote({ origin: log.name, size: 42, root }, log, witness, 1_700_000_000);
    const { text, signatures } = parseNote(note);
    const opensslVerifies = ({ signer }: NoteSigner, message: string, signature: Uint8Array): string => {
      writeFileSync(join(dir, 'key.pem'), toPem('PUBLIC KEY', signer.spki));
      writeFileSync(join(dir, 'message'), message);
      writeFileSync(join(dir, 'signature'), signature);
      const args = [
        'pkeyutl',
        '-verify',
        '-pubin',
        '-inkey',
        'key.pem',
        '-rawin',
        '-in',
        'message',
        '-sigfile',
        'signature',
      ];
      return execFileSync('openssl', args, { cwd: dir, encoding: 'utf8' });
    };
    const [first, second] = signatures;
    assert.match(opensslVerifies(log, text, first?.bytes ?? new Uint8Array()), /Signature Verified Successfully/);
    const cosigned = `cosignature/v1\ntime 1700000000\n${text}`;
    assert.match(
      opensslVerifies(witness, cosigned, second?.bytes.slice(8) ?? new Uint8Array()),
      /Verified Successfully/,
    );
    assert.equal(Buffer.from(second?.bytes ?? []).readBigUInt64BE(), 1_700_000_000n);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('a checkpoint is the three lines of C2SP tlog-checkpoint', () => {
  const text = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';
  const checkpoint = parseCheckpoint(text);
  assert.equal(checkpoint.size, 20852163);
  assert.equal(formatCheckpoint(checkpoint), text);
  for (const bad of [
    '\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n',
    'a\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n',
    'a\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n',
    'a\n9999999999999999\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n',
    'a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n',
    'a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n',
    'a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\nextension\n',
    'a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=',
    'a\n1\n',
  ]) {
    assert.throws(() => parseCheckpoint(bad), code('checkpoint.malformed'), bad);
  }
});

test('a checkpoint is taken only from its log, with both signatures, with its time', async () => {
  const [log, witness, other] = [
    newSigner('example.com/log'),
    newSigner('example.com/time'),
    newSigner('example.com/b'),
  ];
  const keys = {
    log: verifierKey(log.name, 'ed25519', log.signer.spki),
    cosigner: verifierKey(witness.name, 'cosignature-v1', witness.signer.spki),
  };
  const checkpoint = { origin: log.name, size: 5, root: new Uint8Array(32) };
  const note = await checkpointNote(checkpoint, log, witness, 1_700_000_000);
  const opened = openCheckpoint(note, keys);
  assert.deepEqual([opened.size, opened.timestamp, opened.note], [5, 1_700_000_000, note]);
  const unsigned = await signNote(formatCheckpoint(checkpoint), log);
  assert.throws(() => openCheckpoint(unsigned, keys), code('note.unknown-key'));
  assert.equal(openCheckpoint(unsigned, { log: keys.log }).timestamp, undefined);
  const cosignedOnly = note.replace(/— example.com\/log .*\n/, '');
  assert.throws(() => openCheckpoint(cosignedOnly, keys), code('note.unknown-key'));
  const foreign = await signNote(formatCheckpoint({ ...checkpoint, origin: 'example.com/b' }), log);
  assert.throws(() => openCheckpoint(foreign, { log: keys.log }), code('checkpoint.malformed'));
  await assert.rejects(checkpointNote(checkpoint, other, witness, 1), code('checkpoint.malformed'));
  await assert.rejects(cosignNote(unsigned, witness, -1), code('note.malformed'));
  await assert.rejects(cosignNote(unsigned, witness, 1.5), code('note.malformed'));
});

test('a time moved in a cosignature does not verify', async () => {
  const [log, witness] = [newSigner('example.com/log'), newSigner('example.com/time')];
  const keys = {
    log: verifierKey(log.name, 'ed25519', log.signer.spki),
    cosigner: verifierKey(witness.name, 'cosignature-v1', witness.signer.spki),
  };
  const note = await checkpointNote(
    { origin: log.name, size: 1, root: new Uint8Array(32) },
    log,
    witness,
    1_700_000_000,
  );
  const moved = note.replace(/(— example.com\/time )(\S+)/, (_, head: string, base64: string) => {
    const bytes = Buffer.from(base64, 'base64');
    bytes.writeBigUInt64BE(1_600_000_000n, 4);
    return head + bytes.toString('base64');
  });
  assert.throws(() => openCheckpoint(moved, keys), code('note.signature-invalid'));
});
