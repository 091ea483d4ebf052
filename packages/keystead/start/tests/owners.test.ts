import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { Layout } from '../../files/layout.ts';
import { separateOwners } from '../owners.ts';

const ROOT = process.getuid?.() === 0;
let folder: string;
let layout: Layout;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keystead-owners-'));
  chmodSync(folder, 0o711);
  layout = new Layout(join(folder, 'data'));
  for (const dir of [layout.data, layout.keyd, layout.trust, layout.crl]) mkdirSync(dir, { mode: 0o700 });
  for (const path of [join(layout.keyd, 'journal'), layout.config, join(layout.crl, 'root.crl')]) {
    writeFileSync(path, 'x', { mode: 0o600 });
  }
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);
const ownerOf = (path: string): number => statSync(path).uid;

/** Whether a user may do something, as the kernel sees it. */
function may(user: { uid: number; gid: number }, command: string): boolean {
  return spawnSync('sh', ['-c', command], { ...user, cwd: '/', stdio: 'ignore' }).status === 0;
}

// An ordinary user cannot give files away: there it is proven that nothing is claimed and nothing changed.
if (!ROOT) {
  test('without root nothing is changed, and the reason is told', () => {
    assert.deepEqual(separateOwners(layout), {
      separate: false,
      why: 'only root can give them users of their own',
      asRoot: false,
    });
    assert.equal(modeOf(layout.data), '700');
  });
} else {
  test('TEST-KEY-13 keyd and serve get users of their own, neither of which can open what is the other’s, nor a stranger anything', () => {
    const owners = separateOwners(layout);
    assert.ok(owners.separate);
    const { keyd, serve } = owners;
    assert.equal(new Set([0, 65_534, keyd.uid, serve.uid]).size, 4);
    assert.deepEqual([layout.keyd, layout.run].map(ownerOf), [keyd.uid, keyd.uid]);
    const database = dirname(layout.database);
    assert.deepEqual(
      [database, layout.log, layout.crl, join(layout.crl, 'root.crl')].map(ownerOf),
      Array(4).fill(serve.uid),
    );
    assert.deepEqual([layout.data, layout.keyd, layout.run, layout.trust, database, layout.config].map(modeOf), [
      '710',
      '700',
      '2710',
      '2750',
      '700',
      '640',
    ]);
    assert.ok(may(keyd, `cat ${layout.keyd}/journal`) === false, 'keyd needs the group of serve to pass');
    const keydWithGroup = `setpriv --reuid ${keyd.uid} --regid ${keyd.gid} --groups ${serve.gid} --`;
    const asKeyd = (command: string): boolean =>
      spawnSync('sh', ['-c', `${keydWithGroup} ${command}`], { cwd: '/', stdio: 'ignore' }).status === 0;
    for (const allowed of [
      `cat ${layout.keyd}/journal`,
      `ls ${layout.trust}`,
      `touch ${layout.run}/x`,
      `touch ${layout.trust}/policy.json`,
    ]) {
      assert.ok(asKeyd(allowed), allowed);
    }
    for (const forbidden of [`ls ${database}`, `ls ${layout.data}`, `ls ${layout.crl}`]) {
      assert.ok(!asKeyd(forbidden), forbidden);
    }
    for (const allowed of [`touch ${database}/x`, `cat ${layout.config}`, `ls ${layout.trust}`]) {
      assert.ok(may(serve, allowed), allowed);
    }
    for (const forbidden of [
      `ls ${layout.keyd}`,
      `cat ${layout.keyd}/journal`,
      `ls ${layout.run}`,
      `touch ${layout.run}/y`,
      `rm -f ${layout.run}/x`,
      `touch ${layout.trust}/x`,
      `ls ${layout.data}`,
    ]) {
      assert.ok(!may(serve, forbidden), forbidden);
    }
    const stranger = { uid: 60_999, gid: 60_999 };
    assert.ok(!may(stranger, `cat ${layout.config}`) && !may(stranger, `ls ${layout.trust}`));
  });

  test('a later start finds the same users, and gives them what root left at the top of their directories', () => {
    const first = separateOwners(layout);
    assert.ok(first.separate);
    const left = join(layout.keyd, 'put-back-by-root');
    writeFileSync(left, 'x', { mode: 0o600 });
    assert.deepEqual(separateOwners(layout), first);
    assert.equal(ownerOf(left), first.keyd.uid);
  });

  test('TEST-KEY-13 who can write in a directory cannot lead root to give away another file', () => {
    const first = separateOwners(layout);
    assert.ok(first.separate);
    const precious = join(folder, 'precious');
    writeFileSync(precious, 'root’s own', { mode: 0o600 });
    const database = dirname(layout.database);
    symlinkSync(precious, join(database, 'symbolic'));
    linkSync(precious, join(database, 'second-name'));
    symlinkSync(folder, join(database, 'directory'));
    mkdirSync(join(database, 'below'));
    writeFileSync(join(database, 'below', 'file'), 'x');
    separateOwners(layout);
    assert.equal(ownerOf(precious), 0);
    assert.equal(ownerOf(folder), 0);
    assert.equal(ownerOf(join(database, 'below', 'file')), 0);
  });

  test('a start that was cut short while it gave directories away goes on', () => {
    const first = separateOwners(layout);
    assert.ok(first.separate);
    // As if it had ended after keyd's directory, in the middle of that of the CRLs.
    chownSync(layout.crl, 0, 0);
    chownSync(dirname(layout.database), 0, 0);
    assert.deepEqual(separateOwners(layout), first);
    assert.equal(ownerOf(layout.crl), first.serve.uid);
  });

  test('where the users could not reach the directory, nothing is changed, and the reason is told', () => {
    chmodSync(folder, 0o700);
    const owners = separateOwners(layout);
    assert.ok(!owners.separate && owners.asRoot);
    assert.match(owners.why, new RegExp(`cannot pass through ${folder}$`));
    assert.deepEqual([layout.data, layout.keyd].map(ownerOf), [0, 0]);
    assert.deepEqual([modeOf(layout.data), modeOf(layout.config)], ['700', '600']);
  });

  test('a data directory of somebody else stays all his: services run as he does', () => {
    chownSync(layout.data, 4711, 4711);
    const owners = separateOwners(layout);
    assert.deepEqual([owners.separate, ownerOf(layout.keyd)], [false, 0]);
    assert.ok(!owners.separate && /belongs to user 4711/.test(owners.why));
  });

  test('two directories on one machine have different users', () => {
    const other = new Layout(join(folder, 'other'));
    for (const dir of [other.data, other.keyd]) mkdirSync(dir, { mode: 0o700 });
    const [one, two] = [separateOwners(layout), separateOwners(other)];
    assert.ok(one.separate && two.separate);
    assert.equal(new Set([one.keyd.uid, one.serve.uid, two.keyd.uid, two.serve.uid]).size, 4);
  });
}
