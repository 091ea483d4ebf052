import { KeysteadError } from '@keystead/core/errors';
import { systemClock } from '../../clock/system.ts';
import { Backend } from './backend.ts';
import { readConfig } from './config.ts';
import { readKey } from './key-input.ts';

/**
 * The example backend as a process: `node main.ts <config.json> [--with-parent]`, with the TLS key as JSON `{"pkcs8": "<base64>"}` on
 * file descriptor 3 (or standard input, by `keyFrom`). Prints one JSON line `{"event":"ready","port":…,"statusPort":…}`
 * on standard output when it listens; logs JSON lines on standard error; ends with 0 on SIGTERM and SIGINT,
 * and with `--with-parent` when standard input closes, so that it does not outlive a supervisor that was killed.
 */
async function main(path: string | undefined, withParent: boolean): Promise<void> {
  if (path === undefined)
    throw new KeysteadError('backend.config-invalid', {
      field: 'argument',
      seen: 'none',
      remedy: 'give the path of the configuration file',
    });
  const config = readConfig(path);
  const key = readKey(config.keyFrom === 'fd3' ? 3 : 0);
  const log = (line: Readonly<Record<string, string | number>>): void => {
    process.stderr.write(`${JSON.stringify({ time: systemClock.now().toISOString(), ...line })}\n`);
  };
  const backend = await Backend.start({ config, key, clock: systemClock, log });
  process.stdout.write(`${JSON.stringify({ event: 'ready', port: backend.port, statusPort: backend.statusPort })}\n`);
  const stop = (): void => {
    backend.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  if (withParent) {
    process.stdin.on('end', stop);
    process.stdin.on('error', stop);
    process.stdin.resume();
  }
}

main(process.argv[2], process.argv[3] === '--with-parent').catch((error: unknown) => {
  const said =
    error instanceof KeysteadError ? error.toJSON() : { message: error instanceof Error ? error.message : 'unknown' };
  process.stderr.write(`${JSON.stringify({ event: 'failed', ...said })}\n`);
  process.exitCode = 1;
});
