import { KeysteadError } from '../errors/index.ts';
import { DerError, type DerNode, readDer, readOid } from './der/strict.ts';
import { ia5String, oid, printableString, sequence, setOf, utf8String } from './der/writer.ts';
import { ATTRIBUTE_TYPES, type AttributeName, nameOf } from './oids.ts';

/** One attribute of a name. */
export interface NameAttribute {
  /** A name of {@link ATTRIBUTE_TYPES}, or the dotted OID of another type. */
  readonly type: AttributeName | (string & {});
  readonly value: string;
  /** Set when it stands in the same RelativeDistinguishedName as the attribute before it. Keystead issues none. */
  readonly joined?: true;
}

/** A name (RFC 5280 section 4.1.2.4): attributes in the order of the encoding, the widest first. */
export interface DistinguishedName {
  readonly rdns: readonly NameAttribute[];
}

/** The name without attributes. */
export const EMPTY_NAME: DistinguishedName = { rdns: [] };

/** The most characters that a value may have (the ub- constants of RFC 5280 appendix A.1). */
const UPPER_BOUNDS: Readonly<Record<string, number>> = {
  CN: 64,
  serialNumber: 64,
  C: 2,
  L: 128,
  ST: 128,
  O: 64,
  OU: 64,
  emailAddress: 255,
};

/** PrintableString (X.680 section 41.4, table 10). */
const PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: IA5String is all of ASCII (T.50).
const IA5 = /^[\x00-\x7f]*$/;

const typeOids = new Map<string, Uint8Array>(
  Object.entries(ATTRIBUTE_TYPES).map(([name, dotted]) => [name, oid(dotted)]),
);

/**
 * The DER of a name. Country and serialNumber are PrintableString and DC and emailAddress IA5String, as RFC 5280
 * appendix A.1 defines them; all else is UTF8String (section 4.1.2.4).
 * @throws KeysteadError `name.malformed` for an empty value, one that is too long, or one that its string type
 *   cannot hold.
 */
export function nameDer(name: DistinguishedName): Uint8Array {
  const sets: Uint8Array[][] = [];
  for (const attribute of name.rdns) {
    const encoded = sequence(typeOids.get(attribute.type) ?? dottedOid(attribute.type), valueDer(attribute));
    const last = sets.at(-1);
    if (attribute.joined && last !== undefined) last.push(encoded);
    else sets.push([encoded]);
  }
  return sequence(...sets.map((members) => setOf(...members)));
}

function dottedOid(type: string): Uint8Array {
  if (!/^[0-2](?:\.\d{1,10}){1,16}$/.test(type))
    throw new KeysteadError('name.malformed', { field: 'type', seen: type });
  return oid(type);
}

function valueDer({ type, value }: NameAttribute): Uint8Array {
  const bound = UPPER_BOUNDS[type] ?? 256;
  const length = value.length <= bound ? value.length : [...value].length;
  if (length === 0 || length > bound || !value.isWellFormed() || value.includes('\0'))
    throw new KeysteadError('name.malformed', { field: type, seen: `${length} characters of at most ${bound}` });
  switch (type) {
    case 'C':
    case 'serialNumber':
      if (!PRINTABLE.test(value))
        throw new KeysteadError('name.malformed', {
          field: type,
          seen: 'a character that PrintableString does not have',
        });
      return printableString(value);
    case 'DC':
    case 'emailAddress':
      if (!IA5.test(value))
        throw new KeysteadError('name.malformed', { field: type, seen: 'a character that IA5String does not have' });
      return ia5String(value);
    default:
      return utf8String(value);
  }
}

/** Reads a Name element. @throws DerError */
export function readName(node: DerNode, what: string): DistinguishedName {
  const rdns: NameAttribute[] = [];
  for (const set of node.expect(0x30, what).children) {
    set.expect(0x31, `an RDN of ${what}`).counted(1, 16, `an RDN of ${what}`);
    for (const [index, member] of set.children.entries()) {
      member.expect(0x30, `an attribute of ${what}`).counted(2, 2, `an attribute of ${what}`);
      const type = nameOf(ATTRIBUTE_TYPES, readOid(member.children[0], `an attribute type of ${what}`));
      const text = member.children[1];
      if (text === undefined) throw new DerError(`an attribute value of ${what} is missing`);
      const value = readText(text, `${type} of ${what}`);
      rdns.push(index === 0 ? { type, value } : { type, value, joined: true });
    }
  }
  return { rdns };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf16 = new TextDecoder('utf-16be', { fatal: true, ignoreBOM: true });

/** The text of a DirectoryString or IA5String. @throws DerError for octets that its string type does not have. */
export function readText(node: DerNode, what: string): string {
  const octets = node.value;
  try {
    switch (node.tag) {
      case 0x0c:
        return utf8.decode(octets);
      case 0x1e:
        return utf16.decode(octets);
      case 0x13:
      case 0x14:
      case 0x16: {
        const text = Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString('latin1');
        if ((node.tag === 0x13 && !PRINTABLE.test(text)) || (node.tag === 0x16 && !IA5.test(text)))
          throw new DerError(`${what} has a character that its string type does not have`);
        return text;
      }
    }
  } catch (error) {
    if (error instanceof DerError) throw error;
    throw new DerError(`${what} is not text`, { cause: error });
  }
  throw new DerError(`${what} is of a string type that is not read`);
}

/**
 * A name as RFC 4514 writes it: the narrowest attribute first, `CN=pump-1,O=Keystead`. For people and logs;
 * never compare it, use {@link sameName}.
 */
export function formatName(name: DistinguishedName): string {
  const groups: string[] = [];
  for (const { type, value, joined } of name.rdns) {
    const text = `${type}=${escapeValue(value)}`;
    if (joined && groups.length > 0) groups.push(`${groups.pop()}+${text}`);
    else groups.push(text);
  }
  return groups.reverse().join(',');
}

/** RFC 4514 section 2.4; control characters are escaped as well, so that a name cannot write to a terminal. */
function escapeValue(value: string): string {
  return (
    value
      .replace(/["+,;<>\\]/g, '\\$&')
      .replace(/^[ #]| $/g, '\\$&')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
      .replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]/g, (character) =>
        [...Buffer.from(character, 'utf8')].map((octet) => `\\${octet.toString(16).padStart(2, '0')}`).join(''),
      )
  );
}

/**
 * Whether two names are the same by RFC 5280 section 7.1: attribute by attribute, without regard to case, to
 * compatibility forms of characters, to outer blanks and to the number of inner ones.
 */
export function sameName(a: DistinguishedName, b: DistinguishedName): boolean {
  return a.rdns.length === b.rdns.length && nameKey(a) === nameKey(b);
}

/** A text that two names have in common if and only if {@link sameName} holds: for looking names up. */
export const nameKey = (name: DistinguishedName): string => JSON.stringify(rdnKeys(name));

/** The same for each RelativeDistinguishedName, the widest first: for looking whether one name begins with another. */
export function rdnKeys(name: DistinguishedName): string[] {
  const groups: string[][] = [];
  for (const { type, value, joined } of name.rdns) {
    const folded = JSON.stringify([type, value.normalize('NFKC').toLowerCase().trim().replace(/\s+/g, ' ')]);
    if (joined && groups.length > 0) groups.at(-1)?.push(folded);
    else groups.push([folded]);
  }
  // The members of one RDN are a set.
  return groups.map((members) => JSON.stringify(members.sort()));
}

/** The values of all attributes of `type`. */
export const nameValues = (name: DistinguishedName, type: AttributeName): string[] =>
  name.rdns.filter((attribute) => attribute.type === type).map((attribute) => attribute.value);

/** Reads the DER of a Name. @throws KeysteadError `name.malformed` */
export function parseName(der: Uint8Array): DistinguishedName {
  try {
    return readName(readDer(der), 'the name');
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('name.malformed', { field: 'name', seen: cause.message, cause });
    throw cause;
  }
}
