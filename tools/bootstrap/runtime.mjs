// The first thing that runs on a new machine, on whatever Node.js >= 20 is there. Plain JavaScript, no
// packages: it installs what package-lock.json pins (the Node.js 24 binary is one of those packages) and
// hands over to that runtime.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, fstatSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const WANTED_MAJOR = 24;
const stamp = join(root, 'node_modules', '.keystead-lock');

function lockHash() {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
}

function stop(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** Installs the locked packages unless node_modules already holds exactly them; `anew` also then. */
export function install(anew = false) {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) stop(`Keystead needs Node.js 20 or later to install itself; this is ${process.version}.`);
  const hash = lockHash();
  if (!anew && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  process.stderr.write('keystead: installing the locked packages (npm ci), about 70 MB to fetch\n');
  const npm = spawnSync('npm', ['ci', '--loglevel=error'], { cwd: root, stdio: ['ignore', 2, 2] });
  if (npm.error) stop(`keystead: npm could not be started: ${npm.error.message}`);
  if (npm.status !== 0) stop('keystead: npm ci failed; its own message stands above. Nothing was started.');
  writeFileSync(stamp, hash);
}

/** The path of a Node.js >= 24: the one running, or the pinned one. */
export function runtime() {
  if (Number(process.versions.node.split('.')[0]) >= WANTED_MAJOR) return process.execPath;
  const name = `node-${process.platform}-${process.arch}`;
  for (const base of [join(root, 'node_modules'), join(root, '..')]) {
    const binary = join(base, name, 'bin', 'node');
    if (existsSync(binary)) return binary;
  }
  return stop(
    `keystead: there is no pinned Node.js ${WANTED_MAJOR} for ${process.platform}-${process.arch}; ` +
      `install Node.js ${WANTED_MAJOR} or later yourself and try again.`,
  );
}

/** Standard streams, and each descriptor that an option such as `--passphrase-fd 3` names: secrets come over these. */
function streams(args) {
  const stdio = ['inherit', 'inherit', 'inherit'];
  args.forEach((arg, at) => {
    const [, given = args[at + 1]] = /^--[a-z-]+-fd(?:=(\d+))?$/.exec(arg) ?? [undefined, ''];
    const fd = /^\d{1,3}$/.test(given ?? '') ? Number(given) : 0;
    for (let fill = stdio.length; fill < fd; fill += 1) stdio[fill] = 'ignore';
    if (fd > 2) stdio[fd] = open(fd, arg);
  });
  return stdio;
}

/** A descriptor that the caller opened; to hand one on that is not open would end with no word of why. */
function open(fd, option) {
  try {
    fstatSync(fd);
    return fd;
  } catch {
    const name = option.split('=', 1)[0];
    return stop(`keystead: ${name} ${fd}: this file descriptor is not open; open it where you call, as in ${fd}< FILE`);
  }
}

/** Runs a TypeScript file of the workspace on the pinned runtime, passes signals on, and ends as it ends. */
export function run(script, args, nodeFlags = []) {
  const node = runtime();
  const env = { ...process.env };
  env.PATH = [join(node, '..'), join(root, 'node_modules', '.bin'), env.PATH].join(delimiter);
  const flags = ['--disable-warning=ExperimentalWarning', ...nodeFlags];
  const child = spawn(node, [...flags, join(root, script), ...args], { stdio: streams(args), env });
  // On a terminal Ctrl-C reaches the child too; it takes two interrupts close together for one.
  process.on('SIGINT', () => child.kill('SIGINT'));
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.on('SIGHUP', () => child.kill('SIGHUP'));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : signal === 'SIGTERM' ? 143 : 1);
  });
}
