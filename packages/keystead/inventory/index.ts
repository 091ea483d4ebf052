export { auditWarnings, type KeyWarning, keyWarnings } from './attention.ts';
export { SERVE_TLS } from './certified.ts';
export { enterKey, moveKey, type NewKey, type Told } from './enter.ts';
export { keepFactoryKeys } from './factory.ts';
export { type FoundKey, Inventory, type KeyFilter, type KeyPage } from './inventory.ts';
export { fromKeyd, fromMaster, type KeydKey, retireOthers, syncKeyd, toldByKeyd } from './keyd-keys.ts';
export { type KeyEventView, type KeyView, keyEventView, keyView, type WarningView, warningView } from './view.ts';
