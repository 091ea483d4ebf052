import type { CmpBodyType } from '@keystead/core/cmp';

/** The paths of operations (RFC 9483 section 6.1) with the message that each takes. */
export const CMP_OPERATIONS = {
  initialization: 'ir',
  certification: 'cr',
  keyupdate: 'kur',
  pkcs10: 'p10cr',
  revocation: 'rr',
  getcacerts: 'genm',
  getrootupdate: 'genm',
  getcertreqtemplate: 'genm',
  getcrls: 'genm',
} as const satisfies Readonly<Record<string, CmpBodyType>>;
export type CmpOperation = keyof typeof CMP_OPERATIONS;

export const isCmpOperation = (name: string): name is CmpOperation => Object.hasOwn(CMP_OPERATIONS, name);

/** Whether a message may come to the address of an operation: its own, or one that goes on with it. */
export const takes = (operation: CmpOperation, type: CmpBodyType): boolean =>
  type === CMP_OPERATIONS[operation] || type === 'certConf' || type === 'pollReq';
