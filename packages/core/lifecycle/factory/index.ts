export * from './commission.ts';
export * from './commission-order.ts';
export * from './consignment.ts';
export * from './name.ts';
export * from './parcel.ts';
export * from './receipt.ts';
export * from './request.ts';
export * from './resolution.ts';
export type { EvidenceDocument } from './signed.ts';
