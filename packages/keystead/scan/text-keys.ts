import { beginsKey, derKeys, LONGEST_DER } from './der-keys.ts';
import type { Find } from './find.ts';

/** A find, and how many bytes of text it takes. */
type TextFind = Find & { readonly length: number };

/** The longest text of one key: the largest DER as a C array. */
export const LONGEST_TEXT = 6 * LONGEST_DER;

const PEM = /-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----/g;
/** Less is the name of the form, as programs have it that read keys. */
const SHORTEST_BODY = 40;
const OPENSSH_MAGIC = 'openssh-key-v1\0';

/** Every private key that stands as text. @param text latin1, so that places in it are places in the bytes. */
export function* textKeys(text: string): Generator<TextFind> {
  yield* pemKeys(text);
  yield* base64Keys(text);
  yield* hexKeys(text);
  yield* opensshKeys(text);
  yield* puttyKeys(text);
  yield* jwks(text);
  for (const { index, 0: found } of text.matchAll(/AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}/gi)) {
    yield { form: 'age', offset: index, length: found.length, encrypted: false };
  }
}

/** RFC 7468, and the older PEM with headers (RFC 1421): one with another line end, quoted in JSON or in C, too. */
function* pemKeys(text: string): Generator<TextFind> {
  for (const { index, 0: head, 1: label = '' } of text.matchAll(PEM)) {
    const until = text.indexOf('-----END', index + head.length);
    const stop = until < 0 ? Math.min(text.length, index + LONGEST_TEXT) : until;
    if (stop - index > LONGEST_TEXT) continue;
    const inside = text.slice(index + head.length, stop);
    const body = base64In(inside.replace(/(?:Proc-Type|DEK-Info|Comment): ?[^\r\n\\]*/g, ''));
    if (body.length < SHORTEST_BODY) continue;
    const der = Buffer.from(body, 'base64');
    const place = { offset: index, length: stop - index };
    if (label.startsWith('OPENSSH')) {
      yield { form: 'openssh', ...place, encrypted: !isClearOpenssh(der.toString('latin1')) };
      continue;
    }
    const encrypted = label.startsWith('ENCRYPTED') || inside.includes('ENCRYPTED');
    const [key] = encrypted ? [] : derKeys(der);
    yield { ...key, form: 'pem', ...place, encrypted };
  }
}

/** What is left when line ends, their escapes, quotes and commas are taken out. */
const base64In = (text: string): string => text.replace(/\\[nrt]|["',\s\\]|[^A-Za-z0-9+/=]/g, '').replace(/=+$/, '');

/** DER in base64 without armour, as configurations and certificates' requests hold it. */
function* base64Keys(text: string): Generator<TextFind> {
  for (const { index } of text.matchAll(/M(?=[A-I][A-Za-z0-9+/]{38})/g)) {
    const end = beginsKey(Buffer.from(text.slice(index, index + 16), 'base64'));
    if (end === undefined) continue;
    const digits = Math.ceil((end * 4) / 3);
    const body = base64In(text.slice(index, index + digits * 2)).slice(0, digits);
    const [key] = derKeys(Buffer.from(body, 'base64').subarray(0, end));
    if (key?.offset !== 0) continue;
    yield { ...key, form: 'base64', offset: index, length: digits };
  }
}

/** DER in hexadecimal: a dump, or an array in C. */
function* hexKeys(text: string): Generator<TextFind> {
  if (!/02[\s,:]{0,8}(?:0x|\\x)?01/i.test(text)) return;
  for (const { index, 0: run } of text.matchAll(/(?:(?:0x|\\x)?[0-9a-fA-F]{2}[\s,:]{0,8}){40,16384}/g)) {
    const bytes = Buffer.from(run.replace(/0x|\\x|[^0-9a-fA-F]/gi, ''), 'hex');
    for (const key of derKeys(bytes)) yield { ...key, form: 'hex', offset: index, length: run.length };
  }
}

/** The binary form, without its armour. */
function* opensshKeys(text: string): Generator<TextFind> {
  for (let at = text.indexOf(OPENSSH_MAGIC); at >= 0; at = text.indexOf(OPENSSH_MAGIC, at + 1)) {
    const cipher = cipherOf(text.slice(at));
    if (cipher === undefined) continue;
    yield { form: 'openssh', offset: at, length: OPENSSH_MAGIC.length, encrypted: cipher !== 'none' };
  }
}

/** PROTOCOL.key of OpenSSH: the magic, then the name of the cipher as an SSH string. */
function cipherOf(text: string): string | undefined {
  const at = OPENSSH_MAGIC.length;
  const length = Buffer.from(text.slice(at, at + 4), 'latin1');
  if (length.length < 4 || length.readUInt32BE() > 64) return undefined;
  const name = text.slice(at + 4, at + 4 + length.readUInt32BE());
  return /^[a-z0-9@.-]+$/.test(name) ? name : undefined;
}

const isClearOpenssh = (text: string): boolean => text.startsWith(OPENSSH_MAGIC) && cipherOf(text) === 'none';

function* puttyKeys(text: string): Generator<TextFind> {
  for (const { index, 0: head, 1: cipher } of text.matchAll(
    /PuTTY-User-Key-File-[123]: [^\r\n]{1,64}\r?\nEncryption: (\S+)/g,
  )) {
    yield { form: 'putty', offset: index, length: head.length, encrypted: cipher !== 'none' };
  }
}

/** RFC 7517: a private member `d`, or the symmetric `k`, near the key type that it belongs to. */
function* jwks(text: string): Generator<TextFind> {
  for (const { index, 0: head } of text.matchAll(/\\?"(d|k)\\?"\s*:\s*\\?"[A-Za-z0-9_-]{22,}\\?"/g)) {
    const around = text.slice(Math.max(0, index - 4096), index + 4096);
    const type = /\\?"kty\\?"\s*:\s*\\?"(EC|OKP|RSA|oct)\\?"/.exec(around)?.[1];
    if (type === undefined || (type === 'oct') !== (/"k/.test(head) || /\\"k/.test(head))) continue;
    yield { form: 'jwk', offset: index, length: head.length, encrypted: false, key: type };
  }
}
