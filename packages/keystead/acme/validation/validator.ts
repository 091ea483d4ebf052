import { KeysteadError } from '@keystead/core/errors';
import type { AcmeSettings } from '../../files/acme-settings.ts';
import type { Trial, Try } from '../trials.ts';
import { tryDns01 } from './dns-01.ts';
import { tryHttp01 } from './http-01.ts';
import { Names } from './names.ts';
import { AllowedNetworks } from './networks.ts';
import { tryTlsAlpn01 } from './tls-alpn-01.ts';

/**
 * Looks at hosts by the rules of the settings, each try in its time. There is no check of CAA records (RFC 8659): names
 * are given by an operator's signature here, and by no public CA's rules.
 */
export function validator(settings: AcmeSettings): Try {
  const networks = new AllowedNetworks(settings.allowedNetworks);
  const names = new Names(settings.resolvers);
  const { httpPort, tlsPort } = settings;
  const look = async (trial: Trial, signal: AbortSignal): Promise<void> => {
    switch (trial.type) {
      case 'http-01':
        return tryHttp01(trial, { networks, names, httpPort, tlsPort }, signal);
      case 'dns-01':
        return tryDns01(trial, names);
      case 'tls-alpn-01':
        return tryTlsAlpn01(trial, { networks, names, port: tlsPort }, signal);
    }
  };
  return async (trial, end) => {
    const timeout = AbortSignal.timeout(settings.tryTimeoutSeconds * 1000);
    const signal = AbortSignal.any([end, timeout]);
    const late = new Promise<never>((_resolve, reject) => {
      const seen = `no answer in ${settings.tryTimeoutSeconds} s`;
      const give = (): void => reject(new KeysteadError('acme.connection', { field: trial.identifier.value, seen }));
      signal.addEventListener('abort', give, { once: true });
      if (signal.aborted) give();
    });
    await Promise.race([look(trial, signal), late]);
  };
}
