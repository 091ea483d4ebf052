import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DerCertificate, fromBase64, fromPem, type Serial, toHex, toPem } from '@keystead/core/bytes';
import { sha256, verifySignature } from '@keystead/core/crypto';
import {
  isInRange,
  ONLINE_CAS,
  type OnlineCa,
  ocspResponderProfile,
  parseTicket,
  profileOf,
  TSA_ACCURACY_SECONDS,
  TSA_POLICY,
} from '@keystead/core/lifecycle';
import { Frontier, openCheckpoint, parseVerifierKey } from '@keystead/core/log';
import {
  issuerAndSerial,
  lintCertificate,
  OcspIssuer,
  parseOcspResponse,
  readCertificate,
  readCrl,
  readRevocationList,
  readSigned,
  tstInfo,
  verifySigned,
} from '@keystead/core/x509';
import { parse } from 'yaml';
import type { Siege, Signed } from './siege.ts';

/** What may be had by asking at all, and for what kind of order. REQ-KEY-STO-03 */
const REQUESTABLE = {
  issue: ['ldevid', 'tls-server', 'operator', 'cmp-ra', 'scep-ra', 'station'],
  issueServerKey: ['ldevid'],
  provision: ['idevid'],
} as const;

const certificateOf = (text: unknown): DerCertificate => fromBase64(String(text)) as DerCertificate;

/** Looks at each thing that keyd signed, by the policy and by openssl, and says what should not have been signed. */
export function judge(siege: Siege): string[] {
  return [
    ...siege.signed.flatMap((one) => (isIssuing(one.op) ? certificate(siege, one, one.op) : [])),
    ...units(siege),
    ...unitKeys(siege),
    ...openssl(siege),
    ...ONLINE_CAS.flatMap((issuer) => [...lists(siege, issuer), ...answers(siege, issuer)]),
    ...rootLists(siege),
    ...firmware(siege),
    ...tufStatus(siege),
    ...trustBundles(siege),
    ...checkpoints(siege),
    ...documents(siege),
    ...timestamps(siege),
  ];
}

const isIssuing = (op: string): op is keyof typeof REQUESTABLE => Object.hasOwn(REQUESTABLE, op);

function certificate(
  { bed, trust, entries, began }: Siege,
  { params, ok }: Signed,
  op: keyof typeof REQUESTABLE,
): string[] {
  const der = certificateOf(ok.certificate);
  const info = readCertificate(der);
  const found: string[] = [];
  const ids: readonly string[] = REQUESTABLE[op];
  const profile = ids
    .map((id) => profileOf(bed.policy, id))
    .find(
      (one) => lintCertificate(der, one, trust.certificates[one.issuer as OnlineCa] as DerCertificate).length === 0,
    );
  if (profile === undefined) return [`${op} gave ${info.serial}, which keeps no profile that may be asked for`];
  const { seconds, backdateSeconds } = profile.validity;
  const life = (info.notAfter.getTime() - info.notBefore.getTime()) / 1000;
  if (seconds !== 'none' && life > seconds + backdateSeconds) found.push(`${info.serial} lives ${life} s`);
  const from = info.notBefore.getTime() + backdateSeconds * 1000;
  if (from < began - 1000 || from > Date.now() + 1000)
    found.push(`${info.serial} is dated ${info.notBefore.toISOString()}`);
  const entry = entries.find((one) => one.kind === 'certificate' && one.serial === info.serial);
  if (entry?.kind !== 'certificate' || entry.profile !== profile.id) found.push(`${info.serial} is not in the journal`);
  if (profile.id === 'operator') {
    const person = bed.policy.operators.find(({ name }) => info.san.includes(`URI:urn:keystead:person:${name}`));
    if (person === undefined || !Buffer.from(fromBase64(person.spki)).equals(info.spki)) {
      found.push(`${info.serial} makes an operator of ${info.san}`);
    }
  }
  if (profile.id === 'ldevid') {
    // Only for a device that was provisioned before.
    const id = info.san[0]?.split(':').at(-1);
    const known = entries.some((one) => one.kind === 'certificate' && one.profile === 'idevid' && one.subject === id);
    if (!known) found.push(`${info.serial} is for ${id}, which was never provisioned`);
  }
  if (op === 'issueServerKey') {
    if (entry?.kind !== 'certificate' || entry.keyOrigin !== 'keyd')
      found.push(`${info.serial} hides who made its key`);
    // To a certificate of the very device, and to nobody else: its issuer and serial number stand in the envelope.
    const { device, recipient } = params as { device?: { certificate?: unknown }; recipient?: unknown };
    const to = readCertificate(certificateOf(recipient ?? device?.certificate));
    if (to.san.join() !== info.san.join()) found.push(`the key of ${info.san} went to ${to.san}`);
    if (!Buffer.from(fromBase64(String(ok.envelope))).includes(Buffer.from(issuerAndSerial(to))))
      found.push(`the key of ${info.serial} went elsewhere`);
  }
  if (op === 'provision' && !isInRange(parseTicket(String(params.ticket)).ticket.deviceIds, String(params.deviceId))) {
    found.push(`${info.serial} is for ${params.deviceId}, which no ticket names`);
  }
  return found;
}

/** No ticket has had more devices than its quota, no device two keys, and no key two devices. */
function units({ entries }: Siege): string[] {
  const devices = new Map<string, Set<string>>();
  const keyOf = new Map<string, string>();
  const found: string[] = [];
  for (const entry of entries) {
    if (entry.kind !== 'certificate' || entry.profile !== 'idevid') continue;
    if (entry.ticket === undefined) {
      found.push(`an IDevID without a ticket: ${entry.serial}`);
      continue;
    }
    const of = devices.get(entry.ticket.id) ?? new Set();
    devices.set(entry.ticket.id, of.add(entry.subject));
    if (of.size > entry.ticket.quota) found.push(`ticket ${entry.ticket.id} gave ${of.size} of ${entry.ticket.quota}`);
    const known = keyOf.get(entry.subject) ?? entry.spkiSha256;
    if (known !== entry.spkiSha256) found.push(`${entry.subject} has two keys`);
    keyOf.set(entry.subject, entry.spkiSha256);
  }
  if (new Set(keyOf.values()).size !== keyOf.size) found.push('two devices have one key');
  return found;
}

/** Each key that keyd made for a unit is that unit's alone, as is what it was wrapped to, and its record says who made it. */
function unitKeys({ entries, signed }: Siege): string[] {
  const found: string[] = [];
  const unitOf = new Map<string, string>();
  const recipientOf = new Map<string, string>();
  for (const entry of entries) {
    if (entry.kind !== 'unit-key') continue;
    unitOf.set(entry.spkiSha256, entry.subject);
    const other = recipientOf.get(entry.recipientSha256) ?? entry.subject;
    if (other !== entry.subject) found.push(`${other} and ${entry.subject} have one ephemeral key`);
    recipientOf.set(entry.recipientSha256, entry.subject);
  }
  for (const entry of entries) {
    if (entry.kind !== 'certificate' || entry.profile !== 'idevid') continue;
    const made = unitOf.get(entry.spkiSha256);
    if (made !== undefined && made !== entry.subject) found.push(`the key of ${made} is that of ${entry.subject}`);
    if ((made !== undefined) !== (entry.keyOrigin === 'keyd')) found.push(`${entry.serial} hides who made its key`);
  }
  for (const { op, ok } of signed) {
    if (op !== 'provision') continue;
    const { key } = parse(String(ok.record)) as { key: { origin: string } };
    const made = unitOf.has(String(ok.spkiSha256));
    if (made !== (key.origin === 'injected')) found.push(`the record of ${ok.serial} says ${key.origin}`);
  }
  return found;
}

/** The opinion of another reader on all certificates at once: each under the root, none a CA, none signs for others. */
function openssl({ signed, trust }: Siege): string[] {
  const dir = mkdtempSync(join(tmpdir(), 'keystead-judge-'));
  try {
    const all = signed.flatMap(({ ok }) => (ok.certificate === undefined ? [] : [certificateOf(ok.certificate)]));
    const names = all.map((der, index) => {
      writeFileSync(join(dir, `${index}.pem`), toPem('CERTIFICATE', der));
      return `${index}.pem`;
    });
    const pem = (role: keyof typeof trust.certificates): string =>
      toPem('CERTIFICATE', trust.certificates[role] as DerCertificate);
    writeFileSync(join(dir, 'root.pem'), pem('root'));
    writeFileSync(join(dir, 'chain.pem'), ONLINE_CAS.map(pem).join(''));
    const run = (args: string[]) => spawnSync('openssl', args, { cwd: dir, encoding: 'utf8', maxBuffer: 2 ** 28 });
    const verified = run(['verify', '-CAfile', 'root.pem', '-untrusted', 'chain.pem', ...names]);
    const good = verified.stdout.split('\n').filter((line) => line.endsWith(': OK')).length;
    writeFileSync(join(dir, 'all.pem'), all.map((der) => toPem('CERTIFICATE', der)).join(''));
    const text = run(['storeutl', '-certs', '-text', '-noout', 'all.pem']).stdout;
    return [
      ...(good === all.length ? [] : [`openssl verifies ${good} of ${all.length}: ${verified.stderr.slice(0, 400)}`]),
      ...(/CA:TRUE|Certificate Sign|CRL Sign|OCSP Signing|Name Constraints|Any Extended/.exec(text) ?? []),
    ];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const listOf = (issuer: OnlineCa, { op, params }: Signed): boolean => op === 'signCrl' && params.issuer === issuer;

/** CRLs in the order of their numbers: each number once, the times of the policy, and nothing that was taken back. */
function lists({ bed, trust, signed, entries }: Siege, issuer: OnlineCa): string[] {
  const found: string[] = [];
  const released = releasedOf(entries, issuer);
  const crls = signed
    .filter((one) => listOf(issuer, one))
    .map((one) => readCrl(fromBase64(String(one.ok.crl))))
    .sort((a, b) => a.number - b.number);
  let before = new Set<Serial>();
  let number = 0;
  for (const crl of crls) {
    if (!crl.verify(trust.certificates[issuer] as DerCertificate))
      found.push(`CRL ${issuer} ${crl.number} does not verify`);
    if (crl.number <= number) found.push(`CRL ${issuer} has the number ${crl.number} twice`);
    number = crl.number;
    const life = (crl.nextUpdate.getTime() - crl.thisUpdate.getTime()) / 1000;
    if (life !== bed.policy.revocation.crlSeconds) found.push(`CRL ${issuer} ${number} lives ${life} s`);
    for (const serial of before) if (!crl.entries.has(serial)) found.push(`${serial} left the CRL of ${issuer}`);
    before = new Set(
      [...crl.entries].flatMap(([serial, { reason }]) =>
        reason === 'certificateHold' && released.has(serial) ? [] : [serial],
      ),
    );
  }
  return found;
}

/** The indirect CRL of the root: by its signer, each number once, and nothing on it, for nobody ordered anything. */
function rootLists({ trust, signed }: Siege): string[] {
  const signer = readCertificate(trust.crlSigner ?? new Uint8Array());
  const numbers = new Set<bigint>();
  return signed
    .filter(({ op }) => op === 'signRootCrl')
    .flatMap(({ ok }) => {
      const list = readRevocationList(fromBase64(String(ok.crl)));
      const found: string[] = [];
      if (list.verify(signer).verdict !== 'valid') found.push(`list ${list.number} of the root does not verify`);
      if (list.point?.indirect !== true) found.push(`list ${list.number} of the root is not indirect`);
      if (numbers.has(list.number)) found.push(`list ${list.number} of the root twice`);
      if (list.size > 0) found.push(`list ${list.number} of the root names ${list.size}`);
      numbers.add(list.number);
      return found;
    });
}

/** The policy of the siege has no update repository. */
const tufStatus = ({ signed }: Siege): string[] =>
  signed.filter(({ op }) => op === 'signTufStatus').map(({ params }) => `a status of ${params.repository}`);

/** Firmware: none, for nobody ordered any. */
const firmware = ({ signed }: Siege): string[] =>
  signed.filter(({ op }) => op === 'signFirmware').map(({ ok }) => `firmware of order ${ok.order}`);

/** Trust bundles: none, for no quorum ordered what is to stand in them. */
const trustBundles = ({ signed }: Siege): string[] =>
  signed.filter(({ op }) => op === 'signTrustBundle').map(({ ok }) => `trust bundle ${ok.version}`);

/** What came off its hold by an order of operators. */
const releasedOf = (entries: Siege['entries'], issuer: OnlineCa): ReadonlySet<string> =>
  new Set(
    entries.flatMap((one) =>
      one.kind === 'release' ? one.released.flatMap(([of, serial]) => (of === issuer ? [serial] : [])) : [],
    ),
  );

/** OCSP: never good for what keyd did not issue or had listed before it was asked; signed by a responder by its profile. */
function answers({ bed, trust, signed, entries, began }: Siege, issuer: OnlineCa): string[] {
  const found: string[] = [];
  const ca = trust.certificates[issuer] as DerCertificate;
  const names = new OcspIssuer(readCertificate(ca));
  const issued = new Set(
    entries.flatMap((one) => (one.kind === 'certificate' && one.issuer === issuer ? [one.serial] : [])),
  );
  if (issuer === 'server') issued.add(readCertificate(trust.evidenceSigner).serial);
  const released = releasedOf(entries, issuer);
  const listed = signed
    .filter((one) => listOf(issuer, one))
    .map(({ ok, answered }) => ({ answered, crl: readCrl(fromBase64(String(ok.crl))) }));
  for (const { op, params, ok, asked } of signed) {
    if (op !== 'signOcsp' || params.issuer !== issuer) continue;
    const answer = parseOcspResponse(fromBase64(String(ok.response)));
    const [der] = answer.certs;
    const signer = der === undefined ? undefined : readCertificate(der);
    if (
      der === undefined ||
      signer === undefined ||
      lintCertificate(der, ocspResponderProfile(bed.policy, issuer), ca).length > 0 ||
      answer.signatureAlgorithm === undefined ||
      !verifySignature(answer.signatureAlgorithm, signer.spki, answer.tbs, answer.signature)
    ) {
      found.push(`an OCSP answer of ${issuer} by no responder of it`);
      continue;
    }
    for (const { certId, status, thisUpdate, nextUpdate } of answer.singles) {
      const life = ((nextUpdate?.getTime() ?? Number.POSITIVE_INFINITY) - thisUpdate.getTime()) / 1000;
      if (life !== bed.policy.revocation.ocspSeconds) found.push(`an OCSP answer lives ${life} s`);
      if (thisUpdate.getTime() < began - 1000) found.push(`an OCSP answer is dated ${thisUpdate.toISOString()}`);
      if (status === 'good') {
        if (!names.issued(certId) || !issued.has(certId.serial)) found.push(`good for ${certId.serial}, never issued`);
        const revoked = listed.some(
          ({ answered, crl }) =>
            answered < asked &&
            crl.entries.has(certId.serial) &&
            !(crl.entries.get(certId.serial)?.reason === 'certificateHold' && released.has(certId.serial)),
        );
        if (revoked) found.push(`good for ${certId.serial}, which was on a CRL`);
      }
    }
  }
  return found;
}

/** Each checkpoint is one of the one tree that keyd holds now: nothing was changed, dropped or moved. */
function checkpoints({ bed, trust, signed }: Siege): string[] {
  const keys = { log: parseVerifierKey(trust.vkey), cosigner: parseVerifierKey(trust.cosignVkey) };
  const heads = signed
    .filter(({ op }) => op === 'signCheckpoint')
    .map(({ ok }) => openCheckpoint(String(ok.checkpoint), keys))
    .sort((a, b) => a.size - b.size);
  const leaves = readFileSync(join(bed.dir, 'leaves'));
  const tree = new Frontier();
  const found: string[] = [];
  for (const { size, root } of heads) {
    while (tree.size < size) tree.append(Uint8Array.from(leaves.subarray(tree.size * 32, tree.size * 32 + 32)));
    if (!Buffer.from(tree.root()).equals(root)) found.push(`a checkpoint of size ${size} of another tree`);
  }
  return found;
}

/**
 * Time stamps: each says the digest that was asked for, keyd's time and serial number, and nothing else; and each is signed
 * by the one key that is certified for it.
 */
function timestamps({ bed, signed, entries, began }: Siege): string[] {
  const serials = new Set<unknown>();
  const certified = entries.flatMap((one) =>
    one.kind === 'certificate' && one.profile === 'tsa-signer' ? [one.spkiSha256] : [],
  );
  const made = signed.filter(({ op }) => op === 'signTimestamp');
  const [der] =
    made.length === 0 ? [] : fromPem('CERTIFICATE', readFileSync(join(bed.dir, 'tsa-signer.pem'), 'latin1'));
  return made.flatMap(({ params, ok }) => {
    const message = readSigned(fromBase64(String(ok.token)));
    const time = new Date(String(ok.time));
    const serial = String(ok.serial) as Serial;
    const found: string[] = [];
    const expected = tstInfo({
      ...{ policy: TSA_POLICY, serial, time, accuracySeconds: TSA_ACCURACY_SECONDS },
      ...{ hash: params.hash as 'sha256', imprint: fromBase64(String(params.imprint)) },
      ...(params.nonce === undefined ? {} : { nonce: fromBase64(String(params.nonce)) }),
    });
    if (!Buffer.from(message.content ?? new Uint8Array()).equals(expected))
      found.push(`time stamp ${serial} says more`);
    if (time.getTime() < began - 1000 || time.getTime() > Date.now() + 1000)
      found.push(`time stamp ${serial}: ${time}`);
    if (serials.has(serial)) found.push(`time stamp ${serial} twice`);
    serials.add(serial);
    const info = readCertificate(der ?? new Uint8Array());
    if (!certified.includes(info.spkiSha256)) found.push(`time stamp ${serial} by a key without a certificate`);
    verifySigned(message, info.spki);
    return found;
  });
}

/** Records and evidence: signed by the evidence key, of devices that were provisioned, each in the journal. */
function documents({ trust, signed, entries, answered }: Siege): string[] {
  const { spki } = readCertificate(trust.evidenceSigner);
  const journal = new Set(entries.flatMap((one) => (one.kind === 'document' ? [one.sha256] : [])));
  const devices = new Set(
    entries.flatMap((one) => (one.kind === 'certificate' && one.profile === 'idevid' ? [one.subject] : [])),
  );
  return signed.flatMap(({ op, ok }) => {
    if (op !== 'provision' && op !== 'signEvidence') return [];
    const text = Buffer.from(String(op === 'provision' ? ok.record : ok.document), 'utf8');
    const {
      device_id: device,
      record,
      key,
    } = parse(text.toString('utf8')) as { device_id: string; record: string; key?: { origin: string } };
    const kind = op === 'provision' ? 'keystead provisioning record' : 'keystead decommission evidence';
    return [
      ...(verifySignature('ecdsa-with-SHA256', spki, text, fromBase64(String(ok.signature))) ? [] : ['a bad document']),
      ...(journal.has(toHex(sha256(text))) ? [] : [`a document of ${device} that is not in the journal`]),
      ...(devices.has(device) && record === kind ? [] : [`a document of ${device}: ${record}`]),
      ...(key?.origin === 'tpm2-attested' && !answered.has(device) ? [`${device} is attested by no TPM`] : []),
    ];
  });
}
