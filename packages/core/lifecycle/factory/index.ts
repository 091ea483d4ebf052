export * from './commission.ts';
export * from './commission-order.ts';
export * from './consignment.ts';
export * from './name.ts';
export * from './policy.ts';
export * from './profiles.ts';
export * from './receipt.ts';
export * from './request.ts';
export type { EvidenceDocument } from './signed.ts';
