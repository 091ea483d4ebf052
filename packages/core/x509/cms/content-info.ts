import { KeysteadError } from '../../errors/index.ts';
import { DerError, type DerNode, readDer, readOid } from '../der/strict.ts';
import { context, oid, sequence } from '../der/writer.ts';
import { CONTENT_TYPES, type ContentType } from './oids.ts';

/** Larger than any CRL or key that travels in a message; a request is under 8 KiB. */
const MAX_MESSAGE_BYTES = 64 * 1024;

/** ContentInfo (RFC 5652 section 3), DER. */
export const contentInfo = (type: ContentType, content: Uint8Array): Uint8Array =>
  sequence(oid(CONTENT_TYPES[type]), context(0, content));

/**
 * Reads a ContentInfo that must be of `type`, and hands its content to `read`.
 * @throws KeysteadError `cms.message-malformed` for anything but strict DER of it, or more than 64 KiB; what `read` throws.
 */
export function readContentInfo<T>(der: Uint8Array, type: ContentType, read: (content: DerNode) => T): T {
  if (der.length > MAX_MESSAGE_BYTES)
    throw new KeysteadError('cms.message-malformed', { field: type, seen: `${der.length} bytes` });
  try {
    const root = readDer(Uint8Array.from(der)).expect(0x30, 'the message').counted(2, 2, 'the message');
    if (readOid(root.children[0], 'the content type') !== CONTENT_TYPES[type])
      throw new DerError(`the message is not ${type}`);
    return read(root.child(1, 0xa0, 'the content').counted(1, 1, 'the content').child(0, 0x30, type));
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('cms.message-malformed', { field: type, seen: cause.message, cause });
    throw cause;
  }
}
