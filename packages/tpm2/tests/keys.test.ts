import assert from 'node:assert/strict';
import { createPrivateKey, diffieHellman } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { type DerSpki, toHex, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { Channel } from '../channel.ts';
import { agree, sign } from '../objects/keys.ts';
import { clearOwner, lockoutState, resetLockout, setLockoutParameters } from '../objects/lockout.ts';
import { create, createPrimary, flush, flushing, load, type ObjectBlob } from '../objects/object.ts';
import { withStorageRoot } from '../objects/storage-root.ts';
import { agreementTemplate, SRK_TEMPLATE, signingTemplate } from '../objects/templates.ts';
import { Tpm } from '../tpm.ts';
import { HANDLE } from '../wire/constants.ts';
import { type EccPublic, encodePublic, type KeyPublic, publicKeyObject, spkiOf } from '../wire/public.ts';
import { sized } from '../wire/writer.ts';
import { run, Swtpm } from './swtpm.ts';
import { tpmOfFile } from './tpm-of-file.ts';

let swtpm: Swtpm;
let tpm: Tpm;
tpmOfFile({}, (...made) => {
  [tpm, swtpm] = made;
});

const fails =
  (code: string, seen = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    return true;
  };

const make = <A extends KeyPublic>(template: A, sensitive = {}): Promise<ObjectBlob<A>> =>
  tpm.use((channel) => withStorageRoot(channel, (srk) => create(channel, srk, template, sensitive)));

const DATA = Buffer.from('what is to be signed');

test('TEST-KEY-11: tpm2_createprimary with the template of the provisioning guidance makes our storage root', async () => {
  const zeros = swtpm.path('unique');
  // TPMS_ECC_POINT for tpm2-tools: little-endian sizes and buffers of 128 octets.
  const size = Buffer.from([32, 0]);
  writeFileSync(zeros, Buffer.concat([size, Buffer.alloc(128), size, Buffer.alloc(128)]));
  const attributes = 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt';
  const context = swtpm.path('srk.ctx');
  const options = [
    '-C',
    'o',
    '-g',
    'sha256',
    '-G',
    'ecc256:null:aes128cfb',
    '-a',
    attributes,
    '-u',
    zeros,
    '-c',
    context,
  ];
  swtpm.tool('tpm2_createprimary', ...options);
  swtpm.tool('tpm2_readpublic', '-c', context, '-n', swtpm.path('srk.name'), '-Q');
  const name = await tpm.use((channel) => withStorageRoot(channel, async (srk) => srk.name));
  assert.equal(toHex(name), readFileSync(swtpm.path('srk.name')).toString('hex'));
});

for (const algorithm of ['P-256', 'P-384', 'RSA-2048', 'RSA-3072'] as const) {
  test(`TEST-KEY-11: a ${algorithm} key made in the TPM signs there, and openssl verifies it; its attributes say that it never leaves`, async () => {
    const blob = await make(signingTemplate(algorithm));
    const signature = await tpm.use((channel) =>
      withStorageRoot(channel, async (srk) => {
        const key = await load(channel, srk, blob);
        return flushing(channel, key, () => sign(channel, key, DATA));
      }),
    );
    const file = (name: string, bytes: Uint8Array | string): string => {
      writeFileSync(swtpm.path(name), bytes);
      return swtpm.path(name);
    };
    const key = file('key.pem', toPem('PUBLIC KEY', spkiOf(blob.area)));
    const [data, bytes] = [file('data', DATA), file('signature', signature.bytes)];
    const said = run('openssl', ['dgst', `-${signature.hash}`, '-verify', key, '-signature', bytes, data]);
    assert.match(said, /Verified OK/);
    const attributes = toolAttributes(blob);
    assert.match(attributes, /fixedtpm\|fixedparent\|sensitivedataorigin\|userwithauth\|noda\|sign/);
  });
}

/** What tpm2_print reads of a public area. */
function toolAttributes(blob: ObjectBlob): string {
  writeFileSync(swtpm.path('key.pub'), sized(encodePublic(blob.area)));
  return run('tpm2_print', ['-t', 'TPM2B_PUBLIC', swtpm.path('key.pub')]);
}

for (const curve of ['P-256', 'P-384'] as const) {
  test(`a secret agreed with a ${curve} key in the TPM is the one that openssl agrees on`, async () => {
    const blob = await make(agreementTemplate(curve));
    const { pkcs8, spki } = generateSoftwareKey(curve);
    const ours = await tpm.use((channel) =>
      withStorageRoot(channel, async (srk) => {
        const key = await load(channel, srk, blob);
        assert.equal(key.area.type, 'ecc');
        return flushing(channel, key, () => agree(channel, srk, { ...key, area: key.area as EccPublic }, spki));
      }),
    );
    const privateKey = createPrivateKey({ key: pkcs8.use((der) => Buffer.from(der)), format: 'der', type: 'pkcs8' });
    const theirs = diffieHellman({ privateKey, publicKey: publicKeyObject(blob.area) });
    assert.equal(ours.use(toHex), theirs.toString('hex'));
  });
}

test('a peer off its curve, of another curve or of another kind is refused before the TPM sees it', async () => {
  const blob = await make(agreementTemplate('P-256'));
  const offCurve = generateSoftwareKey('P-256').spki.slice() as DerSpki;
  offCurve[offCurve.length - 1] = (offCurve.at(-1) ?? 0) ^ 1;
  await tpm.use((channel) =>
    withStorageRoot(channel, async (srk) => {
      const loaded = await load(channel, srk, blob);
      const key = { ...loaded, area: loaded.area as EccPublic };
      await flushing(channel, key, async () => {
        const agreed = async (peer: DerSpki): Promise<unknown> => agree(channel, srk, key, peer);
        await assert.rejects(agreed(offCurve), fails('key.weak'));
        await assert.rejects(agreed(generateSoftwareKey('P-384').spki), fails('key.algorithm-mismatch'));
        await assert.rejects(agreed(generateSoftwareKey('Ed25519').spki), fails('key.algorithm-mismatch'));
      });
    }),
  );
});

test('TEST-KEY-11: a wrapped key loads in no other TPM, and not when an octet of it was changed', async () => {
  const blob = await make(signingTemplate('P-256'));
  const loading = (channel: Channel, of: ObjectBlob): Promise<void> =>
    withStorageRoot(channel, async (srk) => flush(channel, (await load(channel, srk, of)).handle));
  const other = await Swtpm.start();
  try {
    await using foreign = await Tpm.open(other.address);
    await assert.rejects(
      foreign.use((channel) => loading(channel, blob)),
      fails('tpm2.other-tpm'),
    );
  } finally {
    await other.stop();
  }
  for (const at of [4, blob.wrapped.length - 1]) {
    const wrapped = blob.wrapped.slice();
    wrapped[at] = (wrapped[at] ?? 0) ^ 1;
    await assert.rejects(
      tpm.use((channel) => loading(channel, { ...blob, wrapped })),
      fails('tpm2.other-tpm'),
    );
  }
  const another = await make(signingTemplate('P-256'));
  await assert.rejects(
    tpm.use((channel) => loading(channel, { ...blob, area: another.area })),
    fails('tpm2.other-tpm'),
  );
  await tpm.use((channel) => loading(channel, blob));
});

test('a TPM in lockout says for how long; keys without a value go on; the lockout authorization ends it', async () => {
  const guarded = await make(signingTemplate('P-256', { countsFailures: true }), {
    auth: SecretBytes.copy(Buffer.from('right')),
  });
  const plain = await make(signingTemplate('P-256'));
  const signing = (blob: ObjectBlob<KeyPublic>, value?: string): Promise<unknown> =>
    tpm.use((channel) =>
      withStorageRoot(channel, async (srk) => {
        const key = await load(channel, srk, blob);
        const auth = value === undefined ? undefined : SecretBytes.copy(Buffer.from(value));
        return flushing(channel, key, () => sign(channel, key, DATA, auth));
      }),
    );
  await tpm.use((channel) => setLockoutParameters(channel, { most: 3, intervalSeconds: 600, recoverySeconds: 600 }));
  await signing(guarded, 'right');
  for (let tries = 0; tries < 3; tries += 1) await assert.rejects(signing(guarded, 'wrong'), fails('tpm2.auth-failed'));
  assert.equal((await tpm.use(lockoutState)).locked, true);
  await assert.rejects(
    signing(guarded, 'right'),
    fails('tpm2.lockout', /TPM_RC_LOCKOUT.*3 failed authorizations of at most 3.*every 600 s.*usable in 600 s/),
  );
  await signing(plain);
  await tpm.use((channel) => resetLockout(channel));
  await signing(guarded, 'right');
  assert.deepEqual(await tpm.use(lockoutState), {
    locked: false,
    failures: 0,
    most: 3,
    intervalSeconds: 600,
    recoverySeconds: 600,
  });
});

test('a TPM without room for one more object says so, and has room again when they are flushed', async () => {
  await tpm.use(async (channel) => {
    const handles: number[] = [];
    const fill = async (): Promise<void> => {
      for (let n = 0; n < 16; n += 1) handles.push((await createPrimary(channel, HANDLE.OWNER, SRK_TEMPLATE)).handle);
    };
    await assert.rejects(fill(), fails('tpm2.full', /OBJECT_MEMORY/));
    for (const handle of handles) await flush(channel, handle);
    await withStorageRoot(channel, async () => undefined);
  });
});

test('an owner with a value of its own: without it nothing is made, with it all is', async () => {
  const owned = await Swtpm.start();
  try {
    owned.tool('tpm2_changeauth', '-c', 'o', 'the owner');
    await using held = await Tpm.open(owned.address);
    await assert.rejects(
      held.use((channel) => withStorageRoot(channel, async () => undefined)),
      fails('tpm2.auth-failed'),
    );
    const ownerAuth = SecretBytes.copy(Buffer.from('the owner'));
    await held.use((channel) => withStorageRoot(channel, async () => undefined, { ownerAuth }));
  } finally {
    await owned.stop();
  }
});

test('TEST-KEY-24: when the owner is cleared, no copy of a wrapped key loads again', async () => {
  const wiped = await Swtpm.start();
  try {
    await using held = await Tpm.open(wiped.address);
    const blob = await held.use((channel) =>
      withStorageRoot(channel, (srk) => create(channel, srk, signingTemplate('P-256'))),
    );
    await held.use((channel) => clearOwner(channel));
    const loading = held.use((channel) => withStorageRoot(channel, (srk) => load(channel, srk, blob)));
    await assert.rejects(loading, fails('tpm2.other-tpm'));
    assert.equal(wiped.tool('tpm2_getcap', 'handles-transient').trim(), '');
    assert.equal(wiped.tool('tpm2_getcap', 'handles-persistent').trim(), '');
  } finally {
    await wiped.stop();
  }
});

test('a persistent storage root is used when it is ours, and passed over when it is another key', async () => {
  const own = await Swtpm.start();
  try {
    await using held = await Tpm.open(own.address);
    const transient = await held.use((channel) => withStorageRoot(channel, async (srk) => toHex(srk.name)));
    own.tool('tpm2_createprimary', '-C', 'o', '-G', 'rsa2048', '-c', own.path('rsa.ctx'), '-Q');
    own.tool('tpm2_evictcontrol', '-C', 'o', '-c', own.path('rsa.ctx'), '0x81000001');
    own.tool('tpm2_flushcontext', '-t');
    const beside = await held.use((channel) =>
      withStorageRoot(channel, async (srk) => [toHex(srk.name), srk.handle >>> 24]),
    );
    assert.deepEqual(beside, [transient, 0x80]);
  } finally {
    await own.stop();
  }
});
