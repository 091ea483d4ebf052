import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerSpki, fromPem, toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import {
  ageRecipientOf,
  generateSoftwareKey,
  publicKeyOf,
  type SecretBytes,
  type Signer,
  softwareSigner,
} from '@keystead/core/crypto';
import type { BackupPolicy, Role } from '@keystead/core/lifecycle';
import { certificationRequest, readCertificate } from '@keystead/core/x509';
import { RestClient } from '../client/rest.ts';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import { readSealedPkcs8Pem, writeSealedPkcs8Pem } from '../keystore/index.ts';

/** The people of the demonstration. Each holds one key; in a factory it lives on a smart card. */
export const PEOPLE: readonly { readonly name: string; readonly roles: readonly Role[]; readonly who: string }[] = [
  { name: 'architect', roles: ['policy-administrator'], who: 'product-security architect' },
  { name: 'pki', roles: ['ca-operator'], who: 'PKI operator' },
  { name: 'line-1', roles: ['line-operator'], who: 'factory-line engineer, and the station at line 1' },
  { name: 'release', roles: ['release-engineer'], who: 'firmware release engineer' },
  { name: 'approver', roles: ['approver'], who: 'approves what others ask for' },
  { name: 'custodian', roles: ['custodian'], who: 'keeps a share of the backup' },
  { name: 'custodian-2', roles: ['custodian'], who: 'keeps another share' },
  { name: 'custodian-3', roles: ['custodian'], who: 'keeps a third share; any two restore' },
  { name: 'auditor', roles: ['auditor'], who: 'quality and evidence' },
];

export const keyPath = (layout: Layout, name: string): string => join(layout.operators, `${name}.key.pem`);
export const certPath = (layout: Layout, name: string): string => join(layout.operators, `${name}.pem`);

/** Makes the key of each person that has none yet, and returns all with their public halves for the policy. */
export async function makePeopleKeys(
  layout: Layout,
  passphrase: SecretBytes,
): Promise<{ name: string; roles: readonly Role[]; spki: DerSpki }[]> {
  mkdirSync(layout.operators, { recursive: true, mode: 0o700 });
  const people: { name: string; roles: readonly Role[]; spki: DerSpki }[] = [];
  for (const { name, roles } of PEOPLE) {
    const path = keyPath(layout, name);
    if (!existsSync(path)) {
      const key = generateSoftwareKey('P-256');
      await writeSealedPkcs8Pem(path, key.pkcs8, passphrase);
      key.pkcs8.wipe();
    }
    people.push({ name, roles, spki: personSigner(layout, name, passphrase).spki });
  }
  return people;
}

/** How many custodians of the demonstration a restore takes. */
const THRESHOLD = 2;

/** Where the demonstration keeps the key to which a custodian's shares are encrypted. */
export const custodianKeyPath = (layout: Layout, name: string): string =>
  join(layout.operators, `${name}.share.key.pem`);

/** Makes the keys of those who keep shares, and returns what the policy says of them. */
export async function makeCustodianKeys(layout: Layout, passphrase: SecretBytes): Promise<BackupPolicy> {
  const custodians: BackupPolicy['custodians'] = [];
  for (const { name } of PEOPLE.filter(({ roles }) => roles.includes('custodian'))) {
    const path = custodianKeyPath(layout, name);
    if (!existsSync(path)) {
      const key = generateSoftwareKey('P-256');
      await writeSealedPkcs8Pem(path, key.pkcs8, passphrase);
      key.pkcs8.wipe();
    }
    const { algorithm, pkcs8 } = readSealedPkcs8Pem(path, passphrase);
    custodians.push({ name, recipient: ageRecipientOf(publicKeyOf(algorithm, pkcs8)) });
    pkcs8.wipe();
  }
  return { threshold: THRESHOLD, custodians };
}

/** The person's own signature, for tickets and for proofs of possession. */
export function personSigner(layout: Layout, name: string, passphrase: SecretBytes): Signer {
  const { algorithm, pkcs8 } = readSealedPkcs8Pem(keyPath(layout, name), passphrase);
  try {
    return softwareSigner(algorithm, pkcs8);
  } finally {
    pkcs8.wipe();
  }
}

/**
 * Gets each person a certificate. It needs no credential: keyd certifies only the key that stands in the
 * policy under that name, and the request proves its possession. Whose certificate has ended gets the next.
 */
export async function enrolPeople(
  layout: Layout,
  baseUrl: string,
  anchor: string,
  passphrase: SecretBytes,
  clock: Clock = systemClock,
): Promise<void> {
  const client = new RestClient({ baseUrl, anchor });
  try {
    for (const { name } of PEOPLE) {
      if (isInForce(certPath(layout, name), clock.now())) continue;
      const csr = toPem(
        'CERTIFICATE REQUEST',
        await certificationRequest(name, personSigner(layout, name, passphrase)),
      );
      const answer = await client.post<{ certificate: string; chain: string }>('/api/v1/operator-certificates', {
        name,
        csr,
      });
      durableWrite(certPath(layout, name), `${answer.certificate}${answer.chain}`, 0o644);
    }
  } finally {
    client.close();
  }
}

function isInForce(path: string, now: Date): boolean {
  if (!existsSync(path)) return false;
  const [der] = fromPem('CERTIFICATE', readFileSync(path, 'utf8'));
  return der !== undefined && readCertificate(der).notAfter > now;
}

/** A client of the REST interface that acts as `name`. */
export function clientOf(
  layout: Layout,
  name: string,
  baseUrl: string,
  anchor: string,
  passphrase: SecretBytes,
): RestClient {
  return new RestClient({
    baseUrl,
    anchor,
    identity: {
      cert: readFileSync(certPath(layout, name), 'utf8'),
      key: readFileSync(keyPath(layout, name), 'utf8'),
      passphrase: passphrase.use((bytes) => Buffer.from(bytes).toString('utf8')),
    },
  });
}
