import { DIGEST_OF, isPss, type KeyAlgorithm } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import type { FormatKey } from '../format.ts';
import { malformed } from '../malformed.ts';

import { childOf, isSignatureNode } from './configuration.ts';
import { stringOf, type TreeNode } from './structure.ts';

/** How a signature is made, as a place for it says: `algo` and `padding`. */
export interface FitAlgorithm {
  readonly algorithm: string;
  readonly padding: 'pkcs-1.5' | 'pss';
}

/** `rsa3072` and its like, by which U-Boot knows the size. */
const RSA_NAMES: Readonly<Partial<Record<KeyAlgorithm, string>>> = {
  'RSA-2048': 'rsa2048',
  'RSA-3072': 'rsa3072',
  'RSA-4096': 'rsa4096',
};

/**
 * U-Boot's name of what a key signs by: RSA with SHA-256 or SHA-384, as PKCS#1 v1.5 or RSASSA-PSS; of ECDSA P-256, the
 * two numbers one after the other (lib/rsa, lib/ecdsa, boot/image-sig.c). Undefined for what U-Boot does not know.
 */
export function fitAlgorithm({ algorithm, scheme }: FormatKey): FitAlgorithm | undefined {
  const rsa = RSA_NAMES[algorithm];
  if (rsa !== undefined)
    return { algorithm: `${DIGEST_OF[scheme]},${rsa}`, padding: isPss(scheme) ? 'pss' : 'pkcs-1.5' };
  if (algorithm !== 'P-256' || scheme !== 'ecdsa-with-SHA256') return undefined;
  return { algorithm: 'sha256,ecdsa256', padding: 'pkcs-1.5' };
}

/** A place for a signature, as the source of the tree has it: a node `signature…` of a configuration. */
export interface SignaturePlace extends FitAlgorithm {
  readonly node: TreeNode;
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
    const padding = stringOf(node, 'padding') ?? 'pkcs-1.5';
    if (padding !== 'pkcs-1.5' && padding !== 'pss') throw malformed(`${node.path}: padding`, padding);
    const signed = node.properties.has('value');
    const begun = WRITTEN.find((name) => node.properties.has(name));
    if (!signed && begun !== undefined) throw malformed(`${node.path}: ${begun}`, 'part of a signature');
    return { node, algorithm, padding, keyHint: stringOf(node, 'key-name-hint'), signed };
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
