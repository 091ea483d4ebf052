import type { JournalEntry } from '../journal-entry.ts';
import { FleetUnits, type OwnUnits } from './fleet-units.ts';
import { Histories } from './histories.ts';

/** What headquarters has taken in from its factories, made again from the journal at each start. */
export class Consigned {
  readonly units: FleetUnits;
  readonly histories = new Histories();
  /** Resolutions that were carried out, by the hash of what was signed. */
  readonly resolutions = new Map<string, Extract<JournalEntry, { kind: 'resolved' }>>();

  constructor(own: OwnUnits) {
    this.units = new FleetUnits(own);
  }

  replay(entry: JournalEntry): void {
    if (entry.kind === 'taken') {
      this.units.take(entry);
      this.histories.take(entry);
    }
    if (entry.kind === 'forked') this.histories.stop(entry);
    if (entry.kind === 'resolved') {
      this.resolutions.set(entry.sha256, entry);
      this.units.resolve(entry);
      this.histories.resolve(entry);
    }
  }
}
