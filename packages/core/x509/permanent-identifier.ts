import { fromHex } from '../bytes/index.ts';
import { DerError, type DerNode, readDer, readOid } from './der/strict.ts';
import { readText } from './names.ts';

/** id-on-permanentIdentifier (RFC 4043 section 2). */
export const PERMANENT_IDENTIFIER = '1.3.6.1.5.5.7.8.3';

/** What its maker calls a device for all time (RFC 4043). */
export interface PermanentIdentifier {
  readonly value?: string;
  /** Dotted OID of who gives these values. */
  readonly assigner?: string;
}

/**
 * The permanent identifiers among the names of a subjectAltName as this room reads it: the `other:` entries are the DER
 * of their GeneralName. An entry that is no well-formed one names nothing.
 */
export function permanentIdentifiersOf(san: readonly string[]): PermanentIdentifier[] {
  return san.flatMap((name) => {
    if (!name.startsWith('other:a0')) return [];
    try {
      const found = readPermanentIdentifier(readDer(fromHex(name.slice('other:'.length))));
      return found === undefined ? [] : [found];
    } catch (error) {
      if (error instanceof DerError) return [];
      throw error;
    }
  });
}

/** OtherName ::= SEQUENCE { type-id OID, value [0] EXPLICIT }, here under the implicit tag of GeneralName. */
function readPermanentIdentifier(name: DerNode): PermanentIdentifier | undefined {
  name.expect(0xa0, 'otherName').counted(2, 2, 'otherName');
  if (readOid(name.children[0], 'the type of otherName') !== PERMANENT_IDENTIFIER) return undefined;
  const explicit = name.child(1, 0xa0, 'the value of otherName').counted(1, 1, 'the value of otherName');
  const sequence = explicit.child(0, 0x30, 'PermanentIdentifier').counted(0, 2, 'PermanentIdentifier');
  const [first, second] = sequence.children;
  const value = first?.tag === 0x0c ? readText(first, 'identifierValue') : undefined;
  const rest = value === undefined ? first : second;
  if (value === undefined && second !== undefined) throw new DerError('PermanentIdentifier has two assigners');
  return { value, assigner: rest === undefined ? undefined : readOid(rest, 'assigner') };
}
