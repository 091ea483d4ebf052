// The native addon for PKCS#11 tokens is optional for running Keystead and needed for testing it. npm builds it when
// there is a compiler, and leaves it out without a word when there is none.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { install, root, runtime } from './runtime.mjs';

const loads = () =>
  spawnSync(runtime(), ['-e', "require('pkcs11js')"], { cwd: join(root, 'packages', 'keystead'), stdio: 'ignore' })
    .status === 0;

const shown = { cwd: root, stdio: ['ignore', 2, 2] };
const rebuild = (...args) => spawnSync('npm', ['rebuild', 'pkcs11js', '--loglevel=error', ...args], shown);
const HEADERS = '/usr/include/node/node_api.h';

/** Builds the addon unless it loads; ends with 1 and the commands to run when it cannot be built. */
export function installAddon() {
  if (loads()) return;
  process.stderr.write('keystead: building pkcs11js, the addon for PKCS#11 tokens\n');
  // What npm left out altogether can only be installed anew.
  if (existsSync(join(root, 'node_modules', 'pkcs11js'))) rebuild();
  else install(true);
  if (loads()) return;
  // Without a way to nodejs.org, node-gyp finds no headers; Debian's libnode-dev has them (any version: it is N-API).
  if (!existsSync(HEADERS) && process.getuid?.() === 0) {
    spawnSync('apt-get', ['install', '-y', '--no-install-recommends', 'libnode-dev'], shown);
  }
  if (existsSync(HEADERS)) rebuild('--nodedir=/usr');
  if (loads()) return;
  process.stderr.write(
    'keystead: pkcs11js could not be built; the tests of tokens need it. Run this, then try again:\n' +
      "  sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends g++ make python3 libnode-dev'\n" +
      '  npm ci && npm rebuild pkcs11js --nodedir=/usr\n',
  );
  process.exit(1);
}
