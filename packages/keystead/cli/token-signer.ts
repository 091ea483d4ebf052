import { KeysteadError } from '@keystead/core/errors';
import { type PersonKeyName, Pkcs11Schema, readPassphrase, withPersonKey } from '../keystore/index.ts';

/** How long a person may take to touch their token, seconds. */
const TOUCH_SECONDS = 60;

/** What of a PKCS#11 URI says which key, and what only describes the token that was found (RFC 7512 section 2.3). */
const PATH = ['token', 'serial', 'object', 'id'] as const;
const DESCRIBES: readonly string[] = ['type', 'manufacturer', 'model'];

/** A key on a token, by its URI. */
interface TokenUri {
  readonly module: string;
  readonly token: { readonly label: string } | { readonly serial: string };
  readonly key: PersonKeyName;
  readonly pinFile?: string;
}

/**
 * Signs with a key on the signer's own token.
 * @param uri RFC 7512, with `module-path`, the token by label or serial number, and the key by `object` or `id`.
 * @param pinFd where the PIN is read; without it the file of `pin-source`, else the terminal.
 * @throws KeysteadError `approval.signer-failed` for a URI of another form, `keystore.*`, `passphrase.*`.
 */
export async function signWithToken(uri: string, pinFd: string | undefined, data: Uint8Array): Promise<Uint8Array> {
  const { module, token, key, pinFile } = readTokenUri(uri);
  const config = Pkcs11Schema.parse({
    version: 1,
    make: 'pkcs11',
    module,
    token,
    sessions: 1,
    callSeconds: TOUCH_SECONDS,
  });
  const source =
    (pinFd !== undefined && { fd: Number(pinFd) }) ||
    (pinFile === undefined ? ({ prompt: 'PIN' } as const) : { file: pinFile });
  using pin = await readPassphrase(source);
  return withPersonKey(config, pin, key, (signer) => signer.sign(data));
}

/** @throws KeysteadError `approval.signer-failed`. */
export function readTokenUri(uri: string): TokenUri {
  const [path = '', query = '', ...more] = uri.slice('pkcs11:'.length).split('?');
  if (more.length > 0) throw refused('a second question mark');
  const named = attributes(path, ';');
  const asked = attributes(query, '&');
  const foreign = [...named.keys()].find((name) => !DESCRIBES.includes(name) && !PATH.some((one) => one === name));
  if (foreign !== undefined) throw refused(`the attribute ${foreign}`);
  // A PIN on a command line is read by everybody who may list processes.
  if (asked.has('pin-value')) throw refused('pin-value: give the PIN by --pin-fd, pin-source or on the terminal');
  const module = asked.get('module-path')?.toString('utf8');
  if (module === undefined || !module.startsWith('/')) throw refused('no module-path, or one that is not absolute');
  const [label, serial, object, id] = PATH.map((name) => named.get(name));
  if (object === undefined && id === undefined) throw refused('neither object nor id of the key');
  const token =
    (serial !== undefined && { serial: serial.toString('utf8') }) ||
    (label !== undefined && { label: label.toString('utf8') });
  if (token === false) throw refused('neither token nor serial');
  const pinSource = asked.get('pin-source')?.toString('utf8');
  return {
    module,
    token,
    key: {
      ...(object === undefined ? {} : { label: object.toString('utf8') }),
      ...(id === undefined ? {} : { objectId: new Uint8Array(id) }),
    },
    ...(pinSource === undefined ? {} : { pinFile: pinSource.replace(/^file:(?:\/\/)?/, '') }),
  };
}

/** Each attribute once, percent-decoded to bytes. */
function attributes(text: string, between: string): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const part of text === '' ? [] : text.split(between)) {
    const at = part.indexOf('=');
    // Its text is not told: a PIN with an ampersand in it comes apart here.
    if (at < 1) throw refused('a part that is no name and value');
    const name = part.slice(0, at);
    if (found.has(name)) throw refused(`the attribute ${name} twice`);
    found.set(name, decoded(part.slice(at + 1)));
  }
  return found;
}

function decoded(text: string): Buffer {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) throw refused('a percent sign without two hex digits');
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  return Buffer.from(
    bytes.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
}

const refused = (seen: string): KeysteadError =>
  new KeysteadError('approval.signer-failed', { field: '--sign-with', seen: `a PKCS#11 URI with ${seen}` });
