// The native addon for PKCS#11 tokens is optional for running Keystead and needed for testing it. npm builds it when
// there is a compiler, and leaves it out without a word when there is none.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { install, root, runtime } from './runtime.mjs';

const loads = () =>
  spawnSync(runtime(), ['-e', "require('pkcs11js')"], { cwd: join(root, 'packages', 'pkcs11'), stdio: 'ignore' })
    .status === 0;

const shown = { cwd: root, stdio: ['ignore', 2, 2] };
const rebuild = () => spawnSync('npm', ['rebuild', 'pkcs11js', '--loglevel=error'], shown);

/** @param nodedir where `include/node` lies; node-gyp looks for itself when not given. */
function build(nodedir) {
  // What npm left out altogether, as it does when an optional package cannot be built, can only be installed anew.
  const there = existsSync(join(root, 'node_modules', 'pkcs11js'));
  if (nodedir !== undefined) process.env.npm_config_nodedir = nodedir;
  if (there) rebuild();
  else install(true);
}

/** The headers out of Debian's package, unpacked and not installed: it would bring a Node.js of its own. */
function debianHeaders() {
  const dir = join(tmpdir(), `keystead-node-headers-${process.pid}`);
  mkdirSync(dir, { recursive: true });
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  spawnSync('apt-get', ['download', 'libnode-dev'], { ...shown, cwd: dir });
  const [deb] = readdirSync(dir).filter((name) => name.endsWith('.deb'));
  if (deb === undefined) return undefined;
  return spawnSync('dpkg', ['-x', deb, '.'], { ...shown, cwd: dir }).status === 0 ? join(dir, 'usr') : undefined;
}

/** Builds the addon unless it loads; ends with 1 and the commands to run when it cannot be built. */
export function installAddon() {
  if (loads()) return;
  process.stderr.write('keystead: building pkcs11js, the addon for PKCS#11 tokens\n');
  build();
  if (loads()) return;
  // Without a way to nodejs.org, node-gyp finds no headers; Debian's libnode-dev has them (any version: it is N-API).
  const headers = debianHeaders();
  if (headers !== undefined) build(headers);
  if (loads()) return;
  process.stderr.write(
    'keystead: pkcs11js could not be built; the tests of tokens need it. Run this, then try again:\n' +
      "  sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends g++ make python3'\n" +
      '  npm ci --nodedir=DIR    # DIR/include/node holds the headers of Node.js\n',
  );
  process.exit(1);
}
