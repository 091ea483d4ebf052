import type { AnchorSet, FirmwareAnchor } from './anchor-set.ts';

/** What may stand in a comment or a string of C and of a device tree: the rest of a name is replaced. */
export const plain = (text: string): string => text.replaceAll(/[^A-Za-z0-9 ._-]/g, '_').slice(0, 128);

/** The first words of every file of anchors. It says no time, so that the same policy gives the same file. */
export function headline({ product, environment, source }: AnchorSet): string {
  const what = `Firmware trust anchors of ${plain(product)}, ${plain(environment)}. Made by keystead sign anchors, do not edit.`;
  if (source === undefined) return what;
  const held = source.held ? 'each key is as keyd holds it' : "not held against keyd's keys";
  return `${what} Policy SHA-256 ${plain(source.policySha256)}; ${held}.`;
}

/** Which key stands below, and whether it is trusted only. */
export const keyLine = ({ id, algorithm, use }: FirmwareAnchor): string =>
  `${plain(id)}, ${plain(algorithm)}${use === 'trusted' ? ', trusted: nothing is signed by it now' : ''}`;

/** Lines of eight octets, as `imgtool getpub` writes them. */
export function octetLines(bytes: Uint8Array): string {
  const octets = Array.from(bytes, (octet) => `0x${octet.toString(16).padStart(2, '0')},`);
  const lines = octets.flatMap((_, at) => (at % 8 === 0 ? [`    ${octets.slice(at, at + 8).join(' ')}`] : []));
  return lines.join('\n');
}
