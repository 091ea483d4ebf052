import { createHash, createPublicKey, type JsonWebKey } from 'node:crypto';
import { encode } from 'cborg';
import { generateSoftwareKey, randomBytes, type Signer, softwareSigner } from '../index.ts';
import type { WebauthnAssertion, WebauthnCredential, WebauthnRegistration } from '../webauthn/index.ts';

/** An authenticator in software, written from the standard: for what a browser's virtual one cannot be made to do. */
export class Authenticator {
  readonly #signer: Signer;
  readonly credentialId = randomBytes(32);
  /** COSE_Key, CBOR. */
  readonly publicKey: Uint8Array;
  readonly alg: number;

  constructor(kind: 'P-256' | 'Ed25519' | 'RSA-3072' = 'P-256') {
    const { pkcs8 } = generateSoftwareKey(kind);
    this.#signer = softwareSigner(kind, pkcs8);
    pkcs8.wipe();
    const spki = Buffer.from(this.#signer.spki);
    const jwk = createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({ format: 'jwk' });
    this.alg = { 'P-256': -7, Ed25519: -8, 'RSA-3072': -257 }[kind];
    this.publicKey = encode(new Map(coseMembers(jwk, this.alg)));
  }

  get spki(): Uint8Array {
    return this.#signer.spki;
  }

  credential(more: Partial<WebauthnCredential> = {}): WebauthnCredential {
    const { credentialId, publicKey } = this;
    return {
      credentialId,
      publicKey,
      rpId: 'keystead.example',
      origins: ['https://keystead.example'],
      userVerification: false,
      ...more,
    };
  }

  /** @param change of what is signed, before it is: what an honest browser or authenticator would not say. */
  async assert(challenge: Uint8Array, change: Change = {}): Promise<WebauthnAssertion> {
    const authenticatorData = headOf(change, change.flags ?? 0x05);
    const clientDataJson = clientData('webauthn.get', challenge, change);
    const signature = await this.sign(authenticatorData, clientDataJson);
    return { credentialId: this.credentialId, authenticatorData, clientDataJson, signature };
  }

  async register(challenge: Uint8Array, change: Change = {}, fmt = 'none'): Promise<WebauthnRegistration> {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(this.credentialId.length);
    const attested = Buffer.concat([new Uint8Array(16), length, this.credentialId, this.publicKey]);
    const authData = Buffer.concat([headOf(change, change.flags ?? 0x45), attested]);
    const clientDataJson = clientData('webauthn.create', challenge, change);
    const sig = await this.sign(authData, clientDataJson);
    const statement: [string, unknown][] =
      fmt === 'none'
        ? []
        : [
            ['alg', this.alg],
            ['sig', sig],
          ];
    const attestationObject = encode(
      new Map<string, unknown>([
        ['fmt', fmt],
        ['attStmt', new Map(statement)],
        ['authData', authData],
      ]),
    );
    return { clientDataJson, attestationObject };
  }

  sign(authenticatorData: Uint8Array, clientDataJson: Uint8Array): Promise<Uint8Array> {
    return this.#signer.sign(Buffer.concat([authenticatorData, hash(clientDataJson)]));
  }
}

export interface Change {
  readonly rpId?: string;
  readonly flags?: number;
  /** The signature counter. */
  readonly count?: number;
  readonly client?: Readonly<Record<string, unknown>>;
  /** Behind the head of the authenticator data. */
  readonly tail?: Uint8Array;
}

function headOf({ rpId = 'keystead.example', tail = new Uint8Array(), count = 7 }: Change, flags: number): Uint8Array {
  const counter = Buffer.alloc(4);
  counter.writeUInt32BE(count);
  return Buffer.concat([hash(Buffer.from(rpId)), Uint8Array.of(flags), counter, tail]);
}

function clientData(type: string, challenge: Uint8Array, { client = {} }: Change): Uint8Array {
  const said = {
    type,
    challenge: Buffer.from(challenge).toString('base64url'),
    origin: 'https://keystead.example',
    crossOrigin: false,
    ...client,
  };
  return Buffer.from(JSON.stringify(said));
}

function coseMembers({ x, y, n, e }: JsonWebKey, alg: number): [number, unknown][] {
  const octets = (text: string | undefined) => new Uint8Array(Buffer.from(text ?? '', 'base64url'));
  if (alg === -7) {
    const point: [number, unknown][] = [
      [-1, 1],
      [-2, octets(x)],
      [-3, octets(y)],
    ];
    return [[1, 2], [3, alg], ...point];
  }
  if (alg === -8) {
    return [
      [1, 1],
      [3, alg],
      [-1, 6],
      [-2, octets(x)],
    ];
  }
  return [
    [1, 3],
    [3, alg],
    [-1, octets(n)],
    [-2, octets(e)],
  ];
}

const hash = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
