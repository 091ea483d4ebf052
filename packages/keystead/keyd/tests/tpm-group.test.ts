import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type DeviceStatus, tpmGroups } from '../tpm-group.ts';

const dir = mkdtempSync(join(tmpdir(), 'keystead-tpm-group-'));
after(() => rmSync(dir, { recursive: true }));

const TSS = 112;
const device = (more: { gid?: number; mode?: number; character?: boolean } = {}): DeviceStatus => {
  const { gid = TSS, mode = 0o20660, character = true } = more;
  return () => ({ gid, mode, isCharacterDevice: () => character });
};

test('the group of the TPM is kept where the passphrase or the keys are in it, and not elsewhere', () => {
  assert.deepEqual(tpmGroups(dir, undefined, device()), []);
  assert.deepEqual(tpmGroups(dir, { path: 'x' }, device()), [TSS]);
  assert.deepEqual(tpmGroups(dir, { path: 'x', tpm: 'device:/dev/tpm0' }, device()), [TSS]);
  assert.deepEqual(tpmGroups(dir, { path: 'x', tpm: 'unix:/run/swtpm' }, device()), []);
  const keystore = { version: 1, make: 'tpm2', path: 'keystore.tpm2', tpm: 'device:/dev/tpmrm0' };
  writeFileSync(join(dir, 'keystore.json'), JSON.stringify(keystore));
  assert.deepEqual(tpmGroups(dir, undefined, device()), [TSS]);
  assert.deepEqual(tpmGroups(dir, { path: 'x' }, device()), [TSS]);
  // The keys in a file, and the counter in the TPM.
  rmSync(join(dir, 'keystore.json'));
  const auth = { kdf: 'argon2id', salt: 'AAAA', memory: 65_536, passes: 3, parallelism: 4 };
  const counter = {
    version: 1,
    make: 'tpm2',
    tpm: 'device:/dev/tpmrm0',
    index: 0x01800200,
    storageRoot: '000b',
    auth,
    base: 1,
  };
  writeFileSync(join(dir, 'counter.json'), JSON.stringify(counter));
  assert.deepEqual(tpmGroups(dir, undefined, device()), [TSS]);
  rmSync(join(dir, 'counter.json'));
  writeFileSync(join(dir, 'keystore.json'), '{');
  assert.deepEqual(tpmGroups(dir, undefined, device()), []);
  rmSync(join(dir, 'keystore.json'));
});

test('no file but a TPM of the kernel brings its group, whatever keystore.json names', () => {
  for (const tpm of ['device:/etc/shadow', 'device:/dev/sda', 'device:/dev/tpmrm0/../sda', 'device:/dev/tpm0x', '']) {
    assert.deepEqual(tpmGroups(dir, { path: 'x', tpm }, device()), [], tpm);
  }
  const sealed = { path: 'x' };
  assert.deepEqual(tpmGroups(dir, sealed, device({ character: false })), []);
  assert.deepEqual(tpmGroups(dir, sealed, device({ gid: 0 })), []);
  assert.deepEqual(tpmGroups(dir, sealed, device({ mode: 0o20600 })), []);
  const none: DeviceStatus = () => {
    throw new Error('ENOENT');
  };
  assert.deepEqual(tpmGroups(dir, sealed, none), []);
});

test('a process that root started is in the group of the TPM besides its own, and cannot be root again', () => {
  if (process.getuid?.() !== 0) return;
  const [own, shared] = [join(dir, 'own'), join(dir, 'shared')];
  for (const path of [own, shared]) mkdirSync(path);
  chownSync(own, 70_001, 70_001);
  chownSync(shared, 0, 70_002);
  const owner = fileURLToPath(new URL('../../host/owner.ts', import.meta.url));
  const script = `import(${JSON.stringify(owner)}).then(({ becomeOwnerOf }) => {
    becomeOwnerOf(${JSON.stringify(own)}, ${JSON.stringify(shared)}, [${TSS}]);
    console.log(JSON.stringify([process.getuid(), process.getgroups()]));
  })`;
  const printed = execFileSync(process.execPath, ['--no-warnings', '-e', script], { encoding: 'utf8' });
  const [uid, groups] = JSON.parse(printed) as [number, number[]];
  assert.equal(uid, 70_001);
  assert.deepEqual(groups.toSorted(), [70_001, 70_002, TSS].toSorted());
});
