import { join } from 'node:path';
import type { Layout } from '../files/layout.ts';
import { confineKeyd, confineServe } from './confinement.ts';
import { Service, type ServiceOptions } from './process.ts';

type Launch = Pick<ServiceOptions, 'onExit'> & {
  /** Base64 of the 32 bytes that both services get. */
  readonly channelKey: string;
  /** Name of the log without its ending; that of the service unless told. */
  readonly logName?: string;
};

/** Starts keyd with no more rights than it needs. Its user is that of its directory. REQ-KEY-STO-03 */
export function launchKeyd(layout: Layout, options: Launch & { readonly passphrase: string }): Service {
  const { channelKey, passphrase, onExit, logName = 'keyd' } = options;
  return new Service({
    name: 'keyd',
    args: ['keyd', '--data', layout.data, '--secrets-fd', '3', '--with-parent'],
    secrets: { passphrase, channelKey },
    logFile: join(layout.logs, `${logName}.log`),
    onExit,
    confinement: confineKeyd(),
  });
}

/** Starts serve, as the user that its database's directory belongs to. */
export function launchServe(layout: Layout, { channelKey, onExit, logName = 'serve' }: Launch): Service {
  return new Service({
    name: 'serve',
    args: ['serve', '--data', layout.data, '--secrets-fd', '3', '--with-parent'],
    secrets: { channelKey },
    logFile: join(layout.logs, `${logName}.log`),
    onExit,
    confinement: confineServe(),
  });
}
