import { durationText } from '../duration.ts';
import type { Policy } from '../policy.ts';
import { type Findings, named } from './findings.ts';

/** Which update repositories keyd keeps fresh from now on, by which keys, and how long what it says is good for. */
export function tuf(found: Findings, before: Policy, after: Policy): void {
  const next = new Map((after.tuf?.repositories ?? []).map((one) => [one.repository, one]));
  for (const old of before.tuf?.repositories ?? []) {
    const now = next.get(old.repository);
    next.delete(old.repository);
    const field = `tuf.repositories.${old.repository}`;
    if (now === undefined) {
      found.add('breaks', field, 'keyd renews it no more: its clients stop updating when the last timestamp ends');
      continue;
    }
    if (old.root !== undefined && old.root !== now.root)
      found.add('breaks', `${field}.root`, 'another first root: keyd signs nothing for what began with the old one');
    if (old.root === undefined && now.root !== undefined)
      found.add('notes', `${field}.root`, 'keyd signs from now on, for the root that is named');
    const [ids, kept] = [old, now].map(({ keys }) => keys.map(({ id, algorithm }) => `${id} (${algorithm})`));
    const gone = (ids ?? []).filter((id) => !kept?.includes(id));
    const come = (kept ?? []).filter((id) => !ids?.includes(id));
    if (gone.length > 0) found.add('breaks', `${field}.keys`, `signs nothing any more: ${named(gone)}`);
    if (come.length > 0) found.add('notes', `${field}.keys`, `keyd makes at its next start: ${named(come)}`);
    for (const part of ['snapshotSeconds', 'timestampSeconds'] as const) {
      if (old[part] === now[part]) continue;
      const text = `good for ${durationText(now[part])}, and was for ${durationText(old[part])}`;
      found.add('warns', `${field}.${part}`, text);
    }
  }
  for (const { repository } of next.values())
    found.add('notes', `tuf.repositories.${repository}`, 'keyd makes its keys at the next start');
}
