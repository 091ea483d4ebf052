import { type AttestationPolicy, makerName } from '../attestation-policy.ts';
import type { Policy } from '../policy.ts';
import { count, type Findings, named } from './findings.ts';

const NONE: AttestationPolicy = { required: false, anchors: [] };

/** Whose TPMs are believed, and whether a unit can be provisioned without one. */
export function attestation(found: Findings, before: Policy, after: Policy): void {
  const [old, next] = [before.attestation ?? NONE, after.attestation ?? NONE];
  if (before.attestation !== undefined && after.attestation === undefined) {
    found.add('breaks', 'attestation', 'no TPM is believed any more: units whose tickets demand one are refused');
  }
  if (old.required !== next.required) {
    const text = next.required
      ? 'units that do not show that their key is in a TPM are refused from then on'
      : 'units are provisioned without a TPM, but for tickets that demand one';
    found.add(next.required ? 'breaks' : 'warns', 'attestation.required', text);
  }
  for (const [part, what] of [
    ['anchors', 'every TPM under them is'],
    ['intermediates', 'they lead to an anchor, and'],
  ] as const) {
    const [had, has] = [old[part] ?? [], next[part] ?? []];
    const added = has.filter((one) => !had.includes(one));
    const gone = had.filter((one) => !has.includes(one));
    const field = `attestation.${part}`;
    if (added.length > 0) {
      const text = part === 'anchors' ? `${what} believed from then on` : `${what} TPMs under them are believed`;
      found.add('warns', field, `new: ${named(added.map(makerName))}: ${text}`);
    }
    if (gone.length > 0) {
      found.add('warns', field, `gone: ${named(gone.map(makerName))}: TPMs that lead to no other anchor are refused`);
    }
  }
  for (const part of ['anchors', 'intermediates', 'policies'] as const) {
    const [had, has] = [old.secureElements?.[part] ?? [], next.secureElements?.[part] ?? []];
    const name = part === 'policies' ? (one: string) => one : makerName;
    const added = has.filter((one) => !had.includes(one));
    const gone = had.filter((one) => !has.includes(one));
    const field = `attestation.secureElements.${part}`;
    if (added.length > 0) found.add('warns', field, `new: ${named(added.map(name))}: which chips are believed changes`);
    if (gone.length > 0) found.add('warns', field, `gone: ${named(gone.map(name))}: which chips are believed changes`);
  }
  const [had, has] = [new Set(old.endorsementKeys), new Set(next.endorsementKeys)];
  const added = [...has].filter((one) => !had.has(one));
  const gone = [...had].filter((one) => !has.has(one));
  const field = 'attestation.endorsementKeys';
  if (added.length > 0) {
    found.add('warns', field, `${count(added, 'endorsement key')} more believed without a certificate of a maker`);
  }
  if (gone.length > 0) {
    found.add('warns', field, `${count(gone, 'endorsement key')} fewer believed without a certificate: refused`);
  }
}
