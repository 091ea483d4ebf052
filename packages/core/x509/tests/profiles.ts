import type { DerCertificate } from '../../bytes/index.ts';
import { generateSoftwareKey, type KeyAlgorithm, type Signer, softwareSigner } from '../../crypto/index.ts';
import { assembleSigned } from '../assemble.ts';
import { type Profile, ProfileSchema } from '../profile.ts';
import { type Named, namesFor } from '../profile-names.ts';
import { newSerial } from '../serial.ts';
import { CertificateTemplate } from '../template.ts';
import type { CertificateValues, StatusUrls } from '../values.ts';

/** A profile of a device, with changes. */
export const profileOf = (changes: Partial<Profile> = {}): Profile =>
  ProfileSchema.parse({
    id: 'ldevid',
    description: 'a device in the field',
    issuer: 'operational',
    subject: { commonName: 'device-id', organization: 'Acme Médical', serialNumber: 'device-id' },
    san: 'device-urn',
    keyUsage: ['digitalSignature'],
    extKeyUsage: ['clientAuth'],
    ca: false,
    ocspNoCheck: false,
    validity: { seconds: 90, backdateSeconds: 30 },
    keyAlgorithms: ['P-256', 'P-384', 'Ed25519', 'RSA-3072'],
    csrExtensions: ['subjectAltName', 'keyUsage', '2.5.29.37'],
    requesters: ['device'],
    ...changes,
  });

export const ROOT: Profile = profileOf({
  id: 'root-ca',
  issuer: 'self',
  subject: { commonName: { fixed: 'Acme Root' }, organization: 'Acme' },
  san: 'none',
  keyUsage: ['keyCertSign', 'cRLSign'],
  extKeyUsage: [],
  ca: { pathLength: 1 },
  validity: { seconds: 20 * 365 * 86_400, backdateSeconds: 0 },
  csrExtensions: [],
});

export const INTERMEDIATE: Profile = profileOf({
  ...ROOT,
  id: 'operational-ca',
  issuer: 'root',
  subject: { commonName: { fixed: 'Acme Operational' }, organization: 'Acme' },
  ca: { pathLength: 0 },
  validity: { seconds: 5 * 365 * 86_400, backdateSeconds: 0 },
});

export const IDEVID: Profile = profileOf({ id: 'idevid', validity: { seconds: 'none', backdateSeconds: 0 } });

export const SERVER: Profile = profileOf({
  id: 'tls-server',
  subject: { commonName: 'host' },
  san: 'host',
  extKeyUsage: ['serverAuth'],
  validity: { seconds: 90 * 86_400, backdateSeconds: 3600 },
});

export const OPERATOR: Profile = profileOf({
  id: 'operator',
  subject: { commonName: 'person', organization: 'Acme' },
  san: 'person-urn',
  validity: { seconds: 86_400, backdateSeconds: 60 },
});

export const RESPONDER: Profile = profileOf({
  id: 'ocsp-responder',
  subject: { commonName: { fixed: 'OCSP' } },
  san: 'none',
  extKeyUsage: ['OCSPSigning'],
  ocspNoCheck: true,
  validity: { seconds: 86_400, backdateSeconds: 60 },
});

/** The time of all certificates here. */
export const NOW = new Date(Date.UTC(2026, 10, 24, 12, 30, 15, 678));

export const newSigner = (algorithm: Exclude<KeyAlgorithm, 'RSA-2048'>): Signer =>
  softwareSigner(algorithm, generateSoftwareKey(algorithm).pkcs8);

/** The values of a certificate made at `now` by its profile. */
export function valuesOf(
  profile: Profile,
  named: Named,
  signer: Signer,
  spki = signer.spki,
  now = NOW,
): CertificateValues {
  const { seconds, backdateSeconds } = profile.validity;
  return {
    ...namesFor(profile, named),
    serial: newSerial(),
    notBefore: new Date(now.getTime() - backdateSeconds * 1000),
    notAfter: seconds === 'none' ? 'none' : new Date(now.getTime() + seconds * 1000),
    spki,
    signatureAlgorithm: signer.signatureAlgorithm,
  };
}

/** A CA: its certificate and what signs for it. */
export interface Ca {
  readonly certificate: DerCertificate;
  readonly signer: Signer;
}

/** Signs what a template makes of `values`, without a lint. */
export async function issue(
  template: CertificateTemplate,
  values: CertificateValues,
  signer: Signer,
): Promise<DerCertificate> {
  const tbs = template.encode(values);
  return assembleSigned(tbs, values.signatureAlgorithm, await signer.sign(tbs)) as DerCertificate;
}

export const URLS: StatusUrls = {
  crl: 'http://localhost:8080/crl/operational.crl',
  ocsp: 'http://localhost:8080/ocsp/operational',
  caIssuers: 'http://localhost:8080/ca/operational.cer',
};

/** A root and an intermediate below it. */
export async function newHierarchy(
  rootAlgorithm: Exclude<KeyAlgorithm, 'RSA-2048'> = 'P-384',
  algorithm: Exclude<KeyAlgorithm, 'RSA-2048'> = 'P-256',
  now = NOW,
): Promise<{ root: Ca; ca: Ca }> {
  const rootSigner = newSigner(rootAlgorithm);
  const rootProfile = { ...ROOT, keyAlgorithms: [rootAlgorithm] };
  const rootTemplate = new CertificateTemplate(rootProfile, 'self', {});
  const root = await issue(rootTemplate, valuesOf(rootProfile, {}, rootSigner, undefined, now), rootSigner);
  const signer = newSigner(algorithm);
  const template = new CertificateTemplate(
    INTERMEDIATE,
    { certificate: root },
    { crl: 'http://localhost/crl/root.crl' },
  );
  const certificate = await issue(template, valuesOf(INTERMEDIATE, {}, rootSigner, signer.spki, now), rootSigner);
  return { root: { certificate: root, signer: rootSigner }, ca: { certificate, signer } };
}
