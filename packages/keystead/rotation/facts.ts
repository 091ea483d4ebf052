import { type Policy, purposeOfProfile } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { Device, DeviceCredentialRow, Reader } from '../store/index.ts';
import type { RotationDeps } from './deps.ts';
import type { DeviceFacts } from './dry-run.ts';
import type { Plan } from './plan.ts';

/** So many devices are read at once; between two pages others have their turn. */
const PAGE = 500;

/** Whether a device is of the fleet still: what is stolen or at its end gets no certificate any more. */
export const isServed = ({ state }: Device): boolean => state === 'provisioned' || state === 'enrolled';

/** What the records know of a device, as far as a campaign asks. */
export function factsOf(
  records: Reader,
  plan: Plan,
  device: Device,
  { policy, uptakeOf }: Pick<RotationDeps, 'policy' | 'uptakeOf'>,
): DeviceFacts {
  const credentials = records.rotation.credentials(device.deviceId);
  const idevids = idevidProfiles(policy);
  const newest = credentialOf(plan, credentials, idevids);
  const uptake = uptakeOf(records, device.deviceId);
  return {
    deviceId: device.deviceId,
    model: device.model,
    enrolled: device.state === 'enrolled',
    credential:
      newest === undefined
        ? undefined
        : {
            issuer: newest.issuer,
            notBefore: newest.notBefore,
            notAfter: newest.notAfter,
            issuedAt: newest.issuedAt,
            algorithm: plan.kind === 'algorithm' ? algorithmOf(records, newest) : undefined,
          },
    idevidIssuer: credentials.find(({ profile }) => idevids.has(profile))?.issuer,
    uptake,
    lastSeen: Math.max(device.createdAt, credentials[0]?.issuedAt ?? 0, uptake?.reportedAt ?? 0),
  };
}

/**
 * The certificate by which a device is judged. Of a CA: the newest of a profile that is by the old key still, whatever
 * it has by other CAs; a certificate for another purpose says nothing of it. One that had ended when the device got its
 * newest was of a profile that it has no more.
 */
function credentialOf(
  { kind, target }: Plan,
  credentials: readonly DeviceCredentialRow[],
  idevids: ReadonlySet<string>,
): DeviceCredentialRow | undefined {
  const own = credentials.filter(({ profile }) => !idevids.has(profile));
  const [newest] = own;
  if (newest !== undefined && kind === 'issuing-ca')
    return own.find(({ issuer, notAfter }) => issuer === target && notAfter > newest.issuedAt) ?? newest;
  return own.find(({ profile }) => profile === target);
}

function algorithmOf(records: Reader, { issuer, serial }: Parameters<typeof certificateOf>[1]): string | undefined {
  const der = certificateOf(records, { issuer, serial })?.der;
  return der === undefined ? undefined : readCertificate(der).keyAlgorithm;
}

const certificateOf = (
  records: Reader,
  { issuer, serial }: { issuer: Parameters<Reader['certificate']>[0]; serial: Parameters<Reader['certificate']>[1] },
) => records.certificate(issuer, serial);

const idevidProfiles = ({ profiles }: Policy): ReadonlySet<string> =>
  new Set(profiles.filter((profile) => purposeOfProfile(profile) === 'device-idevid').map(({ id }) => id));

/** Every device of the fleet with its facts, page by page, each page of one moment. */
export async function* fleetFacts(
  deps: Pick<RotationDeps, 'store' | 'policy' | 'uptakeOf'>,
  plan: Plan,
): AsyncGenerator<{ readonly device: Device; readonly facts: DeviceFacts }[]> {
  let after = '';
  while (true) {
    const page = deps.store.read((records) =>
      records.devices(after, PAGE).map((device) => ({
        device,
        facts: isServed(device) ? factsOf(records, plan, device, deps) : undefined,
      })),
    );
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.device.deviceId;
    yield page.flatMap(({ device, facts }) => (facts === undefined ? [] : [{ device, facts }]));
    await new Promise((resolve) => setImmediate(resolve));
  }
}
