import type { DerCsr, Serial } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { canSign, readSignatureAlgorithm } from '../algorithms.ts';
import { MAX_CSR_BYTES, type ParsedCsr, readRequested } from '../csr.ts';
import { DerError, type DerNode, readDer, readInteger, readOctetBits, readOid } from '../der/strict.ts';
import { keepPublicKey } from '../goodkey/public-key.ts';
import { EMPTY_NAME, readName } from '../names.ts';
import { nameOf } from '../oids.ts';
import { serialOf } from '../serial.ts';
import { readPublicKey } from '../spki.ts';
import { CONTROLS } from './oids.ts';

/** A certificate by its issuer and serial number (RFC 4211 section 6.5). */
export interface CrmfCertId {
  /** Name, DER. */
  readonly issuerDer: Uint8Array;
  readonly serial: Serial;
}

/** A certificate request message (RFC 4211) that is well-formed. Its proof of possession is not yet verified. */
export interface ParsedCrmf extends ParsedCsr {
  readonly certReqId: number;
  /** Name, DER, of the CA that is asked. */
  readonly issuerDer?: Uint8Array;
  /** Whether it asks for a validity of its own, which it does not get. */
  readonly asksValidity: boolean;
  /** The certificate that this one is to follow. */
  readonly oldCertId?: CrmfCertId;
}

/**
 * Reads a CertReqMsg, DER. It takes one kind of proof of possession: the signature of the CertRequest by the key that
 * it is for (RFC 4211 section 4.1, without poposkInput). It verifies nothing: `verifyProofOfPossession` does.
 * @throws KeysteadError `csr.not-der` for anything but strict DER of RFC 4211; `cmp.pop-refused` for a word of the RA
 *   in place of a proof, a proof by decryption or agreement, or none; `cmp.template-refused` for a key archive, other
 *   controls, and fields that are the CA's; `key.algorithm-forbidden`, `csr.signature-algorithm`.
 */
export function parseCertReqMsg(der: Uint8Array): ParsedCrmf {
  if (der.length > MAX_CSR_BYTES)
    throw new KeysteadError('csr.not-der', {
      field: 'request',
      seen: `${der.length} bytes of at most ${MAX_CSR_BYTES}`,
    });
  try {
    return readMessage(readDer(Uint8Array.from(der)));
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('csr.not-der', { field: 'request', seen: cause.message, cause });
    throw cause;
  }
}

const refused = (field: string, seen: string): KeysteadError =>
  new KeysteadError('cmp.template-refused', { field, seen });

function readMessage(root: DerNode): ParsedCrmf {
  root.expect(0x30, 'CertReqMsg').counted(1, 3, 'CertReqMsg');
  const request = root.child(0, 0x30, 'certReq').counted(2, 3, 'certReq');
  const template = fieldsOf(request.child(1, 0x30, 'certTemplate'));
  const spki = template.get(6);
  if (spki === undefined) throw refused('publicKey', 'none');
  const key = readPublicKey(retagged(spki, 'publicKey'));
  if (key.keyAlgorithm === undefined)
    throw new KeysteadError('key.algorithm-forbidden', { field: 'publicKey', seen: key.described });
  const { algorithm, signature } = readPop(root.children[1]);
  if (algorithm.algorithm === undefined || !canSign(key.keyAlgorithm, algorithm.algorithm))
    throw new KeysteadError('csr.signature-algorithm', {
      field: 'popo',
      seen: algorithm.algorithm ?? algorithm.oid,
    });
  if (root.children[2] !== undefined) throw refused('regInfo', 'registration information');
  const subject = template.get(5)?.counted(1, 1, 'the subject').child(0, 0x30, 'the subject');
  const issuer = template.get(3)?.counted(1, 1, 'the issuer').child(0, 0x30, 'the issuer');
  const extensions = template.get(9);
  return {
    der: root.bytes as DerCsr,
    identity: request.bytes,
    certReqId: readCertReqId(request.children[0]),
    subject: subject === undefined ? EMPTY_NAME : readName(subject, 'the subject'),
    issuerDer: issuer?.bytes,
    asksValidity: template.has(4),
    spki: keepPublicKey(key.spki),
    keyAlgorithm: key.keyAlgorithm,
    requested: extensions === undefined ? { names: [], all: [] } : readRequested(retagged(extensions, 'extensions')),
    signatureAlgorithm: algorithm.algorithm,
    info: request.bytes,
    signature,
    oldCertId: readControls(request.children[2]),
  };
}

/** The id of a request in its message: a small number, -1 where there can be only one. @throws DerError */
export function readCertReqId(node: DerNode | undefined): number {
  const id = Number(readInteger(node?.expect(0x02, 'certReqId') ?? missing('certReqId'), 'certReqId'));
  if (id < -1 || id > 0x7fff_ffff) throw new DerError(`certReqId is ${id}`);
  return id;
}

const missing = (what: string): never => {
  throw new DerError(`${what} is missing`);
};

/** What only a CA decides (RFC 9483 section 4.1.1), so that a request leaves it out. */
const OF_THE_CA: Readonly<Record<number, string>> = {
  1: 'serialNumber',
  2: 'signingAlg',
  7: 'issuerUID',
  8: 'subjectUID',
};

/**
 * The fields [0] to [9] of a CertTemplate by number, each at most once and in their order.
 * @param forbidden names of those that may not be there; none where the template names a certificate that there is.
 * @throws DerError
 * @throws KeysteadError `cmp.template-refused`
 */
export function fieldsOf(template: DerNode, forbidden = OF_THE_CA): Map<number, DerNode> {
  const fields = new Map<number, DerNode>();
  let last = -1;
  for (const field of template.counted(0, 10, 'certTemplate').children) {
    const number = field.tag & 0x1f;
    if ((field.tag & 0xc0) !== 0x80 || number > 9 || number <= last)
      throw new DerError('certTemplate has a field of no known kind');
    const constructed = (field.tag & 0x20) !== 0;
    if (constructed !== ![0, 1, 7, 8].includes(number))
      throw new DerError(`field ${number} of certTemplate is malformed`);
    last = number;
    if (number === 0 && (field.value.length !== 1 || field.value[0] !== 2)) throw refused('version', 'not v3');
    const owned = forbidden[number];
    if (owned !== undefined) throw refused(owned, 'a value');
    fields.set(number, field);
  }
  return fields;
}

/** An implicitly tagged SEQUENCE as the SEQUENCE that it is. */
export function retagged(node: DerNode, what: string): DerNode {
  if ((node.tag & 0x20) === 0) throw new DerError(`${what} is not constructed`);
  const der = Uint8Array.from(node.bytes);
  der[0] = 0x30;
  return readDer(der);
}

function readPop(node: DerNode | undefined): {
  algorithm: ReturnType<typeof readSignatureAlgorithm>;
  signature: Uint8Array;
} {
  const refuse = (seen: string): never => {
    throw new KeysteadError('cmp.pop-refused', { field: 'popo', seen });
  };
  switch (node?.tag) {
    case 0xa1:
      break;
    case undefined:
    case 0x30:
      return refuse('none');
    case 0x80:
      return refuse('raVerified');
    case 0xa2:
      return refuse('keyEncipherment');
    case 0xa3:
      return refuse('keyAgreement');
    default:
      throw new DerError('popo is of no known kind');
  }
  if (node.children[0]?.tag === 0xa0) return refuse('poposkInput');
  node.counted(2, 2, 'popo');
  return {
    algorithm: readSignatureAlgorithm(node.child(0, 0x30, 'the algorithm of popo'), 'the algorithm of popo'),
    signature: readOctetBits(node.child(1, 0x03, 'the signature of popo'), 'the signature of popo'),
  };
}

function readControls(node: DerNode | undefined): CrmfCertId | undefined {
  if (node === undefined) return undefined;
  let found: CrmfCertId | undefined;
  for (const control of node.expect(0x30, 'controls').counted(1, 16, 'controls').children) {
    control.expect(0x30, 'a control').counted(2, 2, 'a control');
    const type = readOid(control.children[0], 'the type of a control');
    if (type !== CONTROLS.oldCertId || found !== undefined) throw refused('controls', nameOf(CONTROLS, type));
    found = readCertId(control.child(1, 0x30, 'oldCertId'));
  }
  return found;
}

function readCertId(node: DerNode): CrmfCertId {
  node.counted(2, 2, 'CertId');
  const issuer = node.child(0, 0xa4, 'the issuer of CertId').counted(1, 1, 'the issuer of CertId');
  return {
    issuerDer: issuer.child(0, 0x30, 'the issuer of CertId').bytes,
    serial: serialOf(node.child(1, 0x02, 'serialNumber').value),
  };
}
