import type { Serial } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { DerError, readDer } from '../der/strict.ts';
import { serialOf } from '../serial.ts';

/** A certificate by its issuer, DER of the Name, and its serial number. */
export interface CertificateName {
  readonly issuer: Uint8Array;
  readonly serial: Serial;
}

/** Reads an IssuerAndSerialNumber (RFC 5652 section 10.2.4). @throws KeysteadError `cms.message-malformed`. */
export function readIssuerAndSerial(der: Uint8Array): CertificateName {
  return read(der, 'issuerAndSerialNumber', 0x02, (issuer, serial) => ({ issuer, serial: serialOf(serial.value) }));
}

/** Reads an IssuerAndSubject (RFC 8894 section 3.3.3), both DER. @throws KeysteadError `cms.message-malformed`. */
export function readIssuerAndSubject(der: Uint8Array): { readonly issuer: Uint8Array; readonly subject: Uint8Array } {
  return read(der, 'issuerAndSubject', 0x30, (issuer, subject) => ({ issuer, subject: subject.bytes }));
}

function read<T>(
  der: Uint8Array,
  what: string,
  second: number,
  make: (issuer: Uint8Array, other: { readonly bytes: Uint8Array; readonly value: Uint8Array }) => T,
): T {
  try {
    const root = readDer(Uint8Array.from(der)).expect(0x30, what).counted(2, 2, what);
    return make(root.child(0, 0x30, 'the issuer').bytes, root.child(1, second, what));
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('cms.message-malformed', { field: what, seen: cause.message, cause });
    throw cause;
  }
}
