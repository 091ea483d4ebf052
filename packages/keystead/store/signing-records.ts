import type { Queries } from './queries.ts';
import type { SigningLine, SigningStep } from './signing-queries.ts';
import type { SigningRequestRow } from './signing-rows.ts';
import type { SigningState } from './signing-schema.ts';
import type { Prepared } from './statement.ts';

/** After every request that there is: where a list of the newest begins. */
const END_OF_TIME = Number.MAX_SAFE_INTEGER;

/** What can be asked of the records of firmware signing. */
export class SigningReader {
  protected readonly statements: Prepared<Queries>;

  constructor(statements: Prepared<Queries>) {
    this.statements = statements;
  }

  request(id: string): SigningRequestRow | undefined {
    return this.statements.signing.first({ id });
  }

  /** Up to `count` requests, the newest first, after the one named. */
  requests(before: Pick<SigningRequestRow, 'createdAt' | 'id'> | undefined, count: number): SigningRequestRow[] {
    const { createdAt: beforeTime, id: beforeId } = before ?? { createdAt: END_OF_TIME, id: '' };
    return this.statements.signings.all({ beforeTime, beforeId, count });
  }

  /** Up to `count` requests in a state, the oldest first. */
  requestsIn(state: SigningState, count: number): SigningRequestRow[] {
    return this.statements.signingsIn.all({ state, count });
  }

  /** Those that wait for, or have, a signature of one version. */
  ofVersion(line: SigningLine, version: string, count: number): SigningRequestRow[] {
    return this.statements.signingsOfVersion.all({ ...line, version, count });
  }

  /** Those that wait for people or for keyd, the newest first. */
  waitingOf(line: SigningLine, count: number): SigningRequestRow[] {
    return this.statements.waitingOf.all({ ...line, count });
  }

  /** What was signed before, the newest first. */
  signedOf(line: SigningLine, count: number): SigningRequestRow[] {
    return this.statements.signedOf.all({ ...line, count });
  }
}

/** What a transaction may change in them. The table of states is the caller's to keep. */
export class SigningWriter extends SigningReader {
  insert(row: SigningRequestRow): void {
    this.statements.insertSigning.run(row);
  }

  step(row: SigningStep): void {
    this.statements.stepSigning.run(row);
  }
}
