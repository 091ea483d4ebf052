import { CA_EXTENSIONS, OpensslPki } from '../../x509/tests/openssl-pki.ts';
import type { FirmwareFormat, MadeSignature } from '../format.ts';
import type { ImageBytes } from '../image.ts';

type SignerAlgorithm = 'P-256' | 'P-384' | 'Ed25519' | 'RSA-2048' | 'RSA-3072' | 'RSA-4096';

/** A signing root, an intermediate, and a signer of each algorithm, made by OpenSSL. */
export class SigningPki extends OpensslPki {
  constructor(signers: Readonly<Record<string, SignerAlgorithm>>) {
    super();
    this.issue({ name: 'root', algorithm: 'P-384', extensions: CA_EXTENSIONS, digest: 'sha384' });
    this.issue({ name: 'intermediate', issuer: 'root', extensions: CA_EXTENSIONS, digest: 'sha384' });
    const extensions = ['keyUsage=critical,digitalSignature', 'extendedKeyUsage=codeSigning'];
    for (const [name, algorithm] of Object.entries(signers))
      this.issue({ name, issuer: 'intermediate', algorithm, extensions, digest: 'sha256' });
  }

  /** As keyd does: composes and signs. */
  async made(format: FirmwareFormat, subject: Uint8Array, name: string): Promise<MadeSignature> {
    const terms = {
      signer: this.certificate(name),
      chain: [this.certificate('intermediate')],
      time: new Date(),
    };
    return { ...terms, signature: await this.signer(name).sign(format.compose(subject, terms)) };
  }

  /** Reads, signs with each key and assembles. */
  async sign(format: FirmwareFormat, image: ImageBytes, ...names: string[]): Promise<Buffer> {
    const { subject } = await format.read(image);
    const made = await Promise.all(names.map((name) => this.made(format, subject, name)));
    return collected(format.assemble(image, subject, made));
  }
}

export async function collected(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

/** The code of the error that `act` ends with, or 'nothing'. */
export async function rejection(act: () => Promise<unknown>): Promise<string> {
  try {
    await act();
    return 'nothing';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}
