import type { Clock } from '@keystead/core/clock';
import type { FirmwareFormat, FirmwareFormatName } from '@keystead/core/firmware';
import type { Policy } from '@keystead/core/lifecycle';
import type { Logger } from 'pino';
import type { AppendAudit, RefusalLog } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { SigningSettings } from '../files/signing-settings.ts';
import type { Store } from '../store/index.ts';
import type { KeySignature } from './time-stamps.ts';

/** What firmware signing asks of keyd. */
export interface FirmwareSigner {
  signFirmware(asked: { statements: string[]; subject: Uint8Array; requestId: string }): Promise<{
    readonly signatures: readonly KeySignature[];
  }>;
}

/** What firmware signing stands on. */
export interface SigningDeps {
  readonly store: Store;
  readonly keyd: FirmwareSigner;
  readonly clock: Clock;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
  readonly policy: Policy;
  readonly log: Pick<Logger, 'error'>;
  /** The format of this name. @throws KeysteadError where there is none. */
  readonly formatOf: (name: FirmwareFormatName) => FirmwareFormat;
  /** Where images, documents and results are kept. */
  readonly directory: string;
  /** Its bounds; the defaults where there are none. */
  readonly settings?: SigningSettings;
}

/** Who asks, for the audit log. */
export interface AskedBy {
  readonly actor: AuditEvent['actor'];
  readonly requestId: string;
}
