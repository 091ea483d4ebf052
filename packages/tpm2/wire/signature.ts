import { ecdsaSigValue } from '@keystead/core/crypto';
import { ALG, hashOf, type TpmHash } from './constants.ts';
import { malformed, WireReader } from './reader.ts';

/** A signature of a TPM in the form that OpenSSL takes: ECDSA as DER, RSA as it is. */
export interface TpmSignature {
  readonly scheme: 'ecdsa' | 'rsassa' | 'rsapss';
  readonly hash: TpmHash;
  readonly bytes: Uint8Array;
}

const RSA_SCHEMES: Readonly<Record<number, 'rsassa' | 'rsapss'>> = { [ALG.RSASSA]: 'rsassa', [ALG.RSAPSS]: 'rsapss' };
const SIGNATURE_CEILING = 512;
const SCALAR_CEILING = 66;

/** Reads a TPMT_SIGNATURE (Part 2 section 11.3.4) as a whole. @throws KeysteadError `tpm2.malformed`. */
export function decodeSignature(bytes: Uint8Array): TpmSignature {
  const reader = new WireReader(bytes);
  const alg = reader.u16('the signature scheme');
  const hash = hashOf(reader.u16('the hash of the signature'));
  if (hash === undefined) throw malformed('the hash of the signature', 'one that is not known');
  const signature = decodeValue(reader, alg, hash);
  reader.end('the signature');
  return signature;
}

function decodeValue(reader: WireReader, alg: number, hash: TpmHash): TpmSignature {
  const rsa = RSA_SCHEMES[alg];
  if (rsa !== undefined) return { scheme: rsa, hash, bytes: reader.sized(SIGNATURE_CEILING, 'the signature') };
  if (alg !== ALG.ECDSA) throw malformed('the signature scheme', `0x${alg.toString(16)}`);
  const r = reader.sized(SCALAR_CEILING, 'r');
  const s = reader.sized(SCALAR_CEILING, 's');
  return { scheme: 'ecdsa', hash, bytes: ecdsaSigValue(r, s) };
}
