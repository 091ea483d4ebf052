import type { ErrorEntry } from '../entry.ts';

/** The program itself: its configuration, clock, store and key service. */
export const SERVICE_ERRORS = {
  'config.missing': { kind: 'not-found', rule: 'there is no Keystead data directory here' },
  'config.malformed': { kind: 'invalid', rule: 'the configuration does not have the form that this version takes' },
  'service.did-not-start': { kind: 'unavailable', rule: 'the service ended before it was ready' },
  'service.port-taken': {
    kind: 'unavailable',
    rule: 'the port that was chosen at the first start must be free: it stands in the certificates',
    remedy: 'stop the other program that listens there, or start with another --data',
  },
  'service.user-unsound': {
    kind: 'forbidden',
    rule: 'a service that root starts becomes the user that its directory belongs to, and cannot become root again',
    remedy: 'give the directory a user and a group of its own',
  },
  'service.unreachable': {
    kind: 'unavailable',
    rule: 'the service could not be reached',
    remedy: 'see that keystead is running; endpoints.json in its data directory names its addresses',
  },
  'service.bad-answer': { kind: 'unavailable', rule: 'the service answered something that is not its interface' },
  'service.already-running': {
    kind: 'conflict',
    rule: 'one data directory has one Keystead at a time',
    remedy: 'stop the other one, or name another directory with --data',
  },
  'clock.went-back': {
    kind: 'unavailable',
    rule: 'the clock may not be earlier than the last entry of the log or journal',
    remedy: 'set the clock right, then try again',
  },
  'store.locked': {
    kind: 'unavailable',
    rule: 'the database must be free to write; another process holds its lock',
    remedy: 'find the other process (fuser keystead.db) and try again; nothing was changed',
  },
  'store.disk-full': {
    kind: 'unavailable',
    rule: 'the disk must have room for the change',
    remedy: 'free some space and try again; nothing was changed',
  },
  'store.corrupt': {
    kind: 'unavailable',
    rule: 'the database must be whole',
    remedy: 'restore it from a backup, then compare it with the files of the audit log',
  },
  'store.failed': {
    kind: 'unavailable',
    rule: 'the disk must write what it was given; after a failed write nothing is sure until a restart',
    remedy: 'look at the disk, then restart: opening the database tells what is durable',
  },
  'store.newer': {
    kind: 'unavailable',
    rule: 'the database must not be of a later version than this program',
    remedy: 'start the version that wrote it',
  },
  'store.outdated': {
    kind: 'unavailable',
    rule: 'the database must be of the version that this program reads',
    remedy: 'start keystead serve of this version once: it brings the database up to date',
  },
  'store.closed': { kind: 'unavailable', rule: 'the store is closed; the service is stopping' },
} as const satisfies Record<string, ErrorEntry>;
