import { KeysteadError } from '@keystead/core/errors';
import type { AuthorisedSubject } from '@keystead/core/lifecycle';
import { nameValues, type ParsedCsr, type Profile } from '@keystead/core/x509';

/**
 * For whom a request under an authorisation asks: a device by the common name, a host by its alternative names or, where
 * there are none, by the common name. It is what is asked, and no more: whether the authorisation allows it is looked at
 * here and in keyd.
 * @throws KeysteadError `csr.names-missing` for a request that names nothing, or more than one device.
 */
export function askedSubject(csr: ParsedCsr, profile: Profile): AuthorisedSubject {
  const common = nameValues(csr.subject, 'CN');
  const [first] = common;
  if (profile.subject.commonName === 'device-id') {
    if (first === undefined || common.length > 1) throw missing(`${common.length} common names`);
    return { deviceId: first };
  }
  const named = (csr.requested.subjectAltName ?? []).map((entry) => entry.replace(/^(DNS|IP):/, ''));
  // The first one becomes the common name of the certificate, so the one that the request has there stands first.
  const hosts = [...new Set(first !== undefined && named.includes(first) ? [first, ...named] : named)];
  if (hosts.length > 0) return { hosts };
  if (first === undefined) throw missing('no name');
  return { hosts: [first] };
}

const missing = (seen: string): KeysteadError => new KeysteadError('csr.names-missing', { field: 'csr', seen });
