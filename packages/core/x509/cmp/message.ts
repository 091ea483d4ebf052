import type { DerCertificate } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { DerError, type DerNode, readDer, readOctetBits } from '../der/strict.ts';
import { bitString, context, sequence } from '../der/writer.ts';
import { bodyTypeOf, type CmpBody, type CmpBodyType, certificatesIn, readBody } from './body.ts';
import { type CmpHeader, readHeader } from './header.ts';
import type { ProtectedOctets } from './protection.ts';

/** A request with an RSA-4096 key and a chain of three such certificates has about 10 KiB. */
export const MAX_CMP_BYTES = 64 * 1024;

/** PKIMessage (RFC 9810 section 5.1) whose header is well-formed. Nothing of it is verified. */
export interface CmpMessage extends ProtectedOctets {
  readonly header: CmpHeader;
  readonly bodyType: CmpBodyType;
  /** Certificates that came along, that of the signer first (RFC 9483 section 3.3). */
  readonly extraCerts: readonly DerCertificate[];
  /** Reads the body. @throws KeysteadError `cmp.malformed`, `cmp.body-unsupported`, `cmp.one-request`, `cmp.template-refused`. */
  body(): CmpBody;
}

/**
 * Reads a PKIMessage, DER; the body is read when it is asked for, so that a message whose body is malformed gets an
 * answer that it can match with its request. The protected part is the header and the body as they came: nothing is
 * encoded anew. The protection is not verified.
 * @throws KeysteadError `cmp.malformed` for anything but strict DER of RFC 9810 of at most 64 KiB;
 *   `cmp.version-unsupported`, `cmp.body-unsupported`.
 */
export function parseCmpMessage(der: Uint8Array): CmpMessage {
  if (der.length > MAX_CMP_BYTES)
    throw new KeysteadError('cmp.malformed', {
      field: 'message',
      seen: `${der.length} bytes of at most ${MAX_CMP_BYTES}`,
    });
  return reading('message', () => readMessage(readDer(Uint8Array.from(der))));
}

function reading<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof DerError) throw new KeysteadError('cmp.malformed', { field, seen: cause.message, cause });
    throw cause;
  }
}

function readMessage(root: DerNode): CmpMessage {
  root.expect(0x30, 'the message').counted(2, 4, 'the message');
  const header = root.child(0, 0x30, 'the header');
  const body = root.children[1];
  if (body === undefined) throw new DerError('the body is missing');
  const rest = [...root.children.slice(2)];
  const protection = rest[0]?.tag === 0xa0 ? rest.shift() : undefined;
  const certificates = rest.shift();
  if (rest.length > 0 || (certificates !== undefined && certificates.tag !== 0xa1))
    throw new DerError('the message has an element of no known kind');
  return {
    header: readHeader(header),
    bodyType: bodyTypeOf(body),
    body: () => reading('body', () => readBody(body)),
    protectedPart: sequence(header.bytes, body.bytes),
    protection:
      protection === undefined
        ? undefined
        : readOctetBits(protection.counted(1, 1, 'protection').child(0, 0x03, 'protection'), 'protection'),
    extraCerts:
      certificates === undefined
        ? []
        : certificatesIn(certificates.counted(1, 1, 'extraCerts').child(0, 0x30, 'extraCerts'), 'extraCerts'),
  };
}

/**
 * A PKIMessage, DER.
 * @param header PKIHeader, DER, whose protectionAlg is that of `protect`.
 * @param protect gives the protection of the protected part; without it the message has none.
 */
export async function cmpMessage(v: {
  header: Uint8Array;
  body: Uint8Array;
  protect?: (protectedPart: Uint8Array) => Promise<Uint8Array>;
  extraCerts?: readonly DerCertificate[];
}): Promise<Uint8Array> {
  const { header, body, protect, extraCerts = [] } = v;
  const parts = [header, body];
  if (protect !== undefined) parts.push(context(0, bitString(await protect(sequence(header, body)))));
  if (extraCerts.length > 0) parts.push(context(1, sequence(...extraCerts)));
  return sequence(...parts);
}
