// The foreign clients and tools that the tests prove Keystead against, as Debian packages.
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';

/**
 * A package is there when its command starts and, where that does not tell, prints `says` or (`succeeds`) ends with 0.
 * strongSwan's plugins are packages that are only recommended: without them pki starts, and knows neither ECDSA nor HTTP.
 */
const PEERS = [
  { package: 'openssl', command: 'openssl', args: ['version'] },
  { package: 'curl', command: 'curl', args: ['--version'] },
  { package: 'strongswan-pki', command: 'pki', args: ['--help'] },
  { package: 'libstrongswan-standard-plugins', command: 'pki', args: ['--help'], says: /loaded plugins:.* openssl/ },
  { package: 'libstrongswan-extra-plugins', command: 'pki', args: ['--help'], says: /loaded plugins:.* curl/ },
  { package: 'gnutls-bin', command: 'ocsptool', args: ['--version'] },
  { package: 'iproute2', command: 'ip', args: ['-V'] },
  { package: 'util-linux', command: 'unshare', args: ['--version'] },
  { package: 'softhsm2', command: 'softhsm2-util', args: ['--version'] },
  { package: 'opensc', command: 'pkcs11-tool', args: ['--help'] },
  { package: 'g++', command: 'g++', args: ['--version'] },
  { package: 'make', command: 'make', args: ['--version'] },
  { package: 'python3', command: 'python3', args: ['--version'] },
  { package: 'python3-yaml', command: 'python3', args: ['-c', 'import yaml'] },
  { package: 'swtpm', command: 'swtpm', args: ['--version'] },
  { package: 'swtpm-tools', command: 'swtpm_setup', args: ['--version'] },
  { package: 'tpm2-tools', command: 'tpm2_getcap', args: ['--version'] },
  // What tpm2-tools reach swtpm through is a package of its own that none of them asks for; it fails in its own words.
  {
    package: 'libtss2-tcti-swtpm0',
    command: 'tpm2_getcap',
    args: ['-T', 'swtpm:path=/', 'algorithms'],
    says: /tcti-swtpm\.c/,
  },
  { package: 'age', command: 'age', args: ['--version'] },
  { package: 'openssh-client', command: 'ssh', args: ['-V'], says: /OpenSSH/ },
  { package: 'sbsigntool', command: 'sbverify', args: ['--version'] },
  { package: 'u-boot-tools', command: 'dumpimage', args: ['-V'] },
  { package: 'device-tree-compiler', command: 'dtc', args: ['--version'] },
  { package: 'rauc', command: 'rauc', args: ['--version'] },
  { package: 'squashfs-tools', command: 'mksquashfs', args: ['-version'] },
  { package: 'efitools', command: 'cert-to-efi-sig-list', args: ['--version'] },
  // Firmware to sign, which has no command.
  ...[
    ['u-boot-qemu', '/usr/lib/u-boot/qemu_arm64/u-boot.bin'],
    ['ovmf', '/usr/share/OVMF/OVMF_CODE.fd'],
    ['opensbi', '/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.bin'],
  ].map(([name, file]) => ({ package: name, command: 'test', args: ['-s', file], succeeds: true })),
  // The C side of the device: built for the host with mbedTLS, and for a Cortex-M that an emulator runs.
  { package: 'gcc', command: 'gcc', args: ['--version'] },
  { package: 'binutils', command: 'nm', args: ['--version'] },
  { package: 'libmbedtls-dev', command: 'test', args: ['-s', '/usr/include/mbedtls/x509_crt.h'], succeeds: true },
  { package: 'gcc-arm-none-eabi', command: 'arm-none-eabi-gcc', args: ['--version'] },
  {
    package: 'libnewlib-arm-none-eabi',
    command: 'arm-none-eabi-gcc',
    args: ['-specs=nano.specs', '-x', 'c', '-E', '/dev/null', '-include', 'string.h'],
    succeeds: true,
  },
  { package: 'qemu-system-arm', command: 'qemu-system-arm', args: ['--version'] },
  // EDK II with Secure Boot, which verifies what was signed for it; it starts on the emulator's 64-bit board.
  { package: 'qemu-efi-aarch64', command: 'test', args: ['-s', '/usr/share/AAVMF/AAVMF_CODE.fd'], succeeds: true },
  { package: 'systemd', command: 'systemd-analyze', args: ['--version'] },
  { package: 'lego', command: 'lego', args: ['--version'] },
  { package: 'certbot', command: 'certbot', args: ['--version'] },
  // By their paths: an ordinary user's PATH has no sbin.
  { package: 'nginx-light', command: '/usr/sbin/nginx', args: ['-v'] },
  { package: 'mosquitto', command: '/usr/sbin/mosquitto', args: ['-h'] },
  // A browser to register passkeys with. Its version is told without a window and without a profile.
  { package: 'chromium', command: 'chromium', args: ['--version'] },
  { package: 'mosquitto-clients', command: 'mosquitto_pub', args: ['--help'] },
];

function isThere({ command, args, says, succeeds }) {
  const { error, stdout, stderr, status } = spawnSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (error?.code === 'ENOENT') return false;
  if (succeeds === true) return status === 0;
  return says === undefined || says.test(`${stdout}${stderr}`);
}

const missing = () => PEERS.filter((peer) => !isThere(peer)).map((peer) => peer.package);

/**
 * The tests start servers of their own: a web server and a broker that begin to listen on a newcomer's machine because
 * of its tests are nobody's wish. Debian asks this file before it starts a service; 101 is 'not allowed'.
 */
function withoutStartingServices(install) {
  const rule = '/usr/sbin/policy-rc.d';
  try {
    writeFileSync(rule, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' });
  } catch {
    // There is one already, which is the machine's own.
    return install();
  }
  try {
    return install();
  } finally {
    rmSync(rule, { force: true });
  }
}

/** Installs the missing packages as root; otherwise names the one command that does, and ends with 1. */
export function installPeers() {
  const wanted = missing();
  if (wanted.length === 0) return;
  const command = `apt-get update && apt-get install -y --no-install-recommends ${wanted.join(' ')}`;
  if (process.getuid?.() !== 0) {
    process.stderr.write(
      `The tests need Debian packages that are not here. Run this once, then try again:\n  sudo sh -c '${command}'\n`,
    );
    process.exit(1);
  }
  process.stderr.write(`keystead: installing ${wanted.join(', ')} from Debian\n`);
  const apt = withoutStartingServices(() =>
    spawnSync('sh', ['-c', command], {
      stdio: ['ignore', 2, 2],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }),
  );
  const still = missing();
  if (apt.status !== 0 || still.length > 0) {
    process.stderr.write(`keystead: could not install ${still.join(', ')}; the tests cannot run without them.\n`);
    process.exit(1);
  }
}
