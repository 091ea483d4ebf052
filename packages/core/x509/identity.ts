import { KeysteadError } from '../errors/index.ts';
import { ipOctets, ipText } from './ip-address.ts';

/**
 * What a device id may be: 1 to 64 of A-Z a-z 0-9 . - and first a letter or digit. These are the characters that an
 * X520SerialNumber (PrintableString, RFC 5280 appendix A.1), a URN (RFC 8141) and a file name have in common, and
 * 64 is ub-serial-number. An underscore is not a PrintableString character.
 */
const DEVICE_ID = /^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/;
const PERSON_NAME = /^[a-z0-9][a-z0-9.-]{0,63}$/;
/** A host name in LDH labels (RFC 1123 section 2.1), at most 64 characters so that it is also a common name. */
const HOST_NAME = /^(?=.{1,64}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

const DEVICE_URN = 'urn:keystead:device:';
const PERSON_URN = 'urn:keystead:person:';

/** The id itself. @throws KeysteadError `device.id-malformed` */
export function checkDeviceId(id: string): string {
  if (!DEVICE_ID.test(id)) throw new KeysteadError('device.id-malformed', { field: 'deviceId', seen: shorten(id) });
  return id;
}

/** The URN that stands for a device in subjectAltName. @throws KeysteadError `device.id-malformed` */
export const deviceUrn = (deviceId: string): string => `${DEVICE_URN}${checkDeviceId(deviceId)}`;

/** The name itself. @throws KeysteadError `person.name-malformed` */
export function checkPersonName(name: string): string {
  if (!PERSON_NAME.test(name)) throw new KeysteadError('person.name-malformed', { field: 'name', seen: shorten(name) });
  return name;
}

/** The URN that stands for a person in subjectAltName. @throws KeysteadError `person.name-malformed` */
export const personUrn = (name: string): string => `${PERSON_URN}${checkPersonName(name)}`;

/** The device id in a subjectAltName entry such as `URI:urn:keystead:device:pump-1`, or undefined. */
export function deviceIdOf(san: readonly string[]): string | undefined {
  return idAfter(san, `URI:${DEVICE_URN}`, DEVICE_ID);
}

/** The name in a subjectAltName entry such as `URI:urn:keystead:person:ada`, or undefined. */
export function personNameOf(san: readonly string[]): string | undefined {
  return idAfter(san, `URI:${PERSON_URN}`, PERSON_NAME);
}

/** The one id that follows `prefix`; two of them name nobody. */
function idAfter(san: readonly string[], prefix: string, form: RegExp): string | undefined {
  const ids = san.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  const [id] = ids;
  return ids.length === 1 && id !== undefined && form.test(id) ? id : undefined;
}

/**
 * The subjectAltName entry of a host: `IP:…` for an address, in its canonical text, `DNS:…` for a lower-case host name.
 * @throws KeysteadError `name.malformed`
 */
export function hostSan(host: string): string {
  const address = ipOctets(host);
  if (address !== undefined) return `IP:${ipText(address)}`;
  if (!HOST_NAME.test(host)) throw new KeysteadError('name.malformed', { field: 'host', seen: shorten(host) });
  return `DNS:${host}`;
}

/**
 * The subjectAltName entry of a wildcard such as `*.plant.example`: the whole first label, over a name of at least two
 * (RFC 9525 section 6.3; nobody owns a top-level domain).
 * @throws KeysteadError `name.malformed`
 */
export function wildcardSan(host: string): string {
  const base = host.slice(2);
  if (!host.startsWith('*.') || !base.includes('.') || ipOctets(base) !== undefined || !HOST_NAME.test(base))
    throw new KeysteadError('name.malformed', { field: 'host', seen: shorten(host) });
  if (host.length > 64) throw new KeysteadError('name.malformed', { field: 'host', seen: shorten(host) });
  return `DNS:${host}`;
}

const shorten = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
