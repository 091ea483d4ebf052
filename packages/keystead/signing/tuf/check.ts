import { KeysteadError } from '@keystead/core/errors';
import { requireThreshold, requireUnexpired, type TufRole } from '@keystead/core/firmware';
import type { TufRepository } from './repository.ts';

/** One thing that was looked at. */
export interface Finding {
  readonly what: string;
  readonly version: number | null;
  readonly expires: string | null;
  /** Why a client would refuse it; null where it would not. */
  readonly fault: string | null;
}

/** Looks at a repository as a client does that has its first root, and at every file. REQ-KEY-SOD-02 */
export async function checkRepository(repository: TufRepository, now: Date): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const root = repository.root();
  const look = (
    what: TufRole,
    signed: { _type: TufRole; version: number; expires: string },
    also: () => void,
  ): void => {
    const fault = faultOf(() => {
      requireUnexpired(signed, now);
      also();
    });
    findings.push({ what, version: signed.version, expires: signed.expires, fault });
  };
  look('root', root, () => {});
  const found = repository.inForce();
  if (found === undefined) {
    findings.push({ what: 'timestamp', version: null, expires: null, fault: 'nothing is published yet' });
    return findings;
  }
  for (const role of ['timestamp', 'snapshot', 'targets'] as const) {
    look(role, found[role].signed, () => requireThreshold(found[role], root, role));
  }
  for (const [path, target] of Object.entries(found.targets.signed.targets)) {
    const whole = await repository.holds(path, target);
    findings.push({
      what: path,
      version: null,
      expires: null,
      fault: whole ? null : 'not there, or with another hash',
    });
  }
  return findings;
}

function faultOf(look: () => void): string | null {
  try {
    look();
    return null;
  } catch (error) {
    if (error instanceof KeysteadError) return error.message;
    throw error;
  }
}
