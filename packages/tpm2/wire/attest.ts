import { GENERATED, TAG, type TpmHash } from './constants.ts';
import { decodePcrSelection, type PcrSelection } from './pcr.ts';
import { malformed, WireReader } from './reader.ts';

/** What a TPM says about itself, signed by one of its keys (TPMS_ATTEST, Part 2 section 10.12.8). */
interface AttestCommon {
  /** The qualified Name of the key that signed. */
  readonly qualifiedSigner: Uint8Array;
  /** What the verifier gave: a nonce. */
  readonly extraData: Uint8Array;
  readonly clock: {
    readonly ms: bigint;
    readonly resetCount: number;
    readonly restartCount: number;
    readonly safe: boolean;
  };
  readonly firmwareVersion: bigint;
}

export interface CertifyAttest extends AttestCommon {
  readonly kind: 'certify';
  /** The Name of the object that is certified: the hash of its whole public area. */
  readonly name: Uint8Array;
  readonly qualifiedName: Uint8Array;
}

export interface QuoteAttest extends AttestCommon {
  readonly kind: 'quote';
  readonly selection: PcrSelection<TpmHash>[];
  readonly pcrDigest: Uint8Array;
}

/** A Name is a 2-byte algorithm and a digest; a qualified Name as well. */
const NAME_CEILING = 66;
const NONCE_CEILING = 64;

/**
 * Reads a TPMS_ATTEST as a whole.
 * @throws KeysteadError `tpm2.malformed` for another form, a statement without TPM_GENERATED_VALUE (which some
 *   software could have had signed), or a kind of statement that Keystead does not use.
 */
export function decodeAttest(bytes: Uint8Array): CertifyAttest | QuoteAttest {
  const reader = new WireReader(bytes);
  if (reader.u32('magic') !== GENERATED) throw malformed('magic', 'a statement that no TPM made');
  const type = reader.u16('the type of the statement');
  const common: AttestCommon = {
    qualifiedSigner: reader.sized(NAME_CEILING, 'qualifiedSigner'),
    extraData: reader.sized(NONCE_CEILING, 'extraData'),
    clock: {
      ms: reader.u64('clock'),
      resetCount: reader.u32('resetCount'),
      restartCount: reader.u32('restartCount'),
      safe: reader.u8('safe') === 1,
    },
    firmwareVersion: reader.u64('firmwareVersion'),
  };
  const attest = decodeAttested(reader, type, common);
  reader.end('the statement');
  return attest;
}

function decodeAttested(reader: WireReader, type: number, common: AttestCommon): CertifyAttest | QuoteAttest {
  if (type === TAG.ATTEST_CERTIFY) {
    const name = reader.sized(NAME_CEILING, 'name');
    return { kind: 'certify', ...common, name, qualifiedName: reader.sized(NAME_CEILING, 'qualifiedName') };
  }
  if (type !== TAG.ATTEST_QUOTE) throw malformed('the type of the statement', `0x${type.toString(16)}`);
  const selection = decodePcrSelection(reader);
  return { kind: 'quote', ...common, selection, pcrDigest: reader.sized(NONCE_CEILING, 'pcrDigest') };
}
