import { KeysteadError } from '@keystead/core/errors';
import type { AuthorisedSubject } from '@keystead/core/lifecycle';
import { checkDeviceId, hostSan, wildcardSan } from '@keystead/core/x509';
import type { AcmeIdentifierType } from '../store/index.ts';
import { RejectedIdentifiers } from './errors.ts';
import type { Identifier } from './identifier.ts';

/** A name that was checked. `value` is without the `*.` of a wildcard. */
export interface OrderedName {
  readonly type: AcmeIdentifierType;
  readonly value: string;
  readonly wildcard: boolean;
}

/** As many names as a certificate request of the usual kind has; each costs an authorization. */
export const MOST_IDENTIFIERS = 64;

/**
 * The names of a new order, each once, in the order in which they came: hosts, or one device.
 * @throws RejectedIdentifiers with what is wrong with each; KeysteadError `acme.malformed` for another form of list.
 */
export function orderedNames(identifiers: readonly Identifier[]): OrderedName[] {
  const rejected: { identifier: Identifier; error: KeysteadError }[] = [];
  const names = new Map<string, OrderedName>();
  for (const identifier of identifiers) {
    try {
      names.set(`${identifier.type} ${identifier.value}`, nameOf(identifier));
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      rejected.push({ identifier, error });
    }
  }
  if (rejected.length > 0) throw new RejectedIdentifiers(rejected);
  const all = [...names.values()];
  if (all.length > 1 && all.some(({ type }) => type === 'permanent-identifier')) {
    throw new KeysteadError('acme.malformed', { field: 'identifiers', seen: 'a device beside other identifiers' });
  }
  return all;
}

function nameOf({ type, value }: Identifier): OrderedName {
  switch (type) {
    case 'dns':
      return dnsName(value);
    case 'ip': {
      // RFC 8738 section 3: the text of RFC 5952, so that one address has one name.
      if (tried(() => hostSan(value)) !== `IP:${value}`) throw malformed('an address in its canonical text', value);
      return { type, value, wildcard: false };
    }
    case 'permanent-identifier':
      return deviceName(value);
  }
  throw new KeysteadError('acme.identifier-unsupported', { field: 'type', seen: JSON.stringify(type.slice(0, 40)) });
}

function dnsName(value: string): OrderedName {
  const wildcard = value.startsWith('*.');
  const san = tried(() => (wildcard ? wildcardSan(value) : hostSan(value)));
  if (san !== `DNS:${value}`) {
    throw new KeysteadError('acme.identifier-rejected', {
      field: 'value',
      seen: `${JSON.stringify(value.slice(0, 80))}: not a host name in lower case of at most 64 characters`,
    });
  }
  return { type: 'dns', value: wildcard ? value.slice(2) : value, wildcard };
}

/** draft-ietf-acme-device-attest-10 section 3.1: the identity, and after a slash who assigned it. */
function deviceName(value: string): OrderedName {
  const form = /^[^/]+(?:\/(?:[01]\.(?:[1-3]?\d)|2\.(?:0|[1-9]\d*))(?:\.(?:0|[1-9]\d*))*)?$/;
  if (!form.test(value) || !value.isWellFormed()) throw malformed('a permanent-identifier-value', value);
  if (tried(() => checkDeviceId(value)) === undefined) {
    throw new KeysteadError('acme.identifier-rejected', {
      field: 'value',
      seen: `${JSON.stringify(value.slice(0, 80))}: no id of a device here, which has no assigner`,
    });
  }
  return { type: 'permanent-identifier', value, wildcard: false };
}

const malformed = (wanted: string, value: string): KeysteadError =>
  new KeysteadError('acme.malformed', { field: 'value', seen: `${JSON.stringify(value.slice(0, 80))}: not ${wanted}` });

function tried(read: () => string): string | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof KeysteadError) return undefined;
    throw error;
  }
}

/** The name as an identifier of an order has it. */
export const identifierOf = ({ type, value, wildcard }: OrderedName): Identifier => ({
  type,
  value: wildcard ? `*.${value}` : value,
});

/** For whom the certificate of an order is, as the authority and keyd take it. `first` becomes the common name. */
export function subjectOfNames(names: readonly OrderedName[], first?: string): AuthorisedSubject {
  const [device] = names;
  if (device?.type === 'permanent-identifier') return { deviceId: device.value };
  const hosts = names.map((name) => identifierOf(name).value);
  const leading = first !== undefined && hosts.includes(first) ? [first] : [];
  return { hosts: [...new Set([...leading, ...hosts])] };
}
