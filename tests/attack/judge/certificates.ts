import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DerCertificate, fromBase64, toPem } from '@keystead/core/bytes';
import { isInRange, ONLINE_CAS, type OnlineCa, parseTicket, profileOf } from '@keystead/core/lifecycle';
import { issuerAndSerial, lintCertificate, readCertificate } from '@keystead/core/x509';
import { parse } from 'yaml';
import type { Siege, Signed } from '../siege.ts';

/** What may be had by asking at all, and for what kind of order. REQ-KEY-STO-03 */
const REQUESTABLE = {
  issue: ['ldevid', 'tls-server', 'operator', 'cmp-ra', 'scep-ra', 'station'],
  issueServerKey: ['ldevid'],
  provision: ['idevid'],
} as const;

const certificateOf = (text: unknown): DerCertificate => fromBase64(String(text)) as DerCertificate;

/** Each certificate by itself: of a profile that may be asked for, for whom it may be, in the journal. */
export const certificates = (siege: Siege): string[] =>
  siege.signed.flatMap((one) => (isIssuing(one.op) ? certificate(siege, one, one.op) : []));

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
export function units({ entries }: Siege): string[] {
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
export function unitKeys({ entries, signed }: Siege): string[] {
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
export function openssl({ signed, trust }: Siege): string[] {
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
