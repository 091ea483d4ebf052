import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { generateSoftwareKey, type Signer, softwareSigner } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  envelopeBytes,
  proposeRoot,
  readEnvelope,
  signedBytes,
  type TufRole,
  type TufRoot,
  type TufSigned,
  type TufTargets,
  tufCommon,
  tufKeyId,
  tufKeyOf,
  tufSubject,
  withSignature,
} from '@keystead/core/firmware';
import { beginRepository, checkRepository, ownOnlineKey, publish, TufRepository } from 'keystead/signing/tuf/index.ts';
import { Updater } from 'tuf-js';

/**
 * tuf-js, the client of the TUF project for Node.js (what npm verifies with), updates through repositories that Keystead
 * publishes, over HTTP. Its clock is the machine's, so the repositories' is too.
 */
const DAY = 86_400;
const POLICY = { snapshotSeconds: 7 * DAY, timestampSeconds: DAY };
const UBOOT = '/usr/lib/u-boot/qemu_arm64/u-boot.bin';
const OPENSBI = '/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.bin';
const now = new Date();
const inDays = (days: number): Date => new Date(now.getTime() + days * DAY * 1000);

const folder = mkdtempSync(join(tmpdir(), 'keystead-tuf-js-'));
let server: Server;
before(async () => {
  server = createServer((request, response) => {
    try {
      response.end(readFileSync(join(folder, decodeURIComponent(request.url ?? ''))));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
after(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

const newKey = (algorithm: 'Ed25519' | 'P-256' | 'P-384' = 'Ed25519'): Signer =>
  softwareSigner(algorithm, generateSoftwareKey(algorithm).pkcs8);

async function signed(content: TufSigned, ...signers: readonly Signer[]): Promise<Uint8Array> {
  const subject = tufSubject(content);
  let envelope = readEnvelope(subject);
  for (const signer of signers) {
    const signature = await signer.sign(signedBytes(subject));
    envelope = withSignature(envelope, tufKeyId(tufKeyOf(signer.spki)), signature);
  }
  return envelopeBytes(envelope);
}

interface Keys {
  readonly root: readonly Signer[];
  readonly targets: readonly Signer[];
  readonly online: Signer;
}
const newKeys = (): Keys => ({
  root: [newKey('P-256'), newKey('P-384'), newKey()],
  targets: [newKey(), newKey('P-256')],
  online: newKey('P-256'),
});
function rootOf({ root, targets, online }: Keys, previous?: TufRoot): TufRoot {
  const of = (keys: readonly Signer[], threshold: number) => ({ keys: keys.map(({ spki }) => spki), threshold });
  const roles: Record<TufRole, ReturnType<typeof of>> = {
    root: of(root, 2),
    targets: of(targets, 2),
    snapshot: of([online], 1),
    timestamp: of([online], 1),
  };
  return proposeRoot(previous, roles, { expires: inDays(365), now });
}
const files = join(folder, 'files');
mkdirSync(join(files, 'boot'), { recursive: true });
cpSync(UBOOT, join(files, 'boot/u-boot.bin'));
cpSync(OPENSBI, join(files, 'fw_jump.bin'));

function targetsOf(version: number, paths: readonly string[], expires = inDays(90)): TufTargets {
  const targets: TufTargets['targets'] = {};
  for (const path of paths) {
    const bytes = readFileSync(join(files, path));
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    targets[path] = { length: bytes.length, hashes: { sha256 }, custom: { product: 'pump' } };
  }
  return { _type: 'targets', ...tufCommon(version, expires), targets };
}

/** A repository with its first targets in force, and clients of it. */
class Fixture {
  static #count = 0;
  readonly name: string;
  readonly dir: string;
  readonly repository: TufRepository;
  readonly keys: Keys;
  readonly #first: Uint8Array;
  #clients = 0;

  private constructor(name: string, keys: Keys, first: Uint8Array) {
    this.name = name;
    this.dir = join(folder, name);
    this.repository = new TufRepository(this.dir);
    this.keys = keys;
    this.#first = first;
  }

  static async make(): Promise<Fixture> {
    const keys = newKeys();
    Fixture.#count += 1;
    const first = await signed(rootOf(keys), ...keys.root.slice(0, 2));
    const fixture = new Fixture(`r${Fixture.#count}`, keys, first);
    beginRepository(fixture.repository, first, now);
    await fixture.targets(1, ['boot/u-boot.bin']);
    return fixture;
  }

  async targets(version: number, paths: readonly string[], keys = this.keys, root?: Uint8Array) {
    const targets = await signed(targetsOf(version, paths), ...keys.targets);
    const more = root === undefined ? {} : { root };
    return publish(this.repository, { targets, files, online: ownOnlineKey(keys.online, POLICY), now, ...more });
  }

  /** The next root, signed by the old keys and the new. */
  async rotate(to: Keys, from: Keys, previous: TufRoot): Promise<Uint8Array> {
    return signed(rootOf(to, previous), ...from.root.slice(1), ...to.root.slice(0, 2));
  }

  /** A device that was given the first root in the factory. */
  client(): () => Updater {
    this.#clients += 1;
    const metadataDir = join(folder, `client-${this.name}-${this.#clients}`);
    mkdirSync(metadataDir);
    writeFileSync(join(metadataDir, 'root.json'), this.#first);
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/${this.name}`;
    return () =>
      new Updater({
        metadataDir,
        metadataBaseUrl: `${base}/metadata`,
        targetDir: metadataDir,
        targetBaseUrl: `${base}/targets`,
        config: { fetchRetries: 0 },
      });
  }

  file(name: string): string {
    return join(this.dir, name);
  }
}

async function fetched(updater: Updater, path: string): Promise<Buffer> {
  const info = await updater.getTargetInfo(path);
  assert.ok(info !== undefined, path);
  return readFileSync(await updater.downloadTarget(info));
}
const refused = (code: string) => (error: unknown) => error instanceof KeysteadError && error.code === code;

test('a fresh client takes real firmware, then what is new, and a timestamp renewed without people [tuf-js: TUF refresh, TUF download]', async () => {
  const fixture = await Fixture.make();
  const client = fixture.client();
  assert.deepEqual(await fetched(client(), 'boot/u-boot.bin'), readFileSync(UBOOT));

  await fixture.targets(2, ['boot/u-boot.bin', 'fw_jump.bin']);
  assert.deepEqual(await fetched(client(), 'fw_jump.bin'), readFileSync(OPENSBI));

  const again = await publish(fixture.repository, { online: ownOnlineKey(fixture.keys.online, POLICY), now });
  assert.deepEqual([again.targets, again.snapshot, again.timestamp], [2, 2, 3]);
  await client().refresh();
  assert.ok((await checkRepository(fixture.repository, now)).every(({ fault }) => fault === null));
});

test('a client goes through a root rotation with every key changed, and through two in a row [tuf-js: TUF refresh, TUF download, TUF root-rotation]', async () => {
  const fixture = await Fixture.make();
  const early = fixture.client();
  await early().refresh();

  const second = newKeys();
  const root2 = await fixture.rotate(second, fixture.keys, fixture.repository.root());
  // Targets that the new root does not know would strand every client.
  const alone = { root: root2, online: ownOnlineKey(second.online, POLICY), now };
  await assert.rejects(publish(fixture.repository, alone), refused('firmware.tuf-threshold'));
  await fixture.targets(2, ['fw_jump.bin'], second, root2);
  const between = fixture.client();
  assert.deepEqual(await fetched(between(), 'fw_jump.bin'), readFileSync(OPENSBI));

  const third = newKeys();
  const root3 = await fixture.rotate(third, second, fixture.repository.root());
  await fixture.targets(3, ['boot/u-boot.bin'], third, root3);
  for (const client of [early, between, fixture.client()]) {
    assert.deepEqual(await fetched(client(), 'boot/u-boot.bin'), readFileSync(UBOOT));
  }
  assert.equal(fixture.repository.root().version, 3);
});

test('a root may change the online key alone: the snapshot is signed again [tuf-js: TUF root-rotation]', async () => {
  const fixture = await Fixture.make();
  const client = fixture.client();
  await client().refresh();
  const keys = { ...fixture.keys, online: newKey() };
  const root = await fixture.rotate(keys, fixture.keys, fixture.repository.root());
  const after = await publish(fixture.repository, { root, online: ownOnlineKey(keys.online, POLICY), now });
  assert.deepEqual([after.root, after.targets, after.snapshot], [2, 1, 2]);
  await client().refresh();
});

test('a rollback of the repository is refused [tuf-js: TUF refresh]', async () => {
  const fixture = await Fixture.make();
  const old = readFileSync(fixture.file('metadata/timestamp.json'));
  await fixture.targets(2, ['fw_jump.bin']);
  const client = fixture.client();
  await client().refresh();
  writeFileSync(fixture.file('metadata/timestamp.json'), old);
  await assert.rejects(client().refresh(), /version|rollback/i);
});

test('a freeze ends with the timestamp: an expired one is refused [tuf-js: TUF refresh]', async () => {
  const fixture = await Fixture.make();
  const client = fixture.client();
  await client().refresh();
  // A day and a second ago this was made: what somebody between goes on giving out.
  const past = new Date(now.getTime() - (DAY + 1) * 1000);
  await publish(fixture.repository, { online: ownOnlineKey(fixture.keys.online, POLICY), now: past });
  await assert.rejects(client().refresh(), /expired/i);
  const timestamp = (await checkRepository(fixture.repository, now)).find(({ what }) => what === 'timestamp');
  assert.match(timestamp?.fault ?? '', /expires/);
});

test('metadata of two times together is refused [tuf-js: TUF refresh]', async () => {
  const fixture = await Fixture.make();
  await fixture.targets(2, ['fw_jump.bin']);
  const other = readFileSync(fixture.file('metadata/1.snapshot.json'));
  writeFileSync(fixture.file('metadata/2.snapshot.json'), other);
  await assert.rejects(fixture.client()().refresh(), /snapshot/i);
  await assert.rejects(checkRepository(fixture.repository, now), refused('firmware.tuf-repository'));
});

test('a target with other bytes is refused [tuf-js: TUF download]', async () => {
  const fixture = await Fixture.make();
  const bytes = readFileSync(UBOOT);
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  const sha256 = createHash('sha256').update(readFileSync(UBOOT)).digest('hex');
  writeFileSync(fixture.file(`targets/boot/${sha256}.u-boot.bin`), bytes);
  await assert.rejects(fetched(fixture.client()(), 'boot/u-boot.bin'), /hash/i);
  const file = (await checkRepository(fixture.repository, now)).find(({ what }) => what === 'boot/u-boot.bin');
  assert.match(file?.fault ?? '', /hash/);
});

test('signatures short of a threshold are refused by the client, and never published [tuf-js: TUF refresh, TUF root-rotation]', async () => {
  const fixture = await Fixture.make();
  const { keys, repository } = fixture;
  const few = await signed(targetsOf(2, ['fw_jump.bin']), ...keys.targets.slice(1));
  const publication = { online: ownOnlineKey(keys.online, POLICY), now, files };
  await assert.rejects(publish(repository, { ...publication, targets: few }), refused('firmware.tuf-threshold'));

  const next = newKeys();
  const root = rootOf(next, repository.root());
  for (const signers of [next.root, [...keys.root.slice(2), ...next.root], [...keys.root, ...next.root.slice(2)]]) {
    const short = await signed(root, ...signers);
    const targets = await signed(targetsOf(2, ['fw_jump.bin']), ...next.targets);
    const asked = { ...publication, online: ownOnlineKey(next.online, POLICY), root: short, targets };
    await assert.rejects(publish(repository, asked), refused('firmware.tuf-threshold'));
    writeFileSync(fixture.file('metadata/2.root.json'), short);
    await assert.rejects(fixture.client()().refresh(), /root/i);
    rmSync(fixture.file('metadata/2.root.json'));
  }
  await fixture.client()().refresh();
});
