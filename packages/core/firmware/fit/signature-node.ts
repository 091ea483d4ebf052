import type { KeyAlgorithm } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { malformed } from '../malformed.ts';
import { childOf, isSignatureNode } from './configuration.ts';
import { stringOf, type TreeNode } from './structure.ts';

/**
 * U-Boot's name of what each key signs with: the hash is that of the signature (SIGNATURE_OF), RSA is PKCS#1 v1.5, ECDSA
 * the two numbers one after the other (lib/rsa, lib/ecdsa, boot/image-sig.c).
 */
export const FIT_ALGORITHMS: Readonly<Partial<Record<KeyAlgorithm, string>>> = {
  'RSA-2048': 'sha256,rsa2048',
  'RSA-3072': 'sha256,rsa3072',
  'RSA-4096': 'sha384,rsa4096',
  'P-256': 'sha256,ecdsa256',
};

/** A place for a signature, as the source of the tree has it: a node `signature…` of a configuration. */
export interface SignaturePlace {
  readonly node: TreeNode;
  readonly algorithm: string;
  readonly keyHint: string | undefined;
  readonly signed: boolean;
}

/** What {@link SignaturePlace} gets when it is signed; none of it may be there before. */
export const WRITTEN = [
  'value',
  'signer-name',
  'signer-version',
  'timestamp',
  'hashed-nodes',
  'hashed-strings',
] as const;

/** @throws KeysteadError `firmware.malformed` for a place that says not how it is to be signed. */
export function signaturePlaces(configuration: TreeNode): readonly SignaturePlace[] {
  return [...configuration.children.values()].filter(isSignatureNode).map((node) => {
    const algorithm = stringOf(node, 'algo');
    if (algorithm === undefined) throw malformed(node.path, 'no algo');
    // RSASSA-PSS is what U-Boot can and no key of Keystead does.
    const padding = stringOf(node, 'padding') ?? 'pkcs-1.5';
    if (padding !== 'pkcs-1.5') throw malformed(`${node.path}: padding`, padding);
    const signed = node.properties.has('value');
    const begun = WRITTEN.find((name) => node.properties.has(name));
    if (!signed && begun !== undefined) throw malformed(`${node.path}: ${begun}`, 'part of a signature');
    return { node, algorithm, keyHint: stringOf(node, 'key-name-hint'), signed };
  });
}

/**
 * The configuration to sign: the first that has a place without a signature.
 * @throws KeysteadError `firmware.signed-already`, `firmware.malformed` where the tree has no place for any.
 */
export function configurationToSign(root: TreeNode): TreeNode {
  const configurations = [...childOf(root, 'configurations').children.values()];
  const places = configurations.flatMap(signaturePlaces);
  if (places.length === 0) throw malformed('/configurations', 'no node signature-1 { algo = …; } to be filled');
  const first = configurations.find((node) => signaturePlaces(node).some(({ signed }) => !signed));
  if (first !== undefined) return first;
  throw new KeysteadError('firmware.signed-already', { field: '/configurations', seen: `${places.length} signatures` });
}
