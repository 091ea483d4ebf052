import { join } from 'node:path';
import { type DerSpki, sameBytes, toBase64url, toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { SecretBytes, SIGNATURE_OF, type Signer, sha256, verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Pkcs11Configuration, Pkcs11Keystore } from '@keystead/pkcs11';
import { z } from 'zod';
import { type Disk, nodeDisk, replaceFile, UNFINISHED } from '../state/disk.ts';
import { eraseFile } from '../state/erase.ts';
import { TokenCounter } from './token-counter.ts';

/** What a device asks of its token; `Pkcs11Keystore` is one, and a test may stand between. */
export type DeviceToken = Pick<
  Pkcs11Keystore,
  | 'facts'
  | 'list'
  | 'wrappingKeys'
  | 'generate'
  | 'generateWrapping'
  | 'signer'
  | 'wrapper'
  | 'seen'
  | 'erase'
  | 'counter'
  | 'end'
>;

/**
 * Opens the token of a device; afterwards it may go away and come back.
 * @param pin stays with the caller; a copy is kept for connecting again and wiped by `end`.
 * @throws KeysteadError `keystore.*`, `rng.unhealthy`.
 */
export const openDeviceToken = (config: Pkcs11Configuration, pin: SecretBytes, clock: Clock): Promise<DeviceToken> =>
  Pkcs11Keystore.open(config, pin, clock);

const FILE = 'token.json';
const base64url = z.string().regex(/^[A-Za-z0-9_-]{1,512}$/, 'must be base64url without padding');

/** What is not secret, and the device secret wrapped by the token (CKM_AES_KEY_WRAP, RFC 3394): nothing opens it but the token. */
const TokenFile = z.strictObject({
  v: z.literal(1),
  deviceId: z.string().min(1).max(64),
  /** CK_TOKEN_INFO.serialNumber: tells this token from another of the same label. */
  serialNumber: z.string().max(16),
  /** SubjectPublicKeyInfo of the IDevID's key, DER. */
  spki: base64url,
  secret: base64url,
});
type TokenFile = z.output<typeof TokenFile>;

/** The ids of a device's objects: CKA_LABEL on the token. Short and of a fixed length, whatever the device is called. */
interface ObjectIds {
  readonly prefix: string;
  readonly idevid: string;
  readonly seal: string;
  readonly counter: string;
}

function objectIds(deviceId: string): ObjectIds {
  const name = `agent.${toHex(sha256(Buffer.from(deviceId, 'utf8'))).slice(0, 16)}`;
  return { prefix: `${name}.`, idevid: `${name}.idevid`, seal: `${name}.seal`, counter: name };
}

/**
 * What a device has on its PKCS#11 token: the key of its IDevID (made there, sensitive, never extractable), and an AES key
 * that wraps the device secret, under which `DeviceState` seals everything else. The keys of LDevIDs are sealed so, too:
 * node:tls takes no key that stays on a token (docs/decisions/0053). REQ-KEY-GEN-03, REQ-KEY-STO-01
 *
 * Whatever a power cut leaves on the token is taken up by the next {@link create}, never made a second time and never
 * thrown away: a key that has been certified may be the one that has no file.
 */
export class TokenDevice {
  readonly #token: DeviceToken;
  readonly #file: TokenFile;
  readonly #ids: ObjectIds;
  readonly #spki: DerSpki;

  private constructor(token: DeviceToken, file: TokenFile) {
    this.#token = token;
    this.#file = file;
    this.#ids = objectIds(file.deviceId);
    this.#spki = bytesOf(file.spki) as DerSpki;
  }

  /**
   * Makes both keys and the secret; the file is the last to be written, and a directory without it is made anew.
   * @param token stays with the caller.
   * @throws KeysteadError `state.exists`, `agent.other-token`, `keystore.*`, `rng.unhealthy`.
   */
  static async create(
    directory: string,
    token: DeviceToken,
    { deviceId, disk = nodeDisk }: { readonly deviceId: string; readonly disk?: Disk },
  ): Promise<TokenDevice> {
    disk.makeDirectory(directory);
    if (disk.mode(join(directory, FILE)) !== undefined) throw new KeysteadError('state.exists', { field: directory });
    const ids = objectIds(deviceId);
    const { algorithm, spki } =
      token.list().find(({ id }) => id === ids.idevid) ??
      (await token.generate(ids.idevid, 'P-256', `IDevID key of ${deviceId}`));
    if (algorithm !== 'P-256') throw otherToken(ids.idevid, algorithm);
    if (!token.wrappingKeys().some(({ id }) => id === ids.seal))
      await token.generateWrapping(ids.seal, `seals the device secret of ${deviceId}`);
    using secret = SecretBytes.random(32);
    const wrapped = await token.wrapper(ids.seal).wrap(secret);
    const { serialNumber } = token.facts.token;
    const file: TokenFile = { v: 1, deviceId, serialNumber, spki: toBase64url(spki), secret: toBase64url(wrapped) };
    replaceFile(disk, join(directory, FILE), Buffer.from(`${JSON.stringify(file, null, 2)}\n`));
    return new TokenDevice(token, file);
  }

  /**
   * Reads the file; keys are asked for when they are used.
   * @throws KeysteadError `state.missing`, `state.damaged`, `agent.config-invalid` where the file is of another device,
   *   `agent.other-token` where the token is another one.
   */
  static open(
    directory: string,
    token: DeviceToken,
    { deviceId, disk = nodeDisk }: { readonly deviceId: string; readonly disk?: Disk },
  ): TokenDevice {
    const path = join(directory, FILE);
    const bytes = disk.read(path);
    if (bytes === undefined) throw new KeysteadError('state.missing', { field: path });
    const file = parsed(path, bytes);
    if (file.deviceId !== deviceId)
      throw new KeysteadError('agent.config-invalid', { field: 'deviceId', seen: `${path} is of ${file.deviceId}` });
    const { serialNumber } = token.facts.token;
    if (file.serialNumber !== serialNumber) throw otherToken('serialNumber', serialNumber);
    return new TokenDevice(token, file);
  }

  /** The device secret for `DeviceState`; the caller wipes it. @throws KeysteadError `agent.other-token`, `wrap.damaged`, `keystore.*`. */
  async secret(): Promise<SecretBytes> {
    if (!this.#token.wrappingKeys().some(({ id }) => id === this.#ids.seal))
      throw otherToken(this.#ids.seal, 'no such key');
    return this.#token.wrapper(this.#ids.seal).unwrap(bytesOf(this.#file.secret));
  }

  /** The IDevID's key: signs on the token. @throws KeysteadError `agent.other-token`, `keystore.*` when it signs. */
  signer(): Signer {
    const spki = this.#spki;
    const signatureAlgorithm = SIGNATURE_OF['P-256'];
    const sign = async (data: Uint8Array): Promise<Uint8Array> => {
      const key = this.#token.list().find(({ id }) => id === this.#ids.idevid);
      if (key === undefined || !sameBytes(key.spki, spki))
        throw otherToken(this.#ids.idevid, key === undefined ? 'no such key' : 'another key of that name');
      const signature = await this.#token.signer(this.#ids.idevid).sign(data);
      if (verifySignature(signatureAlgorithm, spki, data, signature)) return signature;
      throw new KeysteadError('key.inconsistent', { field: 'IDevID key', seen: 'a signature that does not verify' });
    };
    return { keyAlgorithm: 'P-256', signatureAlgorithm, spki, sign };
  }

  /** @throws KeysteadError `keystore.*`. */
  counter(): Promise<TokenCounter> {
    return TokenCounter.open(this.#token.counter(this.#ids.counter));
  }

  /**
   * Names of what the device has on a token at this moment, also of what no file names, for the evidence of a wipe.
   * @throws KeysteadError `keystore.*`.
   */
  static async objects(token: DeviceToken, deviceId: string): Promise<string[]> {
    const ids = objectIds(deviceId);
    const { label, serialNumber } = token.facts.token;
    const named = (what: string): string => `PKCS#11 token ${label} (${serialNumber}): ${what}`;
    const keys = (await token.seen()).filter(({ id }) => id.startsWith(ids.prefix));
    return [
      ...keys.map(({ id, keys: own, publicKeys }) =>
        named(`${id}, ${own} private or secret and ${publicKeys} public keys, and the record`),
      ),
      ...((await isThere(token, ids.counter)) ? [named(`counter ${ids.counter}`)] : []),
    ];
  }

  /**
   * Destroys what a device has on its token, asks the token again whether it is gone, and erases the file last: safe to
   * repeat after a power cut at any step. REQ-KEY-WIPE-01
   * @returns the names of what was destroyed and read back as gone.
   * @throws KeysteadError `keystore.not-destroyed` naming what the token still shows, `keystore.*`.
   */
  static async wipe(
    directory: string,
    token: DeviceToken,
    { deviceId, disk = nodeDisk }: { readonly deviceId: string; readonly disk?: Disk },
  ): Promise<string[]> {
    const ids = objectIds(deviceId);
    const gone = await TokenDevice.objects(token, deviceId);
    // The secret's key first: from then on no copy of the state opens.
    const keys = (await token.seen()).filter(({ id }) => id.startsWith(ids.prefix));
    for (const { id } of keys.sort((a, b) => Number(b.id === ids.seal) - Number(a.id === ids.seal)))
      await token.erase(id);
    await token.counter(ids.counter).remove();
    const [left] = await TokenDevice.objects(token, deviceId);
    if (left !== undefined) throw new KeysteadError('keystore.not-destroyed', { field: 'token', seen: left });
    const files = [FILE, `${FILE}${UNFINISHED}`].filter((name) => disk.mode(join(directory, name)) !== undefined);
    for (const name of files) eraseFile(disk, join(directory, name));
    return [...gone.map((name) => `${name}: destroyed, and read back as gone`), ...files.map((name) => `file ${name}`)];
  }
}

async function isThere(token: DeviceToken, counter: string): Promise<boolean> {
  try {
    await token.counter(counter).read();
    return true;
  } catch (error) {
    if (error instanceof KeysteadError && error.code === 'counter.missing') return false;
    throw error;
  }
}

function parsed(path: string, bytes: Uint8Array): TokenFile {
  try {
    return TokenFile.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (cause) {
    throw new KeysteadError('state.damaged', { field: path, seen: 'no file of a token', cause });
  }
}

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64url'));

const otherToken = (field: string, seen: string): KeysteadError =>
  new KeysteadError('agent.other-token', { field, seen });
