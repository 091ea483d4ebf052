import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, toPem } from '@keystead/core/bytes';
import { authenticode, imageOf, uefiCertificateLists, uefiDigestList } from '@keystead/core/firmware';
import { imageDigestOf } from '../../packages/core/firmware/authenticode/indirect-data.ts';
import { wholeOf } from '../../packages/core/firmware/tests/signing-key.ts';
import { firmwareOf, signImage } from '../../packages/keystead/keyd/tests/firmware-algorithms-bed.ts';
import { FirmwareBed } from '../../packages/keystead/keyd/tests/firmware-bed.ts';
import { stamped } from '../../packages/keystead/signing/time-stamps.ts';
import { buildKernel, controlTree, KERNEL_AT, UBoot } from './boards/u-boot.ts';
import { bootUefi } from './boards/uefi.ts';
import { uefiProgram } from './boards/uefi-program.ts';
import { keystead } from './foreign.ts';

/** Boot loaders of Debian on boards of QEMU: they trust what `keystead sign anchors` writes, and start what keyd signed. */
const KEYS = {
  boot: { algorithm: 'RSA-3072', formats: ['fit'] },
  'boot-next': { algorithm: 'RSA-4096', formats: ['fit'] },
  'boot-pss': { algorithm: 'RSA-3072', signature: 'RSASSA-PSS-SHA256-longest', formats: ['fit'] },
  'boot-ec': { algorithm: 'P-256', formats: ['fit'] },
  uefi: { algorithm: 'RSA-3072', formats: ['authenticode'] },
  'uefi-old': { algorithm: 'RSA-3072', formats: ['authenticode'] },
  'uefi-ec': { algorithm: 'P-256', formats: ['authenticode'] },
  lab: { algorithm: 'RSA-3072', formats: ['fit', 'authenticode'], environment: 'development' },
} as const;

const PRODUCTION = ['boot', 'boot-next', 'boot-pss', 'boot-ec', 'uefi', 'uefi-old', 'uefi-ec'] as const;

let bed: FirmwareBed;
let dir: string;
before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'keystead-boot-'));
  const keys = Object.entries(KEYS).map(([id, key]) => [id, { ...key, formats: [...key.formats] }]);
  bed = await FirmwareBed.make({ firmware: firmwareOf(Object.fromEntries(keys), ['fit', 'authenticode']) });
});
after(async () => {
  await bed?.keyd.remove();
  rmSync(dir, { recursive: true, force: true });
});

const at = (name: string): string => join(dir, name);
const write = (name: string, bytes: Uint8Array | string): string => {
  writeFileSync(at(name), bytes);
  return name;
};
const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd: dir, encoding: 'utf8', stdio: 'pipe' });

async function certificateOf(id: keyof typeof KEYS): Promise<DerCertificate> {
  const { keys } = await bed.keyd.client.firmwareKeys();
  const certificate = keys.find((key) => key.id === id)?.certificate;
  assert.ok(certificate, id);
  return certificate as DerCertificate;
}

/** What the boot chain of the product in production trusts, by the policy in force and the certificates of keyd's keys. */
async function anchors(format: 'u-boot' | 'uefi-esl'): Promise<Uint8Array> {
  const policy = ['--policy', at(write('policy.json', await bed.policy()))];
  const scope = ['--product', 'KS-PUMP-1', '--environment', 'production'];
  const certificates = [];
  for (const id of PRODUCTION) {
    const file = write(`${id}.pem`, toPem('CERTIFICATE', await certificateOf(id)));
    certificates.push('--certificate', `${id}=${at(file)}`);
  }
  const out = at(`anchors.${format}`);
  const args = ['sign', 'anchors', ...policy, ...scope, '--format', format, ...certificates, '--out', out];
  const { status, stderr } = await keystead(args);
  assert.equal(status, 0, stderr);
  return new Uint8Array(readFileSync(out));
}

const signed = async (
  format: 'fit' | 'authenticode',
  image: Uint8Array,
  key: keyof typeof KEYS,
): Promise<Uint8Array> => {
  const environment = key === 'lab' ? 'development' : 'production';
  return (await signImage(bed, format, image, [key], { environment })).signed;
};

/** A kernel and a device tree in a configuration with a place for a signature, and the same in one that has none. */
function tree(algorithm: string, hint: string, more = ''): Uint8Array {
  write(
    'image.its',
    `/dts-v1/; / { description = "Pump"; #address-cells = <1>;
    images {
      kernel { data = /incbin/("kernel.bin"); type = "kernel"; os = "linux"; arch = "arm"; compression = "none";
        load = <${KERNEL_AT}>; entry = <${KERNEL_AT}>; hash-1 { algo = "sha256"; }; };
      fdt-1 { data = /incbin/("device.dtb"); type = "flat_dt"; arch = "arm"; compression = "none"; hash-1 { algo = "sha256"; }; };
    };
    configurations { default = "conf-1";
      conf-1 { kernel = "kernel"; fdt = "fdt-1"; signature-1 { algo = "${algorithm}"; ${more} key-name-hint = "${hint}"; sign-images = "kernel"; }; };
      conf-2 { kernel = "kernel"; fdt = "fdt-1"; };
    }; };`,
  );
  run('mkimage', '-f', 'image.its', 'image.itb');
  return new Uint8Array(readFileSync(at('image.itb')));
}

/** Puts other octets of the same length in the place of some. */
function altered(bytes: Uint8Array, from: string, to: string, encoding: 'latin1' | 'utf16le'): Uint8Array {
  const copy = Buffer.from(bytes);
  const place = copy.indexOf(from, 0, encoding);
  assert.notEqual(place, -1, from);
  copy.write(to, place, encoding);
  return copy;
}

/** A signed tree of which an image was altered, and its hash with it. */
function rehash(name: string, tree: Uint8Array, image: string, file: string, from: string, to: string): void {
  write(name, altered(tree, from, to, 'latin1'));
  const digest = createHash('sha256')
    .update(altered(readFileSync(at(file)), from, to, 'latin1'))
    .digest('hex');
  run('fdtput', '-t', 'bx', name, `/images/${image}/hash-1`, 'value', ...(digest.match(/../g) ?? []));
}

test('U-Boot boots the configuration that a key of its device tree signed, and none that was altered, is unsigned, or is signed by another key [U-Boot: FIT RSA-3072 boot, FIT RSA-4096 verify, Anchors U-Boot trust]', async () => {
  buildKernel(dir, 'kernel.bin');
  // U-Boot takes the configuration whose device tree names the board.
  write(
    'device.dts',
    '/dts-v1/; / { compatible = "linux,dummy-virt"; model = "The board"; #address-cells = <1>; #size-cells = <1>; };',
  );
  run('dtc', '-O', 'dtb', '-o', 'device.dtb', 'device.dts');
  controlTree(dir, Buffer.from(await anchors('u-boot')).toString(), 'control.dtb');
  const place = tree('sha256,rsa3072', 'boot');
  const good = await signed('fit', place, 'boot');
  write('good.itb', good);
  write('next.itb', await signed('fit', tree('sha384,rsa4096', 'boot-next'), 'boot-next'));
  write('plain.itb', place);
  write('altered.itb', altered(good, 'The kernel', 'No kernel!', 'latin1'));
  // What whoever alters an image can put right: its hash, which the signature covers, named in sign-images or not.
  rehash('kernel.itb', good, 'kernel', 'kernel.bin', 'The kernel', 'No kernel!');
  rehash('device.itb', good, 'fdt-1', 'device.dtb', 'The board', 'No board!');
  write('stripped.itb', good);
  run('fdtput', '-r', 'stripped.itb', '/configurations/conf-1/signature-1');
  // Of the same firm, for the other environment, in the name of the key that the device knows.
  write('lab.itb', await signed('fit', place, 'lab'));
  // The device tree has these keys too, but this U-Boot neither scheme: what it cannot verify it does not boot.
  write('pss.itb', await signed('fit', tree('sha256,rsa3072', 'boot-pss', 'padding = "pss";'), 'boot-pss'));
  write('ec.itb', await signed('fit', tree('sha256,ecdsa256', 'boot-ec'), 'boot-ec'));
  const whole = ['good.itb', 'next.itb'];
  const unsigned = ['plain.itb', 'stripped.itb', 'kernel.itb', 'device.itb', 'lab.itb', 'pss.itb', 'ec.itb'];
  await using board = await UBoot.on(dir, 'control.dtb', [...whole, 'altered.itb', ...unsigned]);
  const says = (image: string, configuration = ''): Promise<string> =>
    board.says(`bootm start ${board.at(image)}${configuration}`);
  assert.match(
    await says('good.itb'),
    /sha256,rsa3072:boot\+ OK\n +Trying 'kernel'[\s\S]* sha256\+ OK[\s\S]* sha256\+ OK/,
  );
  assert.match(
    await says('next.itb'),
    /sha384,rsa4096:boot-next\+ OK\n +Trying 'kernel'[\s\S]* sha256\+ OK[\s\S]* sha256\+ OK/,
  );
  assert.match(
    await says('altered.itb'),
    /sha256,rsa3072:boot\+ OK\n[\s\S]*Bad hash value for 'hash-1' hash node in 'kernel'[\s\S]*ERROR: can't get kernel image!$/,
  );
  for (const [image, configuration] of [...unsigned.map((name) => [name, '']), ['good.itb', '#conf-2']] as const) {
    const printed = await says(image, configuration);
    assert.match(
      printed,
      /Failed to verify 'any' of the required signature\(s\)\n[\s\S]*ERROR: can't get kernel image!$/,
      image,
    );
    assert.doesNotMatch(printed, /\+ OK/, image);
  }
  const booted = await board.boots(`bootm ${board.at('good.itb')}`);
  assert.match(booted, /Starting kernel \.\.\.\n\n\nThe kernel of the tests runs\.\n$/);
});

/** What UEFI firmware said of each program: what it printed, or why the firmware did not load it. */
function outcomes(printed: string): Record<string, string> {
  const loaded =
    /^BdsDxe: loading Boot\w+ "(\w+)" .*\n(?:BdsDxe: starting .*\n(.*)\n|BdsDxe: failed to load .*: (.*)\n)/gm;
  return Object.fromEntries(
    [...printed.matchAll(loaded)].map(([, name, said, refused]) => [name, said ?? refused ?? '']),
  );
}

/** A program whose signature has a time stamp, as the signing room has it made. */
async function stampedProgram(line: string): Promise<Uint8Array> {
  const program = uefiProgram(line);
  const { made, subject } = await signImage(bed, 'authenticode', program, ['uefi']);
  const signatures = made.map((one) => ({ ...one, key: 'uefi' }));
  const tokens = await stamped(bed.keyd.client, 'required', signatures, 'stamped');
  return wholeOf(authenticode.assemble(imageOf(program), subject, tokens));
}

test('EDK II with Secure Boot starts the programs that a key of its db signed, but not those that are altered, unsigned, signed by another key, or of which the dbx has the key or the digest [EDK II: Authenticode RSA-3072 boot, Authenticode boot with time stamp, Anchors UEFI db, UEFI ESL dbx]', async () => {
  const programs = new Map<string, Uint8Array>();
  for (const [name, key] of [
    ['good', 'uefi'],
    ['old', 'uefi-old'],
    ['recalled', 'uefi'],
    ['curve', 'uefi-ec'],
    ['lab', 'lab'],
  ] as const)
    programs.set(name, await signed('authenticode', uefiProgram(`${name} runs`), key));
  programs.set('plain', uefiProgram('plain runs'));
  programs.set('altered', altered(programs.get('good') ?? new Uint8Array(), 'good', 'evil', 'utf16le'));
  programs.set('stamped', await stampedProgram('stamped runs'));
  programs.set('last', await signed('authenticode', uefiProgram('last runs', 'turn off'), 'uefi'));
  const owner = '77fa9abd-0359-4d32-bd60-28f4e78f784b';
  const { certificates } = await bed.keyd.client.trust();
  const root = certificates['signing-root'];
  assert.ok(root);
  const platform = uefiCertificateLists([root as DerCertificate], owner);
  const own = { PK: platform, KEK: platform, db: await anchors('uefi-esl') };
  // The OpenSSL of EDK II 2022.11 has no elliptic curves.
  const refused = { curve: 'Access Denied', lab: 'Access Denied', plain: 'Access Denied', altered: 'Access Denied' };
  assert.deepEqual(outcomes(await bootUefi(dir, new Map(Object.entries(own)), programs)), {
    ...{ good: 'good runs', old: 'old runs', recalled: 'recalled runs', stamped: 'stamped runs' },
    ...refused,
    last: 'last runs',
  });

  const { subject } = await authenticode.read(imageOf(uefiProgram('recalled runs')));
  const dbx = Buffer.concat([
    uefiCertificateLists([await certificateOf('uefi-old')], owner),
    uefiDigestList([imageDigestOf(subject)], owner),
  ]);
  assert.deepEqual(outcomes(await bootUefi(dir, new Map(Object.entries({ ...own, dbx })), programs)), {
    ...{ good: 'good runs', old: 'Access Denied', recalled: 'Access Denied', stamped: 'stamped runs' },
    ...refused,
    last: 'last runs',
  });
});
