import { HEADQUARTERS } from '@keystead/core/lifecycle';
import type { KeydContext } from './context.ts';

/** Where this keyd stands: the name of its factory node, or `headquarters`. */
export const siteOf = (_keyd: KeydContext): string => HEADQUARTERS;
